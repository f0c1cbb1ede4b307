//! What the entries of a task folder mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Part, TaskError};

/// Endings of files of rows; gzipped ones have `.gz` behind it.
const ROWS: [&str; 3] = ["jsonl", "csv", "tsv"];

/// What commonly lies beside the data and says nothing of it.
const BESIDE: [&str; 4] = ["readme", "license", "dataset_info", "dataset_infos"];

/// Where the parts of a task lie: for each file of rows and each folder of pictures, whose part it is.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    rows: BTreeMap<Part, PathBuf>,
    pictures: BTreeMap<Part, PathBuf>,
    /// Names of entries that mean nothing.
    pub(crate) ignored: Vec<String>,
}

impl Layout {
    /// Reads what the entries of `folder` mean, hidden ones left out.
    ///
    /// # Errors
    /// When the folder is missing or cannot be read, or two of its entries are the same part.
    pub(crate) fn of(folder: &Path) -> Result<Self, TaskError> {
        if !folder.is_dir() {
            let folder = folder.to_owned();
            return Err(TaskError::MissingFolder { folder });
        }
        let mut layout = Self::default();
        for (path, name) in entries(folder)? {
            let (stem, ending) = match path.is_dir() {
                true => (name.as_str(), None),
                false => match name.split_once('.') {
                    Some((stem, ending)) => (stem, Some(ending.to_ascii_lowercase())),
                    None => (name.as_str(), Some(String::new())),
                },
            };
            let known = |ending: &String| {
                let unpacked = ending.strip_suffix(".gz").unwrap_or(ending);
                ROWS.contains(&unpacked)
            };
            let parts = match ending {
                None => &mut layout.pictures,
                Some(ending) if known(&ending) => &mut layout.rows,
                Some(_) => {
                    layout.ignore(name);
                    continue;
                }
            };
            let Some(part) = Part::called(stem) else {
                layout.ignore(name);
                continue;
            };
            if let Some(other) = parts.insert(part, path) {
                return Err(TaskError::TwoOfOnePart {
                    folder: folder.to_owned(),
                    part,
                    names: [file_name(&other), name],
                });
            }
        }
        Ok(layout)
    }

    /// The file of rows of this part.
    pub(crate) fn rows(&self, part: Part) -> Option<&Path> {
        self.rows.get(&part).map(PathBuf::as_path)
    }

    /// The folder of pictures of this part.
    pub(crate) fn pictures(&self, part: Part) -> Option<&Path> {
        self.pictures.get(&part).map(PathBuf::as_path)
    }

    fn ignore(&mut self, name: String) {
        let lower = name.to_ascii_lowercase();
        let stem = lower.split('.').next().unwrap_or(&lower);
        if !BESIDE.contains(&stem) && !lower.ends_with(".md") {
            self.ignored.push(name);
        }
    }
}

/// The entries that are not hidden, with their names, sorted by name.
///
/// # Errors
/// When the folder cannot be read, or a name is not UTF-8.
pub(crate) fn entries(folder: &Path) -> Result<Vec<(PathBuf, String)>, TaskError> {
    let unreadable = |source| TaskError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            let place = crate::Place { path, line: None };
            return Err(TaskError::NotUtf8 { place });
        };
        if !name.starts_with('.') {
            found.push((path, name));
        }
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(found)
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[&str], folders: &[&str]) -> Result<Layout, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(folder.path().join(name), "").unwrap();
        }
        for name in folders {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Layout::of(folder.path())
    }

    #[test]
    fn parts_go_by_the_names_that_are_usual() {
        let found = layout(&["training.csv", "dev.jsonl", "Eval.tsv", "README.md"], &[]).unwrap();
        let name = |part| found.rows(part).map(file_name);
        assert_eq!(name(Part::Train).unwrap(), "training.csv");
        assert_eq!(name(Part::Validation).unwrap(), "dev.jsonl");
        assert_eq!(name(Part::Test).unwrap(), "Eval.tsv");
        assert!(found.ignored.is_empty());
        let found = layout(&[], &["train", "valid", "testing"]).unwrap();
        assert!(Part::ALL.iter().all(|&part| found.pictures(part).is_some()));
    }

    #[test]
    fn what_means_nothing_is_kept_apart() {
        let files = [
            "train.jsonl",
            "train.json",
            "labels.csv",
            ".hidden",
            "dataset_info.json",
        ];
        let found = layout(&files, &["extra"]).unwrap();
        assert_eq!(found.ignored, ["extra", "labels.csv", "train.json"]);
    }

    #[test]
    fn two_of_one_part_are_refused() {
        let message = layout(&["train.jsonl", "val.csv", "validation.csv"], &[]).unwrap_err();
        assert!(
            message
                .to_string()
                .contains("`val.csv` and `validation.csv`"),
            "{message}"
        );
        assert!(layout(&["train.jsonl", "train.csv"], &[]).is_err());
        assert!(layout(&[], &["val", "dev"]).is_err());
        // Rows and pictures of one name: the backbone says which are meant.
        assert!(layout(&["train.jsonl"], &["train"]).is_ok());
    }
}
