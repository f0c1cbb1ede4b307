//! Backbones and tasks by name, from the Hugging Face hub.
//!
//! A model's name is `org/name` or `org/name@revision` ([`RepositoryName`]), a dataset's may name a subset, too: `org/name:subset`
//! ([`DatasetName`]). [`Hub::snapshot`] gives a folder with the files of the model that a backbone is read from, [`Hub::task`] one with the
//! Parquet files of the dataset's parts; both download what is not in the cache. The cache is the one that other tools of the hub
//! share, in their layout:
//!
//! ```text
//! models--org--name/refs/REVISION              the commit that a revision stands for
//! models--org--name/blobs/ETAG                 files by their hash
//! models--org--name/snapshots/COMMIT/FILE      links to them: the folder that is given back
//! models--org--name/.no_exist/COMMIT/FILE      what the commit does not have
//! datasets--org--name/..                       the same of a dataset
//! ```
//!
//! What is there in full is used as it is and the server is not asked, so a revision stands for the commit that it stood for when
//! it was first loaded.

mod cache;
mod dataset;
mod download;
mod error;
mod hub;
mod model;
mod name;

pub use error::HubError;
pub use hub::{Hub, backbone_folder, task_folder};
pub use name::{DatasetName, Kind, RepositoryName};
