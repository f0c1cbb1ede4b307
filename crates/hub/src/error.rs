use std::path::PathBuf;

use crate::Kind;

/// An error while a model or dataset is fetched from the hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no place for the cache.
    #[error("there is no home folder for the cache of the hub; set `HF_HOME` to a folder")]
    NoHome,
    /// The server cannot be reached, or its response cannot be understood.
    #[error(
        "cannot reach `{endpoint}` for `{name}`: {reason}; check the connection, or use a folder"
    )]
    Unreachable {
        /// The name asked for.
        name: String,
        /// The address of the server.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// `HF_HUB_OFFLINE` is set, and the model or dataset is not in the cache.
    #[error(
        "`{name}` is not in the cache `{cache}`, and `HF_HUB_OFFLINE` forbids downloading it; run once without that variable"
    )]
    Offline {
        /// The name asked for.
        name: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// A model's folder in the cache has several commits, and none of them is preferred.
    #[error(
        "`{folder}` holds several snapshots: {}; use one of them as `{folder}/snapshots/COMMIT`, or the model's name",
        commits.join(", ")
    )]
    SeveralSnapshots {
        /// The folder of the model.
        folder: PathBuf,
        /// The names of the commits.
        commits: Vec<String>,
    },
    /// The folder is the whole cache instead of a model.
    #[error("`{folder}` is the cache of the hub; use the name of a model: {}", models.join(", "))]
    WholeCache {
        /// The folder of the cache.
        folder: PathBuf,
        /// The names of the models in the cache.
        models: Vec<String>,
    },
    /// The server has nothing of this name.
    #[error(
        "`{endpoint}` has no {kind} `{name}` that you can see; correct the name, or if it is private set `HF_TOKEN` to a token that may read it"
    )]
    NoRepository {
        /// Whether a model or a dataset was asked for.
        kind: Kind,
        /// The name asked for.
        name: String,
        /// The address of the server.
        endpoint: String,
    },
    /// There is no such branch, tag or commit.
    #[error(
        "`{repository}` at `{endpoint}` has no revision `{revision}`; use one of its branches, tags or commits"
    )]
    NoRevision {
        /// The name without its revision.
        repository: String,
        /// The revision asked for.
        revision: String,
        /// The address of the server.
        endpoint: String,
    },
    /// The user may not read the repository.
    #[error(
        "`{endpoint}` does not let you read `{name}`; accept its terms there and set `HF_TOKEN` to a token that may read it"
    )]
    Denied {
        /// The name asked for.
        name: String,
        /// The address of the server.
        endpoint: String,
    },
    /// The repository lacks a file that is needed.
    #[error("`{name}` at `{endpoint}` has no file `{file}`; {advice}")]
    MissingFile {
        /// The name asked for.
        name: String,
        /// The address of the server.
        endpoint: String,
        /// The name of the file in the repository.
        file: String,
        /// The advice to the user.
        advice: &'static str,
    },
    /// The dataset has no Parquet files in the layout of the hub or of the library `datasets`.
    #[error(
        "`{name}` at `{endpoint}` has no Parquet files of a `train` split{}; download the dataset and use its folder",
        found(files)
    )]
    NoTask {
        /// The name asked for.
        name: String,
        /// The address of the server.
        endpoint: String,
        /// Some of the Parquet files in the dataset.
        files: Vec<String>,
    },
    /// The dataset has several subsets.
    #[error(
        "`{name}` at `{endpoint}` has the subsets {}; choose one as `{repository}:SUBSET`", subsets.join(", ")
    )]
    WhichSubset {
        /// The name asked for.
        name: String,
        /// The name without subset and revision.
        repository: String,
        /// The address of the server.
        endpoint: String,
        /// The names of the subsets.
        subsets: Vec<String>,
    },
    /// The server answered with an error.
    #[error("`{endpoint}` answered with status {status} for {what} of `{name}`; try again later")]
    Status {
        /// The name asked for.
        name: String,
        /// The address of the server.
        endpoint: String,
        /// The object of the request.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// A download was interrupted.
    #[error(
        "cannot download `{file}` of `{name}`: {reason}; run the same command again to resume the download"
    )]
    Download {
        /// The name asked for.
        name: String,
        /// The name of the file in the repository.
        file: String,
        /// The reason.
        reason: String,
    },
    /// The hash of a file is not the announced one.
    #[error(
        "`{file}` of `{name}` has the sha256 {found}, but the server announced {announced}; the file was removed, so run the same command again to download it"
    )]
    WrongHash {
        /// The name asked for.
        name: String,
        /// The name of the file in the repository.
        file: String,
        /// The hash that the server announced.
        announced: String,
        /// The hash of the file that arrived.
        found: String,
    },
    /// An index of shards cannot be read.
    #[error("`{path}` is not an index of weight files: {reason}")]
    Index {
        /// The index in the cache.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The cache cannot be read or written.
    #[error(
        "cannot use `{path}` in the cache: {source}; check the free space and the permissions, or set `HF_HOME`"
    )]
    Cache {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

fn found(files: &[String]) -> String {
    match files {
        [] => String::new(),
        [first, ..] => format!(", but for example `{first}`"),
    }
}
