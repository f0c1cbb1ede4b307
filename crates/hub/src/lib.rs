//! Backbones and tasks by name, from the Hugging Face hub.
//!
//! The name of a model is `org/name` or `org/name@revision` ([`RepositoryName`]). The name of a dataset may also
//! contain a subset: `org/name:subset` ([`DatasetName`]). [`Hub::snapshot`] returns a folder with the files of the
//! model from which a backbone is read, [`Hub::task`] one with the Parquet files of the dataset's parts. Both download
//! what is not in the cache. The cache is shared with other tools of the hub and has their layout:
//!
//! ```text
//! models--org--name/refs/REVISION              the commit to which a revision refers
//! models--org--name/blobs/ETAG                 the files by their hash
//! models--org--name/snapshots/COMMIT/FILE      links to them, in the folder that is returned
//! models--org--name/.no_exist/COMMIT/FILE      files that the commit does not have
//! datasets--org--name/..                       the same for a dataset
//! ```
//!
//! A complete model is used as it is, without asking the server. So a revision keeps referring to the commit that it
//! had when it was first loaded.
//!
//! ```
//! use adaplace_hub::{DatasetName, Kind, RepositoryName};
//!
//! let model = RepositoryName::parse(Kind::Model, "org/name").expect("this is a name");
//! assert_eq!(model.revision(), "main");
//! assert!(DatasetName::parse("org/name:subset@v1.0").is_some());
//! assert!(RepositoryName::parse(Kind::Model, "only-one-word").is_none());
//! ```

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
