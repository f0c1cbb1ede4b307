use std::path::PathBuf;

use crate::Kind;

/// Why a model or dataset could not be had from the hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No place for the cache.
    #[error("there is no home folder for the cache of the hub; set `HF_HOME` to a folder")]
    NoHome,
    /// The server cannot be reached, or says nothing that can be understood.
    #[error(
        "cannot reach `{endpoint}` for `{name}`: {reason}; check the connection, or give a folder"
    )]
    Unreachable {
        /// What was asked for.
        name: String,
        /// The server.
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// `HF_HUB_OFFLINE` is set.
    #[error(
        "`{name}` is not in the cache `{cache}`, and `HF_HUB_OFFLINE` forbids to download it; load it once without that"
    )]
    Offline {
        /// What was asked for.
        name: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// A model's folder in the cache that does not say which of its commits is meant.
    #[error(
        "`{folder}` holds several snapshots: {}; give one of them as `{folder}/snapshots/COMMIT`, or the model's name",
        commits.join(", ")
    )]
    SeveralSnapshots {
        /// The folder.
        folder: PathBuf,
        /// Their names.
        commits: Vec<String>,
    },
    /// The cache instead of a model.
    #[error("`{folder}` is the cache of the hub; give the name of a model: {}", models.join(", "))]
    WholeCache {
        /// The folder.
        folder: PathBuf,
        /// What it holds.
        models: Vec<String>,
    },
    /// Nothing of this name.
    #[error(
        "`{endpoint}` shows you no {kind} `{name}`; correct the name, or if it is private give a token in `HF_TOKEN` that may read it"
    )]
    NoRepository {
        /// Whether a model or a dataset was asked for.
        kind: Kind,
        /// Its name.
        name: String,
        /// The server.
        endpoint: String,
    },
    /// There is no such branch, tag or commit.
    #[error(
        "`{repository}` at `{endpoint}` has no revision `{revision}`; give a branch, tag or commit of it"
    )]
    NoRevision {
        /// The name without its revision.
        repository: String,
        /// The revision asked for.
        revision: String,
        /// The server.
        endpoint: String,
    },
    /// It is there, but not for this user.
    #[error(
        "`{endpoint}` does not let you read `{name}`; accept its terms there and give a token in `HF_TOKEN` that may read it"
    )]
    Denied {
        /// What was asked for.
        name: String,
        /// The server.
        endpoint: String,
    },
    /// A file that is needed.
    #[error("`{name}` at `{endpoint}` has no file `{file}`; {advice}")]
    MissingFile {
        /// What was asked for.
        name: String,
        /// The server.
        endpoint: String,
        /// Its name in the repository.
        file: String,
        /// What to do.
        advice: &'static str,
    },
    /// A dataset without Parquet files that are laid out as the hub or the library `datasets` does.
    #[error(
        "`{name}` at `{endpoint}` has no Parquet files of a `train` split{}; download the dataset and give its folder",
        found(files)
    )]
    NoTask {
        /// What was asked for.
        name: String,
        /// The server.
        endpoint: String,
        /// Some of the Parquet files that there are.
        files: Vec<String>,
    },
    /// A dataset of several subsets.
    #[error(
        "`{name}` at `{endpoint}` has the subsets {}; give one as `{repository}:SUBSET`", subsets.join(", ")
    )]
    WhichSubset {
        /// What was asked for.
        name: String,
        /// The name without subset and revision.
        repository: String,
        /// The server.
        endpoint: String,
        /// Their names.
        subsets: Vec<String>,
    },
    /// The server answers with an error.
    #[error(
        "`{endpoint}` answers with the status {status} for {what} of `{name}`; try again later"
    )]
    Status {
        /// What was asked for.
        name: String,
        /// The server.
        endpoint: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// A download that broke off.
    #[error(
        "cannot download `{file}` of `{name}`: {reason}; run the same command again: it goes on where it broke off"
    )]
    Download {
        /// What was asked for.
        name: String,
        /// Its name in the repository.
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// The content is not the announced one.
    #[error(
        "`{file}` of `{name}` has the sha256 {found}, the server announced {announced}; it was removed: run the same command to download it again"
    )]
    WrongHash {
        /// What was asked for.
        name: String,
        /// Its name in the repository.
        file: String,
        /// What the server said.
        announced: String,
        /// What arrived.
        found: String,
    },
    /// An index of shards that cannot be read.
    #[error("`{path}` is no index of weight files: {reason}")]
    Index {
        /// The index in the cache.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The cache cannot be read or written.
    #[error(
        "cannot use `{path}` in the cache: {source}; check the free space and the permissions, or set `HF_HOME`"
    )]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn found(files: &[String]) -> String {
    match files {
        [] => String::new(),
        [first, ..] => format!(", but for example `{first}`"),
    }
}
