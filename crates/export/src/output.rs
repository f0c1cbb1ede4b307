//! Writes exports completely or not at all, and never over anything else.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use adaplace_files::write_atomically;
use serde_json::Value;

use crate::{EXPORT_FORMAT, ExportError};

/// One file of an exported folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// The name of the file in the folder.
    pub name: &'static str,
    /// The content of the file.
    pub content: Vec<u8>,
}

impl ExportedFile {
    pub(crate) fn new(name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            content: content.into(),
        }
    }
}

/// All files that an export may have written.
const NAMES: [&str; 9] = [
    "README.md",
    "adapter.safetensors",
    MARKED,
    "adapter_interface.json",
    "head.safetensors",
    "head_config.json",
    "model_head.safetensors",
    "placement.toml",
    "placement.svg",
];

/// The file that distinguishes an export from other folders.
const MARKED: &str = "adapter_config.json";

/// Creates the folder at `path`, and those above it, with these files. An empty folder and an earlier export are
/// replaced.
///
/// Whatever happens in between, `path` contains all of the old or all of the new files. A process that is killed
/// meanwhile leaves a hidden folder next to it that ends in `.part`, or, in the moment of the exchange, the earlier
/// export in one that ends in `.old`.
///
/// # Errors
/// [`ExportError::Occupied`] for a file, or for a folder with anything else in it; [`ExportError::NoName`];
/// [`ExportError::Write`].
pub fn write_folder(files: &[ExportedFile], path: &Path) -> Result<(), ExportError> {
    let failed = |error| ExportError::Write {
        path: path.to_owned(),
        error,
    };
    let Some(name) = path.file_name() else {
        return Err(ExportError::NoName {
            path: path.to_owned(),
        });
    };
    if !is_free(path).map_err(failed)? {
        return Err(ExportError::Occupied {
            path: path.to_owned(),
        });
    }
    let beside = |ending: &str| -> PathBuf {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{ending}", process::id()));
        path.with_file_name(hidden)
    };
    let (new, old) = (beside("part"), beside("old"));
    let written = fill(files, &new).and_then(|()| exchange(&new, path, &old));
    if written.is_err() {
        // The first error is the one that matters.
        let _ = fs::remove_dir_all(&new);
    }
    written.map_err(failed)
}

/// Writes one document to `path`, replacing only an empty file or an earlier export.
///
/// # Errors
/// [`ExportError::Occupied`], [`ExportError::NoName`] and [`ExportError::Write`].
pub fn write_document(text: &str, path: &Path) -> Result<(), ExportError> {
    if path.file_name().is_none() {
        return Err(ExportError::NoName {
            path: path.to_owned(),
        });
    }
    let failed = |error| ExportError::Write {
        path: path.to_owned(),
        error,
    };
    let free = match fs::read(path) {
        Ok(content) => content.is_empty() || is_marked(&content, &["format"]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => false,
        Err(error) => return Err(failed(error)),
    };
    if !free {
        return Err(ExportError::Occupied {
            path: path.to_owned(),
        });
    }
    make_folder_of(path)
        .and_then(|()| write_atomically(path, text.as_bytes()))
        .map_err(failed)
}

/// Whether there is nothing, an empty folder, or a folder with an export and nothing else.
fn is_free(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut empty = true;
    for entry in entries {
        empty = false;
        let name = entry?.file_name();
        if !NAMES.iter().any(|&known| name == known) {
            return Ok(false);
        }
    }
    if empty {
        return Ok(true);
    }
    match fs::read(path.join(MARKED)) {
        Ok(content) => Ok(is_marked(&content, &["adaplace", "format"])),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a JSON document has our format under these keys.
fn is_marked(content: &[u8], keys: &[&str]) -> bool {
    let document: Value = serde_json::from_slice(content).unwrap_or_default();
    let format = keys.iter().try_fold(&document, |value, key| value.get(key));
    format.and_then(Value::as_str) == Some(EXPORT_FORMAT)
}

fn fill(files: &[ExportedFile], folder: &Path) -> io::Result<()> {
    make_folder_of(folder)?;
    fs::create_dir(folder)?;
    for file in files {
        let mut opened = File::create(folder.join(file.name))?;
        opened.write_all(&file.content)?;
        opened.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

/// Replaces `path`, which may be missing, by `new`.
fn exchange(new: &Path, path: &Path, old: &Path) -> io::Result<()> {
    let existed = match fs::rename(path, old) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let renamed = fs::rename(new, path);
    if existed {
        match renamed {
            // The new folder is in place, so a rest of the old one is not an error.
            Ok(()) => drop(fs::remove_dir_all(old)),
            Err(_) => fs::rename(old, path)?,
        }
    }
    renamed
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::create_dir_all(parent),
        _ => Ok(()),
    }
}
