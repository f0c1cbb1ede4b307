//! What is not in the cache, from the server.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::Cache;
use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use sha2::{Digest, Sha256};

use crate::cache::{self, CONFIGURATION, INDEX, OPTIONAL, Snapshot, WEIGHTS};
use crate::{HubError, ModelName};

/// The list of a model's files is short: a server that takes longer for it is not there.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server with one model of it.
pub(crate) struct Server<'a> {
    /// Its address.
    endpoint: String,
    cache: &'a Cache,
    name: &'a ModelName,
    api: Api,
}

impl<'a> Server<'a> {
    /// At `endpoint`, or where the client looks by itself.
    pub(crate) fn new(
        endpoint: Option<&str>,
        cache: &'a Cache,
        token: Option<&str>,
        name: &'a ModelName,
    ) -> Result<Self, HubError> {
        let mut builder =
            ApiBuilder::from_cache(cache.clone()).with_token(token.map(str::to_owned));
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.to_owned());
        }
        let api = builder.build().map_err(|error| HubError::Unreachable {
            model: name.to_string(),
            endpoint: endpoint.unwrap_or("the hub").to_owned(),
            reason: error.to_string(),
        })?;
        // Files are at ENDPOINT/org/name/resolve/...
        let address = api.repo(cache::repo(name, name.revision())).url("");
        let behind = format!("/{}/resolve/", name.repository());
        let endpoint = address.split(&behind).next().unwrap_or(&address);
        Ok(Self {
            endpoint: endpoint.to_owned(),
            cache,
            name,
            api,
        })
    }

    /// Downloads what a backbone is read from. The revision's name is written down at last, so that it never stands for
    /// a commit that is not there in full.
    pub(crate) fn download(&self) -> Result<PathBuf, HubError> {
        let RepoInfo { sha, siblings } = self.info()?;
        let has = |file: &str| siblings.iter().any(|sibling| sibling.rfilename == file);
        let snapshot = Snapshot::of(self.cache, self.name, &sha);
        // All files by the commit: a revision may move on in between.
        let repo = self.api.repo(cache::repo(self.name, &sha));
        let fetch = |file: &str| self.fetch(&repo, &snapshot, file);

        if !has(CONFIGURATION) {
            return Err(self.missing(CONFIGURATION, "it is no model of transformers"));
        }
        fetch(CONFIGURATION)?;
        for file in OPTIONAL {
            if has(file) {
                fetch(file)?;
            }
        }
        if has(WEIGHTS) {
            fetch(WEIGHTS)?;
        } else if has(INDEX) {
            for shard in cache::shards(&fetch(INDEX)?)? {
                fetch(&shard)?;
            }
        } else {
            let advice = "only weights in the safetensors format are read: look for a model or revision that has them";
            return Err(self.missing(WEIGHTS, advice));
        }
        for file in OPTIONAL {
            if !has(file) {
                snapshot.note_absent(file)?;
            }
        }
        let named = self
            .cache
            .repo(cache::repo(self.name, self.name.revision()));
        named.create_ref(&sha).map_err(|source| HubError::Cache {
            path: snapshot.folder.clone(),
            source,
        })?;
        Ok(snapshot.folder)
    }

    /// The commit that the revision stands for, and its files.
    fn info(&self) -> Result<RepoInfo, HubError> {
        let repo = self.api.repo(cache::repo(self.name, self.name.revision()));
        let request = repo
            .info_request()
            .config()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if status == 200 {
            let info: Result<RepoInfo, _> = response.body_mut().read_json();
            let info = info.map_err(|error| self.unreachable(&error))?;
            // It becomes the name of a folder.
            let digits = info.sha.bytes().all(|byte| byte.is_ascii_hexdigit());
            return match digits && !info.sha.is_empty() {
                true => Ok(info),
                false => Err(HubError::Unreachable {
                    model: self.name.to_string(),
                    endpoint: self.endpoint.clone(),
                    reason: format!("`{}` is no commit", info.sha),
                }),
            };
        }
        let code = response.headers().get("x-error-code");
        let code = code.and_then(|code| code.to_str().ok()).unwrap_or_default();
        let (model, endpoint) = (self.name.to_string(), self.endpoint.clone());
        Err(match (status, code) {
            (_, "RevisionNotFound") => HubError::NoRevision {
                repository: self.name.repository().to_owned(),
                revision: self.name.revision().to_owned(),
                endpoint,
            },
            (_, "GatedRepo") | (403, _) => HubError::Denied { model, endpoint },
            // The server does not say whether a model is private or not there.
            (401 | 404, _) => HubError::NoModel { model, endpoint },
            _ => HubError::Status {
                model,
                endpoint,
                what: "the list of files".to_owned(),
                status,
            },
        })
    }

    /// The file in the cache. One that is there already came without a name for its commit, so it is checked as well.
    fn fetch(&self, repo: &ApiRepo, snapshot: &Snapshot, file: &str) -> Result<PathBuf, HubError> {
        let path = snapshot.folder.join(file);
        if !path.is_file() {
            tracing::info!("downloading `{file}` of `{}`", self.name);
            repo.download(file)
                .or_else(|error| match self.forget_part(repo, file, &error) {
                    true => repo.download(file),
                    false => Err(error),
                })
                .map_err(|error| self.not_downloaded(file, error))?;
        }
        let etag = match fs::read_link(&path) {
            Ok(blob) => blob
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
            // where links cannot be made, the file itself is there
            Err(_) => {
                let metadata = self.api.metadata(&repo.url(file));
                let metadata = metadata.map_err(|error| self.not_downloaded(file, error))?;
                Some(metadata.etag().to_owned())
            }
        };
        match etag {
            Some(etag) if is_sha256(&etag) => self.check(file, &path, etag)?,
            // a file outside of the large file storage; its tag is of another kind
            _ => {}
        }
        Ok(path)
    }

    /// A download goes on at the end of what arrived of it before. Where nothing is left to come, the server refuses that
    /// for ever after: whether there was such a part and it is gone now.
    fn forget_part(&self, repo: &ApiRepo, file: &str, error: &ApiError) -> bool {
        let nothing_left = match error {
            ApiError::InvalidResume => true,
            ApiError::RequestError(error) => matches!(**error, ureq::Error::StatusCode(416)),
            _ => false,
        };
        let part = || {
            let metadata = self.api.metadata(&repo.url(file)).ok()?;
            let repository = self
                .cache
                .repo(cache::repo(self.name, self.name.revision()));
            Some(repository.blob_path(metadata.etag()).with_extension("part"))
        };
        nothing_left && part().is_some_and(|part| fs::remove_file(part).is_ok())
    }

    /// Removes the file if its content is not the announced one.
    fn check(&self, file: &str, path: &Path, announced: String) -> Result<(), HubError> {
        let unusable = |source| HubError::Cache {
            path: path.to_owned(),
            source,
        };
        let found = sha256(path).map_err(unusable)?;
        if found == announced {
            return Ok(());
        }
        if let Ok(blob) = fs::canonicalize(path) {
            fs::remove_file(blob).map_err(unusable)?;
        }
        // Of a link, the blob is gone, but not the link.
        if path.symlink_metadata().is_ok() {
            fs::remove_file(path).map_err(unusable)?;
        }
        Err(HubError::WrongHash {
            model: self.name.to_string(),
            file: file.to_owned(),
            announced,
            found,
        })
    }

    fn missing(&self, file: &str, advice: &'static str) -> HubError {
        HubError::MissingFile {
            model: self.name.to_string(),
            endpoint: self.endpoint.clone(),
            file: file.to_owned(),
            advice,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> HubError {
        HubError::Unreachable {
            model: self.name.to_string(),
            endpoint: self.endpoint.clone(),
            reason: error.to_string(),
        }
    }

    fn not_downloaded(&self, file: &str, error: ApiError) -> HubError {
        let (model, endpoint) = (self.name.to_string(), self.endpoint.clone());
        let status = match &error {
            ApiError::RequestError(error) => match **error {
                ureq::Error::StatusCode(status) => Some(status),
                _ => return self.unreachable(error),
            },
            _ => None,
        };
        match status {
            Some(401 | 403) => HubError::Denied { model, endpoint },
            Some(404) => self.missing(file, "though it lists it: try again later"),
            Some(status) => HubError::Status {
                model,
                endpoint,
                what: format!("`{file}`"),
                status,
            },
            None => HubError::Download {
                model,
                file: file.to_owned(),
                reason: match error {
                    ApiError::LockAcquisition(_) => "another process is downloading it".to_owned(),
                    other => other.to_string(),
                },
            },
        }
    }
}

fn is_sha256(etag: &str) -> bool {
    etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
