//! The folders of backbones and tasks.

use std::path::{Path, PathBuf};

use adaplace_hub::{HubError, backbone_folder, task_folder};
use anyhow::{Context, Result};

/// The folder of a backbone, which is given as a folder or as the name of a model on the hub.
///
/// # Errors
/// If there is no such folder and the model cannot be downloaded. Anything else is returned unchanged, and reading it
/// fails later.
pub(crate) fn backbone(given: &Path) -> Result<PathBuf> {
    said(backbone_folder(given), given)
}

/// The folder of a task, which is given as a folder or as the name of a dataset on the hub.
///
/// # Errors
/// See [`backbone`].
pub(crate) fn task(given: &Path) -> Result<PathBuf> {
    said(task_folder(given), given)
}

fn said(found: Result<PathBuf, HubError>, given: &Path) -> Result<PathBuf> {
    found.with_context(|| {
        let name = given.display();
        format!("`{name}` is not a folder, so it was looked up on the hub")
    })
}
