//! Downloads from the server what is not in the cache.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::Cache;
use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use sha2::{Digest, Sha256};

use crate::cache::{self, Snapshot};
use crate::{HubError, RepositoryName};

/// The timeout for the list of a repository's files. The list is short, so a server that takes longer is considered
/// unreachable.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server, with one of its repositories.
pub(crate) struct Server<'a> {
    /// The address of the server.
    endpoint: String,
    cache: &'a Cache,
    name: &'a RepositoryName,
    api: Api,
}

impl<'a> Server<'a> {
    /// The server at `endpoint`, or the client's default server.
    pub(crate) fn new(
        endpoint: Option<&str>,
        cache: &'a Cache,
        token: Option<&str>,
        name: &'a RepositoryName,
    ) -> Result<Self, HubError> {
        let mut builder =
            ApiBuilder::from_cache(cache.clone()).with_token(token.map(str::to_owned));
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.to_owned());
        }
        let api = builder.build().map_err(|error| HubError::Unreachable {
            name: name.to_string(),
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

    /// The commit to which the revision refers.
    pub(crate) fn commit(&self) -> Result<Commit<'_>, HubError> {
        let RepoInfo { sha, siblings } = self.info()?;
        Ok(Commit {
            server: self,
            snapshot: Snapshot::of(self.cache, self.name, &sha),
            // All files are requested by the commit, since a revision may move in between.
            repo: self.api.repo(cache::repo(self.name, &sha)),
            files: siblings.into_iter().map(|one| one.rfilename).collect(),
            sha,
        })
    }

    /// The address of the server.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The commit to which the revision refers, with its files.
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
                    name: self.name.to_string(),
                    endpoint: self.endpoint.clone(),
                    reason: format!("`{}` is not a commit", info.sha),
                }),
            };
        }
        let code = response.headers().get("x-error-code");
        let code = code.and_then(|code| code.to_str().ok()).unwrap_or_default();
        let (name, endpoint) = (self.name.to_string(), self.endpoint.clone());
        Err(match (status, code) {
            (_, "RevisionNotFound") => HubError::NoRevision {
                repository: self.name.repository().to_owned(),
                revision: self.name.revision().to_owned(),
                endpoint,
            },
            (_, "GatedRepo") | (403, _) => HubError::Denied { name, endpoint },
            // The server does not reveal whether the repository is private or does not exist.
            (401 | 404, _) => HubError::NoRepository {
                kind: self.name.kind(),
                name,
                endpoint,
            },
            _ => HubError::Status {
                name,
                endpoint,
                what: "the list of files".to_owned(),
                status,
            },
        })
    }

    /// The file in the cache, after downloading it if necessary. An existing file arrived when its commit had not been
    /// recorded, so it is checked as well.
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
            // On systems without links, the file itself is there.
            Err(_) => {
                let metadata = self.api.metadata(&repo.url(file));
                let metadata = metadata.map_err(|error| self.not_downloaded(file, error))?;
                Some(metadata.etag().to_owned())
            }
        };
        match etag {
            Some(etag) if is_sha256(&etag) => self.check(file, &path, etag)?,
            // The file is outside the large file storage, so its tag is of another kind.
            _ => {}
        }
        Ok(path)
    }

    /// Removes a partial download that already holds all of the file, and returns whether there was one. A download
    /// resumes at the end of the part, but the server refuses every request for a range in which nothing is left.
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

    /// Removes the file if its hash is not the announced one.
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
        // If the file was a link, the blob is gone but the link is not.
        if path.symlink_metadata().is_ok() {
            fs::remove_file(path).map_err(unusable)?;
        }
        Err(HubError::WrongHash {
            name: self.name.to_string(),
            file: file.to_owned(),
            announced,
            found,
        })
    }

    pub(crate) fn missing(&self, file: &str, advice: &'static str) -> HubError {
        HubError::MissingFile {
            name: self.name.to_string(),
            endpoint: self.endpoint.clone(),
            file: file.to_owned(),
            advice,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> HubError {
        HubError::Unreachable {
            name: self.name.to_string(),
            endpoint: self.endpoint.clone(),
            reason: error.to_string(),
        }
    }

    fn not_downloaded(&self, file: &str, error: ApiError) -> HubError {
        let (name, endpoint) = (self.name.to_string(), self.endpoint.clone());
        let status = match &error {
            ApiError::RequestError(error) => match **error {
                ureq::Error::StatusCode(status) => Some(status),
                _ => return self.unreachable(error),
            },
            _ => None,
        };
        match status {
            Some(401 | 403) => HubError::Denied { name, endpoint },
            Some(404) => self.missing(file, "the server lists it, so try again later"),
            Some(status) => HubError::Status {
                name,
                endpoint,
                what: format!("`{file}`"),
                status,
            },
            None => HubError::Download {
                name,
                file: file.to_owned(),
                reason: match error {
                    ApiError::LockAcquisition(_) => "another process is downloading it".to_owned(),
                    other => other.to_string(),
                },
            },
        }
    }
}

/// A commit on the server, and the snapshot for its files.
pub(crate) struct Commit<'a> {
    server: &'a Server<'a>,
    sha: String,
    repo: ApiRepo,
    /// The snapshot of the commit in the cache.
    pub(crate) snapshot: Snapshot,
    /// The paths of the files in the commit.
    pub(crate) files: Vec<String>,
}

impl Commit<'_> {
    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|one| one == file)
    }

    /// The file in the cache, downloaded if it is not there.
    pub(crate) fn fetch(&self, file: &str) -> Result<PathBuf, HubError> {
        self.server.fetch(&self.repo, &self.snapshot, file)
    }

    /// Records that the revision refers to this commit. This comes last, so the revision never refers to an incomplete
    /// commit.
    pub(crate) fn keep(self) -> Result<PathBuf, HubError> {
        let (server, folder) = (self.server, self.snapshot.folder);
        let named = server
            .cache
            .repo(cache::repo(server.name, server.name.revision()));
        match named.create_ref(&self.sha) {
            Ok(()) => Ok(folder),
            Err(source) => Err(HubError::Cache {
                path: folder,
                source,
            }),
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
