//! Where backbones and tasks are.

use std::path::{Path, PathBuf};

use adaplace_hub::{HubError, backbone_folder, task_folder};
use anyhow::{Context, Result};

/// The folder of a backbone that was given as one, or as the name of a model of the hub.
///
/// # Errors
/// If there is no such folder and the model cannot be had. What is neither is given back as it is: reading it says so.
pub(crate) fn backbone(given: &Path) -> Result<PathBuf> {
    said(backbone_folder(given), given)
}

/// The folder of a task that was given as one, or as the name of a dataset of the hub.
///
/// # Errors
/// As [`backbone`].
pub(crate) fn task(given: &Path) -> Result<PathBuf> {
    said(task_folder(given), given)
}

fn said(found: Result<PathBuf, HubError>, given: &Path) -> Result<PathBuf> {
    found.with_context(|| {
        let name = given.display();
        format!("`{name}` is not a folder, so it was looked up on the hub")
    })
}
