use std::path::{Path, PathBuf};

use crate::Pooling;

/// The origin of a backbone, and how to read it.
pub(crate) struct Source<'a> {
    pub(crate) model_type: &'static str,
    pub(crate) folder: &'a Path,
    /// The configuration file in the folder.
    pub(crate) config: PathBuf,
    pub(crate) pooling: Option<Pooling>,
}
