//! The journal: one line of JSON for each finished training.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use adaplace_search_space::{Placement, PlacementHash};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Record, StudyError};

/// A line of a journal.
pub trait Line: Serialize + DeserializeOwned {
    /// Checks a parsed line that follows `before` others.
    ///
    /// # Errors
    /// If the line was edited. A torn line fails earlier.
    fn check(&self, before: usize) -> Result<(), String>;
}

/// An append-only file of [`Record`]s or other lines. A line is on disk before the next one is appended.
#[derive(Debug)]
pub struct Journal<L = Record> {
    path: PathBuf,
    file: File,
    lines: PhantomData<L>,
}

impl<L: Line> Journal<L> {
    /// Opens or creates the journal at `path`, locks it and reads its lines.
    ///
    /// A torn last line, left by a process that was killed while writing, is cut off. Its training is repeated.
    ///
    /// # Errors
    /// [`StudyError::Busy`] if another process has it open, [`StudyError::Journal`] if any other line is damaged.
    pub fn open(path: &Path) -> Result<(Self, Vec<L>), StudyError> {
        let reading = |source| StudyError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(reading)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StudyError::Busy {
                path: path.parent().unwrap_or(path).to_owned(),
            },
            TryLockError::Error(source) => reading(source),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(reading)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            lines: PhantomData,
        };
        let (records, intact) = parse(path, &bytes)?;
        if intact < bytes.len() {
            tracing::warn!(
                "the last line of `{}` was torn and is cut off; its training is repeated",
                path.display()
            );
            journal.cut(intact)?;
        }
        Ok((journal, records))
    }

    /// Path of the journal.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line and waits until it is on disk.
    ///
    /// # Errors
    /// [`StudyError::Write`]. The file is then truncated to its earlier length if the system allows.
    pub fn append(&mut self, record: &L) -> Result<(), StudyError> {
        let mut line =
            serde_json::to_vec(record).map_err(|error| self.write_error(error.into()))?;
        line.push(b'\n');
        let before = self
            .file
            .seek(SeekFrom::End(0))
            .map_err(|error| self.write_error(error))?;
        let written = self
            .file
            .write_all(&line)
            .and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            // On a full disk part of the line may have been written. If truncating fails too, the next run repairs it.
            let _ = self.file.set_len(before);
            self.write_error(error)
        })
    }

    fn cut(&mut self, length: usize) -> Result<(), StudyError> {
        self.file
            .set_len(length as u64)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| self.write_error(error))
    }

    fn write_error(&self, source: std::io::Error) -> StudyError {
        StudyError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// The lines of the journal at `path`, without a torn last one. The file is neither locked nor changed, as another
/// process may be writing it.
///
/// # Errors
/// If the file cannot be read, or if a line other than the last is damaged.
pub fn read_lines<L: Line>(path: &Path) -> Result<Vec<L>, StudyError> {
    let bytes = std::fs::read(path).map_err(|source| StudyError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(parse(path, &bytes)?.0)
}

/// The lines and their length in bytes.
fn parse<L: Line>(path: &Path, bytes: &[u8]) -> Result<(Vec<L>, usize), StudyError> {
    let mut records: Vec<L> = Vec::new();
    let mut intact = 0;
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let is_last = intact + line.len() == bytes.len();
        let parsed = parse_line::<L>(line);
        if parsed.is_err() && is_last {
            break;
        }
        let record = parsed
            .and_then(|record| record.check(records.len()).map(|()| record))
            .map_err(|reason| StudyError::Journal {
                path: path.to_owned(),
                line: index + 1,
                reason,
            })?;
        records.push(record);
        intact += line.len();
    }
    Ok((records, intact))
}

fn parse_line<L: Line>(line: &[u8]) -> Result<L, String> {
    let line = line
        .strip_suffix(b"\n")
        .ok_or_else(|| "the line does not end".to_owned())?;
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

/// Checks that `hash` is the hash of `placement`.
///
/// # Errors
/// A message with the wrong hash.
pub fn check_hash(hash: PlacementHash, placement: &Placement) -> Result<(), String> {
    match hash == placement.hash() {
        true => Ok(()),
        false => Err(format!("its placement has another hash than {hash}")),
    }
}

impl Line for Record {
    fn check(&self, before: usize) -> Result<(), String> {
        if self.trial != before {
            return Err(format!(
                "it is trial {}, where {before} should follow",
                self.trial
            ));
        }
        check_hash(self.hash, &self.placement)
    }
}
