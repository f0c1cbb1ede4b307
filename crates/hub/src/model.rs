//! The files from which a backbone is read.

use std::path::PathBuf;

use crate::HubError;
use crate::cache::{self, CONFIGURATION, INDEX, OPTIONAL, WEIGHTS};
use crate::download::Server;

/// Downloads the model and returns the folder of its files.
pub(crate) fn download(server: &Server<'_>) -> Result<PathBuf, HubError> {
    let commit = server.commit()?;
    if !commit.has(CONFIGURATION) {
        return Err(server.missing(CONFIGURATION, "it is not a model of transformers"));
    }
    commit.fetch(CONFIGURATION)?;
    for file in OPTIONAL {
        if commit.has(file) {
            commit.fetch(file)?;
        }
    }
    if commit.has(WEIGHTS) {
        commit.fetch(WEIGHTS)?;
    } else if commit.has(INDEX) {
        for shard in cache::shards(&commit.fetch(INDEX)?)? {
            commit.fetch(&shard)?;
        }
    } else {
        let advice = "only weights in the safetensors format are read; look for a model or revision that has them";
        return Err(server.missing(WEIGHTS, advice));
    }
    for file in OPTIONAL {
        if !commit.has(file) {
            commit.snapshot.note_absent(file)?;
        }
    }
    commit.keep()
}
