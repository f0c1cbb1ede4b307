//! Where a backbone is.

use std::path::{Path, PathBuf};

use adaplace_hub::backbone_folder;
use anyhow::{Context, Result};

/// The folder of a backbone that was given as one, or as the name of a model of the hub.
///
/// # Errors
/// If there is no such folder and the model cannot be had. What is neither is given back as it is: reading it says so.
pub(crate) fn folder(given: &Path) -> Result<PathBuf> {
    backbone_folder(given).with_context(|| {
        let name = given.display();
        format!("`{name}` is no folder and was looked up in the hub")
    })
}
