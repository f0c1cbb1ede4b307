use std::path::PathBuf;

/// Why a model could not be had from the hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No place for the cache.
    #[error("there is no home folder for the cache of the hub; set `HF_HOME` to a folder")]
    NoHome,
    /// The server cannot be reached, or says nothing that can be understood.
    #[error(
        "cannot reach `{endpoint}` for `{model}`: {reason}; check the connection, or give the folder of a model"
    )]
    Unreachable {
        /// The model asked for.
        model: String,
        /// The server.
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// `HF_HUB_OFFLINE` is set.
    #[error(
        "`{model}` is not in the cache `{cache}`, and `HF_HUB_OFFLINE` forbids to download it; load it once without that"
    )]
    Offline {
        /// The model asked for.
        model: String,
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
    /// No model of this name.
    #[error(
        "`{endpoint}` shows you no model `{model}`; correct the name, or if the model is private give a token in `HF_TOKEN` that may read it"
    )]
    NoModel {
        /// The model asked for.
        model: String,
        /// The server.
        endpoint: String,
    },
    /// The model has no such branch, tag or commit.
    #[error(
        "`{repository}` at `{endpoint}` has no revision `{revision}`; give a branch, tag or commit of it"
    )]
    NoRevision {
        /// The model without its revision.
        repository: String,
        /// The revision asked for.
        revision: String,
        /// The server.
        endpoint: String,
    },
    /// The model is there, but not for this user.
    #[error(
        "`{endpoint}` does not let you read `{model}`; accept its terms there and give a token in `HF_TOKEN` that may read it"
    )]
    Denied {
        /// The model asked for.
        model: String,
        /// The server.
        endpoint: String,
    },
    /// A file that a backbone cannot do without.
    #[error("`{model}` at `{endpoint}` has no file `{file}`; {advice}")]
    MissingFile {
        /// The model asked for.
        model: String,
        /// The server.
        endpoint: String,
        /// Its name in the model.
        file: String,
        /// What to do.
        advice: &'static str,
    },
    /// The server answers with an error.
    #[error(
        "`{endpoint}` answers with the status {status} for {what} of `{model}`; try again later"
    )]
    Status {
        /// The model asked for.
        model: String,
        /// The server.
        endpoint: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// A download that broke off.
    #[error(
        "cannot download `{file}` of `{model}`: {reason}; run the same command again: it goes on where it broke off"
    )]
    Download {
        /// The model asked for.
        model: String,
        /// Its name in the model.
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// The content is not the announced one.
    #[error(
        "`{file}` of `{model}` has the sha256 {found}, the server announced {announced}; it was removed again: run the same command to download it anew"
    )]
    WrongHash {
        /// The model asked for.
        model: String,
        /// Its name in the model.
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
