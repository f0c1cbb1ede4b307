//! Files that are either written completely or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells apart the temporary files of threads that write to one folder.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Writes to a temporary file in the same folder, syncs it and renames it over `path`: whatever happens in between,
/// `path` holds either what it held before or all of `content`. A process that is killed meanwhile leaves a hidden
/// file ending in `.part`.
///
/// # Errors
///
/// Those of the system; the temporary file is then gone again.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    let mut temporary_name = OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(
        ".{}.{}.part",
        process::id(),
        WRITES.fetch_add(1, Ordering::Relaxed)
    ));
    let temporary = path.with_file_name(temporary_name);
    let written = write_synced(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Nothing more can be done about a leftover than to report why the write failed.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}
