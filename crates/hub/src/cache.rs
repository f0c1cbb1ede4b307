//! Repositories in the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;

use crate::{HubError, Kind, RepositoryName};

/// The description of the architecture, without which nothing works.
pub(crate) const CONFIGURATION: &str = "config.json";
/// The weights, if they are in one file.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// The index of the weights, if they are in several files.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// The optional files of a backbone. The cache records which of them the model does not have, because a missing one
/// changes the backbone.
pub(crate) const OPTIONAL: [&str; 12] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentence_bert_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "modules.json",
    "1_Pooling/config.json",
];

/// One commit of a repository in the cache.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The folder with the files of the commit.
    pub(crate) folder: PathBuf,
    /// The folder with the names of files that the commit is known not to have.
    absent: PathBuf,
}

/// The extent to which a model is in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// Everything is there.
    Full,
    /// The configuration and the weights are there, but it is unknown whether the model has other files.
    Usable,
    /// Something is missing.
    Partial,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Snapshot {
    /// The commit to which the name referred when it was last loaded, or the commit that it names directly.
    pub(crate) fn find(cache: &Cache, name: &RepositoryName) -> Option<Self> {
        let repository = repository(cache, name);
        let reference = repository.join("refs").join(name.revision());
        let commit = match fs::read_to_string(reference) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => name.revision().to_owned(),
        };
        let snapshot = Self::of(cache, name, &commit);
        snapshot.folder.is_dir().then_some(snapshot)
    }

    /// The snapshot of this commit, whether it exists or not.
    pub(crate) fn of(cache: &Cache, name: &RepositoryName, commit: &str) -> Self {
        let repository = repository(cache, name);
        Self {
            folder: repository.join("snapshots").join(commit),
            absent: repository.join(".no_exist").join(commit),
        }
    }

    pub(crate) fn completeness(&self) -> Completeness {
        let there = |file: &str| self.folder.join(file).is_file();
        let weights = there(WEIGHTS)
            || shards(&self.folder.join(INDEX))
                .is_ok_and(|shards| shards.iter().all(|shard| there(shard)));
        if !there(CONFIGURATION) || !weights {
            return Completeness::Partial;
        }
        let known = |file: &&str| there(file) || self.absent.join(file).exists();
        match OPTIONAL.iter().all(known) {
            true => Completeness::Full,
            false => Completeness::Usable,
        }
    }

    /// Records that the model does not have this file.
    pub(crate) fn note_absent(&self, file: &str) -> Result<(), HubError> {
        let path = self.absent.join(file);
        let folder = path.parent().unwrap_or(&self.absent);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, []))
            .map_err(|source| HubError::Cache { path, source })
    }
}

/// The files that an index of shards names.
pub(crate) fn shards(index: &Path) -> Result<BTreeSet<String>, HubError> {
    let refuse = |reason: String| HubError::Index {
        path: index.to_owned(),
        reason,
    };
    let bytes = fs::read(index).map_err(|error| refuse(error.to_string()))?;
    let ShardIndex { weight_map } =
        serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    // They become paths in the cache, so they must not lead out of it.
    match shards.iter().find(|shard| shard.contains(['/', '\\'])) {
        Some(shard) => Err(refuse(format!(
            "`{shard}` is not the name of a file next to it"
        ))),
        None => Ok(shards),
    }
}

/// The repository in the form that `hf-hub` uses.
pub(crate) fn repo(name: &RepositoryName, revision: &str) -> Repo {
    let kind = match name.kind() {
        Kind::Model => RepoType::Model,
        Kind::Dataset => RepoType::Dataset,
    };
    Repo::with_revision(name.repository().to_owned(), kind, revision.to_owned())
}

fn repository(cache: &Cache, name: &RepositoryName) -> PathBuf {
    cache.path().join(repo(name, name.revision()).folder_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, file: &str, content: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn a_model_is_full_when_nothing_about_it_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let name = RepositoryName::parse(Kind::Model, "org/name@v1").unwrap();
        assert!(Snapshot::find(&cache, &name).is_none());
        let model = folder.path().join("models--org--name");
        write(&model, "refs/v1", "0123abc\n");
        write(&model, "snapshots/0123abc/config.json", "{}");

        let snapshot = Snapshot::find(&cache, &name).unwrap();
        assert_eq!(snapshot.completeness(), Completeness::Partial);
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        write(&snapshot.folder, INDEX, index);
        write(&snapshot.folder, "1.safetensors", "");
        assert_eq!(snapshot.completeness(), Completeness::Partial);
        write(&snapshot.folder, "2.safetensors", "");
        write(&snapshot.folder, "tokenizer.json", "");
        assert_eq!(snapshot.completeness(), Completeness::Usable);
        for absent in &OPTIONAL[1..] {
            assert_eq!(snapshot.completeness(), Completeness::Usable);
            snapshot.note_absent(absent).unwrap();
        }
        assert_eq!(snapshot.completeness(), Completeness::Full);

        // The commit is also a name of the snapshot.
        let by_commit = RepositoryName::parse(Kind::Model, "org/name@0123abc").unwrap();
        let found = Snapshot::find(&cache, &by_commit).unwrap();
        assert_eq!(found.folder, snapshot.folder);
    }

    #[test]
    fn an_index_leads_out_of_its_folder_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INDEX);
        for content in [
            r#"{"weight_map": {"a": "../../b.safetensors"}}"#,
            r#"{"weight_map": 3}"#,
            "",
        ] {
            fs::write(&path, content).unwrap();
            assert!(shards(&path).unwrap_err().to_string().contains(INDEX));
        }
    }
}
