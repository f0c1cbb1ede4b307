use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::backbone::is_backbone;
use crate::{DrawnTask, QuickstartError, write_backbone};

/// The seed from which the program draws the tasks.
pub const SEED: u64 = 0;

/// The folder of the backbone, within the folder of the export.
pub const BACKBONE_FOLDER: &str = "backbone";

/// The folder that contains a folder for each task, within the folder of the export.
pub const TASKS_FOLDER: &str = "tasks";

/// Writes the backbone to `backbone` and every task to `tasks/NAME`, in a new or empty folder.
///
/// # Errors
/// If the folder contains something, or if it cannot be written.
pub fn export(folder: &Path, seed: u64) -> Result<(), QuickstartError> {
    check_empty(folder)?;
    write_backbone(&folder.join(BACKBONE_FOLDER))?;
    for task in DrawnTask::ALL {
        task.write(&folder.join(TASKS_FOLDER).join(task.name()), seed)?;
    }
    Ok(())
}

/// The folders of backbone and task of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The Hugging Face folder of the backbone.
    pub backbone: PathBuf,
    /// The folder of the image task.
    pub task: PathBuf,
}

/// Writes the backbone and one task to the places where [`export`] puts them. The folder must be new or empty, or one
/// in which this was done before; then its other contents stay.
///
/// # Errors
/// If the folder contains something else, or if it cannot be written.
pub fn prepare(folder: &Path, task: DrawnTask, seed: u64) -> Result<Folders, QuickstartError> {
    let folders = Folders {
        backbone: folder.join(BACKBONE_FOLDER),
        task: folder.join(TASKS_FOLDER).join(task.name()),
    };
    if !is_backbone(&folders.backbone) {
        check_empty(folder)?;
    }
    write_backbone(&folders.backbone)?;
    task.write(&folders.task, seed)?;
    Ok(folders)
}

fn check_empty(folder: &Path) -> Result<(), QuickstartError> {
    let path = folder.to_owned();
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(QuickstartError::NotEmpty { folder: path }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(QuickstartError::NotAFolder { path })
        }
        Err(source) => Err(QuickstartError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DrawnPart;

    #[test]
    fn a_folder_that_holds_something_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes");
        fs::write(&file, "mine").unwrap();
        let error = export(folder.path(), SEED).unwrap_err();
        assert!(matches!(error, QuickstartError::NotEmpty { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = export(&file, SEED).unwrap_err();
        assert!(
            matches!(error, QuickstartError::NotAFolder { .. }),
            "{error}"
        );
        let error = prepare(folder.path(), DrawnTask::Location, SEED).unwrap_err();
        assert!(matches!(error, QuickstartError::NotEmpty { .. }), "{error}");
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }

    #[test]
    fn a_folder_can_be_prepared_again_and_for_another_task() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        for task in [
            DrawnTask::Orientation,
            DrawnTask::Orientation,
            DrawnTask::Location,
        ] {
            let folders = prepare(&out, task, SEED).unwrap();
            for part in DrawnPart::ALL {
                let classes = fs::read_dir(folders.task.join(part.name())).unwrap();
                let pictures = classes.map(|class| fs::read_dir(class.unwrap().path()).unwrap());
                let count: usize = pictures.map(Iterator::count).sum();
                assert_eq!(count as u32, part.pictures());
            }
        }
        assert!(!out.join("tasks/counting").exists());
    }
}
