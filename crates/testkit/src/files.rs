//! Writes into the folder of a test.

use std::fs;
use std::path::Path;

/// Creates `folder` and everything above it.
pub(crate) fn make_folder(folder: &Path) {
    fs::create_dir_all(folder)
        .unwrap_or_else(|error| panic!("cannot create the folder {}: {error}", folder.display()));
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Writes `value` to `path` as indented JSON.
pub(crate) fn write_json(path: &Path, value: &serde_json::Value) {
    let text = serde_json::to_string_pretty(value).expect("a JSON value can always be written");
    write(path, text.as_bytes());
}
