//! Where a backbone is.

use std::path::{Path, PathBuf};

use adaplace_hub::{Hub, ModelName};
use anyhow::{Context, Result};

/// The folder of a backbone that was given as one, or as the name of a model of the hub.
///
/// # Errors
/// If there is no such folder and the model cannot be had. What is neither is given back as it is: reading it says so.
pub(crate) fn folder(given: &Path) -> Result<PathBuf> {
    if given.exists() {
        return Ok(given.to_owned());
    }
    match given.to_str().and_then(ModelName::parse) {
        None => Ok(given.to_owned()),
        Some(name) => Hub::from_environment()
            .and_then(|hub| hub.snapshot(&name))
            .with_context(|| format!("`{name}` is no folder and was looked up in the hub")),
    }
}
