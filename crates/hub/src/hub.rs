use std::path::{Path, PathBuf};

use hf_hub::Cache;

use crate::cache::{CONFIGURATION, Completeness, Snapshot};
use crate::download::Server;
use crate::name::DatasetName;
use crate::{HubError, Kind, RepositoryName, dataset, model};

/// The cache on this machine and the server from which it is filled.
#[derive(Debug)]
pub struct Hub {
    cache: Cache,
    /// The address of the server, if it is not the client's default.
    endpoint: Option<String>,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    /// The cache and the server that the environment specifies, in the same way as for other tools of the hub:
    /// `HF_ENDPOINT`; `HF_HUB_CACHE`, or `HF_HOME` and the folder `hub` in it, or `~/.cache/huggingface/hub`;
    /// `HF_TOKEN`, or the file `token` in `HF_HOME` or `~/.cache/huggingface`; `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// If there is no place for the cache: the variables do not name one, and the user has no home folder.
    pub fn from_environment() -> Result<Self, HubError> {
        let variable = |name: &str| {
            let value = std::env::var(name).ok()?;
            let value = value.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let home = match variable("HF_HOME") {
            Some(folder) => Some(Cache::new(PathBuf::from(folder).join("hub"))),
            // The default of the cache assumes that there is a home folder.
            None => std::env::home_dir().map(|_| Cache::default()),
        };
        let token = variable("HF_TOKEN").or_else(|| home.as_ref()?.token());
        let cache = match variable("HF_HUB_CACHE") {
            Some(folder) => Some(Cache::new(PathBuf::from(folder))),
            None => home,
        };
        let endpoint = variable("HF_ENDPOINT").map(|url| url.trim_end_matches('/').to_owned());
        let offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| ["1", "on", "yes", "true"].contains(&&*value.to_lowercase()));
        Ok(Self {
            cache: cache.ok_or(HubError::NoHome)?,
            endpoint,
            token,
            offline,
        })
    }

    /// The folder with the files of the model from which a backbone is read, downloaded if they are not in the cache.
    ///
    /// If the server announces the sha256 of a file, the file is checked against it and removed if it differs.
    ///
    /// # Errors
    /// If the model is not in the cache and cannot be downloaded in full. What has arrived stays for the next time.
    pub fn snapshot(&self, name: &RepositoryName) -> Result<PathBuf, HubError> {
        let cached = Snapshot::find(&self.cache, name);
        let completeness = cached.as_ref().map(Snapshot::completeness);
        if let (Some(snapshot), Some(Completeness::Full)) = (&cached, completeness) {
            return Ok(snapshot.folder.clone());
        }
        let downloaded = match self.offline {
            true => Err(self.is_offline(&name)),
            false => self
                .server(name)
                .and_then(|server| model::download(&server)),
        };
        match (downloaded, cached, completeness) {
            (
                Err(HubError::Unreachable { .. } | HubError::Offline { .. }),
                Some(snapshot),
                Some(Completeness::Usable),
            ) => {
                tracing::warn!(
                    "cannot ask the server whether `{name}` has more files than the cache; continuing with the files in the cache"
                );
                Ok(snapshot.folder)
            }
            (downloaded, ..) => downloaded,
        }
    }
}

impl Hub {
    /// The folder of a task: the Parquet files of a dataset, downloaded if they are not in the cache. If the name has
    /// no revision, these are the files into which the hub converted the dataset, or else its own.
    ///
    /// # Errors
    /// The errors of [`Self::snapshot`]. Also if the dataset has no training split in Parquet, or if it has several
    /// subsets and the name selects none of them.
    pub fn task(&self, name: &DatasetName) -> Result<PathBuf, HubError> {
        let revisions = match name.repository.has_revision() {
            true => vec![name.repository.clone()],
            false => vec![
                name.repository.at(dataset::CONVERTED),
                name.repository.clone(),
            ],
        };
        let snapshots = revisions.iter();
        let cached = snapshots.filter_map(|revision| Snapshot::find(&self.cache, revision));
        let cached = cached
            .filter_map(|snapshot| dataset::cached(&snapshot.folder, name))
            .next();
        match &cached {
            Some(folder) if dataset::is_definite(folder, name) => return Ok(folder.clone()),
            _ => {}
        }
        if self.offline {
            return cached.ok_or_else(|| self.is_offline(&name));
        }
        let mut last = None;
        for revision in &revisions {
            let downloaded = self
                .server(revision)
                .and_then(|server| dataset::download(&server, name));
            match (downloaded, &cached) {
                // A private dataset has no such branch.
                (Err(error @ (HubError::NoRevision { .. } | HubError::NoTask { .. })), _) => {
                    last = Some(error);
                }
                (Err(HubError::Unreachable { .. }), Some(folder)) => {
                    tracing::warn!(
                        "cannot ask the server whether `{name}` has subsets other than the one in the cache; continuing with that one"
                    );
                    return Ok(folder.clone());
                }
                (downloaded, _) => return downloaded,
            }
        }
        Err(last.expect("there is at least one revision"))
    }

    fn server<'a>(&'a self, name: &'a RepositoryName) -> Result<Server<'a>, HubError> {
        let (endpoint, token) = (self.endpoint.as_deref(), self.token.as_deref());
        Server::new(endpoint, &self.cache, token, name)
    }

    fn is_offline(&self, name: &dyn std::fmt::Display) -> HubError {
        HubError::Offline {
            name: name.to_string(),
            cache: self.cache.path().clone(),
        }
    }
}

/// The snapshot in a model's folder of the hub's cache, since that folder is not the model itself. Any other folder is
/// returned as it is.
///
/// # Errors
/// If there are several snapshots and `main` did not last refer to any of them, or if the folder is the whole cache.
fn cached(given: &Path) -> Result<PathBuf, HubError> {
    if given.join(CONFIGURATION).exists() {
        return Ok(given.to_owned());
    }
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    };
    let snapshots = given.join("snapshots");
    let commits = names(&snapshots);
    let main = std::fs::read_to_string(given.join("refs/main")).unwrap_or_default();
    match &commits[..] {
        [only] => return Ok(snapshots.join(only)),
        all if all.iter().any(|commit| commit == main.trim()) => {
            return Ok(snapshots.join(main.trim()));
        }
        [] => {}
        _ => {
            return Err(HubError::SeveralSnapshots {
                folder: given.to_owned(),
                commits,
            });
        }
    }
    let models: Vec<String> = names(given)
        .iter()
        .filter_map(|name| name.strip_prefix("models--"))
        .map(|name| name.replacen("--", "/", 1))
        .collect();
    match models.is_empty() {
        true => Ok(given.to_owned()),
        false => Err(HubError::WholeCache {
            folder: given.to_owned(),
            models,
        }),
    }
}

/// The folder of a backbone that is given as a folder or as the name of a model of the hub. A path that is neither is
/// returned as it is, so that reading it reports the error.
///
/// # Errors
/// If there is no such folder, the path can be a name, and the model cannot be fetched from the hub.
pub fn backbone_folder(given: &Path) -> Result<PathBuf, HubError> {
    if given.exists() {
        return cached(given);
    }
    let text = given.to_str();
    match text.and_then(|text| RepositoryName::parse(Kind::Model, text)) {
        None => Ok(given.to_owned()),
        Some(name) => Hub::from_environment()?.snapshot(&name),
    }
}

/// The folder of a task that is given as a folder or as the name of a dataset of the hub. A path that is neither is
/// returned as it is, so that reading it reports the error.
///
/// # Errors
/// If there is no such folder, the path can be a name, and the dataset cannot be fetched from the hub.
pub fn task_folder(given: &Path) -> Result<PathBuf, HubError> {
    match given.to_str().and_then(DatasetName::parse) {
        Some(name) if !given.exists() => Hub::from_environment()?.task(&name),
        _ => Ok(given.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_of_the_cache_leads_to_its_model() {
        let cache = tempfile::tempdir().unwrap();
        let model = cache.path().join("models--org--name");
        let write = |path: &str, content: &str| {
            let path = model.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("snapshots/0123/config.json", "{}");
        let of = |folder: &Path| backbone_folder(folder);
        let snapshot = |commit| model.join("snapshots").join(commit);
        assert_eq!(of(&model).unwrap(), snapshot("0123"));
        assert_eq!(of(&snapshot("0123")).unwrap(), snapshot("0123"));
        write("snapshots/4567/config.json", "{}");
        let message = of(&model).unwrap_err().to_string();
        assert!(
            message.contains("several snapshots: 0123, 4567"),
            "{message}"
        );
        write("refs/main", "4567\n");
        assert_eq!(of(&model).unwrap(), snapshot("4567"));
        let message = of(cache.path()).unwrap_err().to_string();
        assert!(
            message.contains("use the name of a model: org/name"),
            "{message}"
        );
        // Any other folder is returned as it is.
        let other = cache.path().join("other");
        fs::create_dir(&other).unwrap();
        assert_eq!(of(&other).unwrap(), other);
    }
}
