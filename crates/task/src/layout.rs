//! The meaning of the entries of a task folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::labelling::TASK_FILE;
use crate::{Part, TaskError};

/// The endings of files of rows.
const ROWS: [&str; 7] = [
    "jsonl", "jsonl.gz", "csv", "csv.gz", "tsv", "tsv.gz", "parquet",
];

/// The names of files that are often next to the data and can be ignored.
const BESIDE: [&str; 4] = ["readme", "license", "dataset_info", "dataset_infos"];

/// The folder of the data in a repository of the hub.
const DATA: &str = "data";

/// The file that `save_to_disk` of the library `datasets` writes next to the parts.
const SAVED_TO_DISK: &str = "dataset_dict.json";

/// The files of rows and the folders of pictures of each part of a task.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// The files of each part in the order of their rows, at least one.
    rows: BTreeMap<Part, Vec<PathBuf>>,
    pictures: BTreeMap<Part, PathBuf>,
    /// The names of entries that mean nothing.
    pub(crate) ignored: Vec<String>,
}

impl Layout {
    /// Determines the meaning of the entries of `folder`, except hidden ones.
    ///
    /// A part is a file `PART.ENDING`, several files `PART-00000-of-00003.ENDING` and so on, a folder `PART` of Parquet
    /// files, or a folder `PART` of pictures. If no entry is a part, the folder `data` in it is searched.
    ///
    /// # Errors
    /// If the folder is missing or cannot be read, if two of its entries are the same part, or if one of several files
    /// is missing.
    pub(crate) fn of(folder: &Path) -> Result<Self, TaskError> {
        if !folder.is_dir() {
            let folder = folder.to_owned();
            return Err(TaskError::MissingFolder { folder });
        }
        let mut layout = Self::default();
        let mut pieces: BTreeMap<Part, Vec<Piece>> = BTreeMap::new();
        for (path, name) in entries(folder)? {
            if name == SAVED_TO_DISK {
                let folder = folder.to_owned();
                return Err(TaskError::SavedToDisk { folder });
            }
            if path.is_dir() {
                let files = parquet_files(&path)?;
                match Part::called(&name) {
                    None => layout.ignore(name),
                    Some(part) if files.is_empty() => {
                        if let Some(other) = layout.pictures.insert(part, path) {
                            return Err(two_of(folder, part, file_name(&other), name));
                        }
                    }
                    Some(part) => pieces.entry(part).or_default().push(Piece {
                        name,
                        files,
                        shard: None,
                    }),
                }
                continue;
            }
            match rows_of(&name) {
                None => layout.ignore(name),
                Some((part, shard)) => pieces.entry(part).or_default().push(Piece {
                    name,
                    files: vec![path],
                    shard,
                }),
            }
        }
        for (part, pieces) in pieces {
            let parquet = pieces.iter().find(|piece| piece.name.ends_with(".parquet"));
            // Parquet holds texts or pictures. If there are other rows as well as pictures, the backbone decides which
            // are meant.
            if let (Some(piece), Some(pictures)) = (parquet, layout.pictures.get(&part)) {
                return Err(two_of(
                    folder,
                    part,
                    file_name(pictures),
                    piece.name.clone(),
                ));
            }
            layout.rows.insert(part, whole(folder, part, pieces)?);
        }
        let data = folder.join(DATA);
        match layout.rows.is_empty() && layout.pictures.is_empty() && data.is_dir() {
            true => Self::of(&data),
            false => Ok(layout),
        }
    }

    /// The files of rows of this part.
    pub(crate) fn rows(&self, part: Part) -> Option<&[PathBuf]> {
        self.rows.get(&part).map(Vec::as_slice)
    }

    /// The folder of pictures of this part.
    pub(crate) fn pictures(&self, part: Part) -> Option<&Path> {
        self.pictures.get(&part).map(PathBuf::as_path)
    }

    fn ignore(&mut self, name: String) {
        let lower = name.to_ascii_lowercase();
        let stem = lower.split('.').next().unwrap_or(&lower);
        if !BESIDE.contains(&stem) && !lower.ends_with(".md") && name != TASK_FILE {
            self.ignored.push(name);
        }
    }
}

/// An entry that is a part, or one of several files of a part.
struct Piece {
    name: String,
    files: Vec<PathBuf>,
    shard: Option<Shard>,
}

/// The suffix `-00001-of-00003` after the name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    index: usize,
    count: usize,
}

/// The part whose rows a file of this name holds, and its number if it is one of several files.
fn rows_of(name: &str) -> Option<(Part, Option<Shard>)> {
    let (stem, ending) = name.split_once('.')?;
    if !ROWS.contains(&&*ending.to_ascii_lowercase()) {
        return None;
    }
    if let Some(part) = Part::called(stem) {
        return Some((part, None));
    }
    let (stem, count) = stem.rsplit_once("-of-")?;
    let (stem, index) = stem.rsplit_once('-')?;
    // Older versions of `datasets` append a fingerprint.
    let count = count.split('-').next().unwrap_or(count);
    let shard = Shard {
        index: index.parse().ok()?,
        count: count.parse().ok()?,
    };
    Some((Part::called(stem)?, Some(shard)))
}

/// All files of a part in order. They must be a single entry, or all of several that belong together.
fn whole(folder: &Path, part: Part, mut pieces: Vec<Piece>) -> Result<Vec<PathBuf>, TaskError> {
    pieces.sort_by_key(|piece| piece.shard.map(|shard| shard.index));
    for pair in pieces.windows(2) {
        let together = matches!(
            (pair[0].shard, pair[1].shard),
            (Some(one), Some(next)) if one.count == next.count && one.index < next.index
        );
        if !together {
            let names = [&pair[0], &pair[1]].map(|piece| piece.name.clone());
            return Err(two_of(folder, part, names[0].clone(), names[1].clone()));
        }
    }
    if let Some(Piece {
        shard: Some(Shard { count, .. }),
        ..
    }) = pieces.first()
        && pieces.len() != *count
    {
        return Err(TaskError::MissingFiles {
            folder: folder.to_owned(),
            part,
            found: pieces.len(),
            count: *count,
        });
    }
    Ok(pieces.into_iter().flat_map(|piece| piece.files).collect())
}

/// The Parquet files of a folder, sorted by name. `None` if the folder contains other folders.
fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let entries = entries(folder)?;
    if entries.iter().any(|(path, _)| path.is_dir()) {
        return Ok(Vec::new());
    }
    let files = entries.into_iter().map(|(path, _)| path);
    Ok(files.filter(|path| is_parquet(path)).collect())
}

/// Whether the file's name has the ending of Parquet.
pub(crate) fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

fn two_of(folder: &Path, part: Part, first: String, second: String) -> TaskError {
    TaskError::TwoOfOnePart {
        folder: folder.to_owned(),
        part,
        names: [first, second],
    }
}

/// The entries that are not hidden, with their names, sorted by name.
///
/// # Errors
/// If the folder cannot be read, or if a name is not UTF-8.
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
        let name = |part| found.rows(part).map(|files| file_name(&files[0]));
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
        assert!(layout(&["train.parquet"], &["train"]).is_err());
        // Rows and pictures may have the same name: the backbone decides which are meant.
        assert!(layout(&["train.jsonl"], &["train"]).is_ok());
    }

    #[test]
    fn several_files_are_one_part() {
        let files = [
            "train-00001-of-00002-c7dbc7f1cd9ae4a3.parquet",
            "train-00000-of-00002-8a3f9c1d2e4b5a60.parquet",
            "validation-00000-of-00001.jsonl.gz",
            "test-set.csv",
        ];
        let found = layout(&files, &[]).unwrap();
        let names: Vec<String> = found
            .rows(Part::Train)
            .unwrap()
            .iter()
            .map(|path| file_name(path))
            .collect();
        assert_eq!(names, [files[1], files[0]]);
        assert_eq!(found.rows(Part::Validation).unwrap().len(), 1);
        assert_eq!(found.ignored, ["test-set.csv"]);
        let message = layout(&files[..1], &[]).unwrap_err().to_string();
        assert!(message.contains("1 of 2 files"), "{message}");
        assert!(layout(&[files[1], "train.parquet"], &[]).is_err());
        assert!(layout(&[files[1], "train-00001-of-00003.parquet"], &[]).is_err());
        assert!(layout(&[files[1], "train-00000-of-00002.csv"], &[]).is_err());
    }

    #[test]
    fn a_folder_of_parquet_is_a_part_and_data_is_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        write("data/train/0001.parquet");
        write("data/train/0000.parquet");
        write("data/test-00000-of-00001.parquet");
        write("README.md");
        let found = Layout::of(folder.path()).unwrap();
        let train = found.rows(Part::Train).unwrap();
        assert_eq!(
            (train.len(), file_name(&train[0])),
            (2, "0000.parquet".to_owned())
        );
        assert!(found.rows(Part::Test).is_some() && found.pictures(Part::Train).is_none());
        // If one of the entries is the folder of a class, they are pictures, one of which has an unusual name.
        write("data/train/cat/1.png");
        let found = Layout::of(folder.path()).unwrap();
        assert!(found.pictures(Part::Train).is_some());
    }

    #[test]
    fn what_save_to_disk_wrote_is_named() {
        let message = layout(&["dataset_dict.json"], &["train"])
            .unwrap_err()
            .to_string();
        assert!(message.contains("to_parquet"), "{message}");
    }
}
