//! Pictures in class folders.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rows::{RawPart, Row};
use crate::{Part, Place, TaskError};

/// File name endings that count as pictures, whatever their case.
const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "gif", "webp"];

/// Whether the folder has this part as pictures.
pub(crate) fn has_images(folder: &Path, part: Part) -> bool {
    folder.join(part.name()).is_dir()
}

/// Lists `PART/CLASS/*`, sorted by class and name; none when the folder has no such part. Hidden files, other files
/// and class folders without pictures are passed over.
pub(crate) fn list_images(folder: &Path, part: Part) -> Result<Option<RawPart<()>>, TaskError> {
    let path = folder.join(part.name());
    if !path.is_dir() {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for (class_folder, label) in entries(&path)? {
        if !class_folder.is_dir() {
            continue;
        }
        let before = rows.len();
        for (path, _) in entries(&class_folder)? {
            if is_picture(&path) {
                rows.push(Row {
                    place: Place { path, line: None },
                    label: label.clone(),
                    content: (),
                });
            }
        }
        if rows.len() == before {
            tracing::warn!(
                "no pictures in the class folder `{}`",
                class_folder.display()
            );
        }
    }
    Ok(Some(RawPart { part, path, rows }))
}

/// The entries that are not hidden, with their names, sorted by name.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, String)>, TaskError> {
    let unreadable = |source| TaskError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            let place = Place { path, line: None };
            return Err(TaskError::NotUtf8 { place });
        };
        if !name.starts_with('.') {
            found.push((path, name));
        }
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = extension.is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    });
    known && path.is_file()
}
