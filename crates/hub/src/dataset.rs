//! The Parquet files of a dataset from which a task is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use adaplace_task::Part;

use crate::HubError;
use crate::download::Server;
use crate::name::DatasetName;

/// The branch that the hub keeps for every public dataset with all of it converted to Parquet:
/// `SUBSET/SPLIT/0000.parquet` and so on.
pub(crate) const CONVERTED: &str = "refs/convert/parquet";

/// The name of a dataset's only subset.
const DEFAULT: &str = "default";

/// A Parquet file whose path tells which split and subset it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SplitFile {
    subset: String,
    split: String,
    /// The path within the dataset.
    path: String,
}

impl SplitFile {
    /// Recognises `SUBSET/SPLIT/0000.parquet` as the hub writes it, and `SPLIT.parquet` and
    /// `SPLIT-00000-of-00002.parquet` as the library `datasets` does, in the folder of a subset, in `data` or in no
    /// folder.
    fn at(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let (subset, split) = match parts[..] {
            [subset, split, file] if file.ends_with(".parquet") => (subset, split),
            [folder, file] => {
                let subset = if folder == "data" { DEFAULT } else { folder };
                (subset, split_of(file)?)
            }
            [file] => (DEFAULT, split_of(file)?),
            _ => return None,
        };
        // They become folders and files of the cache.
        let sound =
            |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains('\\');
        parts.iter().all(sound).then(|| Self {
            subset: subset.to_owned(),
            split: split.to_owned(),
            path: path.to_owned(),
        })
    }

    fn is(&self, part: Part) -> bool {
        part.names().contains(&&*self.split)
    }

    fn is_part(&self) -> bool {
        Part::ALL.iter().any(|&part| self.is(part))
    }
}

/// The split of `train.parquet`, or of `train-00000-of-00002.parquet`.
fn split_of(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".parquet")?;
    let Some((before, count)) = stem.rsplit_once("-of-") else {
        return Some(stem);
    };
    let (split, index) = before.rsplit_once('-')?;
    // Older versions of `datasets` append a fingerprint.
    let count = count.split('-').next().unwrap_or(count);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(index) && digits(count)).then_some(split)
}

/// The files of all subsets.
fn splits<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<SplitFile> {
    let mut files: Vec<SplitFile> = paths.into_iter().filter_map(SplitFile::at).collect();
    files.sort();
    files
}

/// The subset to use: the one asked for, the only one, or the default.
fn subset<'a>(files: &'a [SplitFile], name: &DatasetName) -> Result<&'a str, Vec<String>> {
    let subsets: BTreeSet<&str> = files.iter().map(|file| file.subset.as_str()).collect();
    let wanted = name.subset.as_deref().unwrap_or(DEFAULT);
    let mut one = subsets.iter().copied();
    match (one.next(), one.next()) {
        (Some(only), None) if name.subset.is_none() => Ok(only),
        _ => subsets
            .get(wanted)
            .copied()
            .ok_or_else(|| subsets.iter().map(|&subset| subset.to_owned()).collect()),
    }
}

/// The folder of the subset to which `file` belongs, in this snapshot.
fn folder(snapshot: &Path, file: &SplitFile) -> PathBuf {
    let path = Path::new(&file.path);
    // In the hub's layout every split is a folder.
    let depth = path.components().count();
    let folder = path.ancestors().nth(if depth == 3 { 2 } else { 1 });
    snapshot.join(folder.unwrap_or(Path::new("")))
}

/// The folder of the task in a snapshot of the cache, if all of it is there. Its first training file is the last one to
/// be downloaded.
pub(crate) fn cached(snapshot: &Path, name: &DatasetName) -> Option<PathBuf> {
    let mut paths = Vec::new();
    collect(snapshot, "", &mut paths);
    let files = splits(paths.iter().map(String::as_str));
    let subset = subset(&files, name).ok()?;
    let first = files
        .iter()
        .find(|file| file.subset == subset && file.is(Part::Train))?;
    let stem = Path::new(&first.path).file_stem()?.to_string_lossy();
    let is_first = stem == "0000" || stem == first.split || stem.contains("-00000-of-");
    is_first.then(|| folder(snapshot, first))
}

/// Whether it is certain which subset a snapshot contains, even if it was loaded without the name of a subset.
pub(crate) fn is_definite(folder: &Path, name: &DatasetName) -> bool {
    let last = folder.file_name();
    name.subset.is_some() || last.is_some_and(|last| last == DEFAULT || last == "data")
}

/// Collects the paths of all files below a folder, with `/` as the separator.
fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        match entry.path().is_dir() {
            true => collect(&entry.path(), &format!("{path}/"), paths),
            // This skips links to files that were removed.
            false if entry.path().exists() => paths.push(path),
            false => {}
        }
    }
}

/// Downloads the Parquet files of the parts of a task and returns their folder.
pub(crate) fn download(server: &Server<'_>, name: &DatasetName) -> Result<PathBuf, HubError> {
    let commit = server.commit()?;
    let files = splits(commit.files.iter().map(String::as_str));
    let no_task = || HubError::NoTask {
        name: name.to_string(),
        endpoint: server.endpoint().to_owned(),
        files: commit
            .files
            .iter()
            .filter(|path| path.ends_with(".parquet"))
            .cloned()
            .collect(),
    };
    if files.is_empty() {
        return Err(no_task());
    }
    let subset = subset(&files, name).map_err(|subsets| HubError::WhichSubset {
        name: name.to_string(),
        repository: name.repository.repository().to_owned(),
        endpoint: server.endpoint().to_owned(),
        subsets,
    })?;
    let parts = || {
        files
            .iter()
            .filter(|file| file.subset == subset && file.is_part())
    };
    let Some(first) = parts().find(|file| file.is(Part::Train)) else {
        return Err(no_task());
    };
    for file in parts().filter(|file| *file != first) {
        commit.fetch(&file.path)?;
    }
    commit.fetch(&first.path)?;
    let folder = folder(&commit.snapshot.folder, first);
    commit.keep()?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_say_subset_and_split() {
        for (path, expected) in [
            ("sst2/validation/0003.parquet", Some(("sst2", "validation"))),
            (
                "data/train-00000-of-00002.parquet",
                Some(("default", "train")),
            ),
            (
                "data/test-00000-of-00001-c7dbc7f1cd9ae4a3.parquet",
                Some(("default", "test")),
            ),
            ("plain_text/test.parquet", Some(("plain_text", "test"))),
            ("train.parquet", Some(("default", "train"))),
            ("train-of-thought.parquet", None),
            ("data/train.csv", None),
            ("a/b/c/d.parquet", None),
            ("../train/0000.parquet", None),
            ("a//0000.parquet", None),
        ] {
            let found = SplitFile::at(path);
            let found = found.as_ref().map(|file| (&*file.subset, &*file.split));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn the_subset_is_named_or_the_only_one() {
        let name = |text| DatasetName::parse(text).unwrap();
        let of = |subsets: &[&str], text| {
            let paths: Vec<String> = subsets
                .iter()
                .map(|one| format!("{one}/train/0000.parquet"))
                .collect();
            let files = splits(paths.iter().map(String::as_str));
            subset(&files, &name(text)).map(str::to_owned)
        };
        let (one, several) = (&["a"][..], &["a", "b"][..]);
        assert_eq!(of(one, "org/name").unwrap(), "a");
        assert_eq!(of(several, "org/name:b").unwrap(), "b");
        assert_eq!(of(&["a", "default"], "org/name").unwrap(), "default");
        assert_eq!(of(several, "org/name").unwrap_err(), ["a", "b"]);
        assert_eq!(of(one, "org/name:b").unwrap_err(), ["a"]);
    }

    #[test]
    fn a_task_is_there_with_its_first_training_file() {
        let snapshot = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = snapshot.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let found = |text: &str| cached(snapshot.path(), &DatasetName::parse(text).unwrap());
        write("sst2/test/0000.parquet");
        write("sst2/train/0001.parquet");
        assert_eq!(found("org/glue:sst2"), None);
        write("sst2/train/0000.parquet");
        assert_eq!(
            found("org/glue:sst2").unwrap(),
            snapshot.path().join("sst2")
        );
        assert_eq!(found("org/glue:cola"), None);
        write("data/train-00001-of-00002.parquet");
        assert_eq!(found("org/glue"), None);
        write("data/train-00000-of-00002.parquet");
        assert_eq!(found("org/glue").unwrap(), snapshot.path().join("data"));
    }
}
