//! Backbones by name, from the Hugging Face hub.
//!
//! A name is `org/name` or `org/name@revision` ([`ModelName`]). [`Hub::snapshot`] gives a folder with the files of that
//! model that a backbone is read from, downloaded if they are not in the cache. The cache is the one that other tools of
//! the hub share, in their layout:
//!
//! ```text
//! models--org--name/refs/REVISION              the commit that a revision stands for
//! models--org--name/blobs/ETAG                 files by their hash
//! models--org--name/snapshots/COMMIT/FILE      links to them: the folder that is given back
//! models--org--name/.no_exist/COMMIT/FILE      what the commit does not have
//! ```
//!
//! A model that is there in full is used as it is and the server is not asked, so a revision stands for the commit that
//! it stood for when it was first loaded.

mod cache;
mod download;
mod error;
mod hub;
mod name;

pub use error::HubError;
pub use hub::{Hub, backbone_folder};
pub use name::ModelName;
