//! A local server that answers like the Hugging Face hub, for one model and one dataset.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::json;
use sha2::{Digest, Sha256};

/// The name of the model.
pub const MODEL: &str = "org/tiny";

/// The name of the dataset.
pub const DATASET: &str = "org/mail";

/// The content of the server and its behaviour.
#[derive(Default)]
pub struct Behaviour {
    /// The branches and tags of the model, with their commits and the folders of their files.
    pub revisions: BTreeMap<String, (String, PathBuf)>,
    /// The branches and tags of the dataset, with their commits and the folders of their files.
    pub dataset: BTreeMap<String, (String, PathBuf)>,
    /// Files that are listed but do not exist.
    pub lost: Vec<String>,
    /// Files whose content arrives changed.
    pub garbled: Vec<String>,
    /// The token without which nothing can be downloaded.
    pub token: Option<String>,
    /// The status of every answer, if it is fixed.
    pub status: Option<u16>,
    /// The paths requested so far.
    pub requests: Vec<String>,
}

pub struct HubServer {
    pub behaviour: Arc<Mutex<Behaviour>>,
    pub endpoint: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HubServer {
    /// Serves the folder as `main`.
    pub fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (behaviour, stop, endpoint) = (behaviour.clone(), stop.clone(), endpoint.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // If a client disconnects early, that is not an error of the server.
                    let _ = answer(stream.unwrap(), &mut behaviour.lock().unwrap(), &endpoint);
                }
            })
        };
        let server = Self {
            behaviour,
            endpoint,
            stop,
            thread: Some(thread),
        };
        server.serve("main", "c0ffee01", folder);
        server
    }

    /// Makes the revision refer to this commit from now on.
    pub fn serve(&self, revision: &str, commit: &str, folder: &Path) {
        let files = (commit.to_owned(), folder.to_owned());
        self.change(|behaviour| drop(behaviour.revisions.insert(revision.to_owned(), files)));
    }

    /// Makes the revision of the dataset refer to this commit from now on.
    pub fn serve_dataset(&self, revision: &str, commit: &str, folder: &Path) {
        let files = (commit.to_owned(), folder.to_owned());
        self.change(|behaviour| drop(behaviour.dataset.insert(revision.to_owned(), files)));
    }

    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    /// The paths requested since the last call.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.behaviour.lock().unwrap().requests)
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // This wakes up the server.
        let address = self.endpoint.trim_start_matches("http://").to_owned();
        let _ = TcpStream::connect(address);
        let _ = self.thread.take().unwrap().join();
    }
}

struct Request {
    path: String,
    /// The first and last byte requested.
    range: Option<(usize, Option<usize>)>,
    token: Option<String>,
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut request = Request {
        path: first.split(' ').nth(1)?.to_owned(),
        range: None,
        token: None,
    };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "range" => {
                let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
                request.range = Some((first.parse().ok()?, last.parse().ok()));
            }
            "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    Some(request)
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn answer(mut stream: TcpStream, behaviour: &mut Behaviour, endpoint: &str) -> std::io::Result<()> {
    let Some(request) = read_request(&stream) else {
        return Ok(());
    };
    behaviour.requests.push(request.path.clone());
    let (status, headers, body) = match behaviour.status {
        Some(status) => (status, vec![], vec![]),
        None => respond(&request, behaviour, endpoint),
    };
    let mut head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&body)
}

fn error(status: u16, code: &str) -> Answer {
    (status, vec![("X-Error-Code", code.to_owned())], vec![])
}

fn respond(request: &Request, behaviour: &Behaviour, endpoint: &str) -> Answer {
    let path = request.path.as_str();
    let of_model = path.strip_prefix(&format!("/api/models/{MODEL}/revision/"));
    let of_dataset = path.strip_prefix(&format!("/api/datasets/{DATASET}/revision/"));
    let revisions = match of_model {
        Some(_) => &behaviour.revisions,
        None => &behaviour.dataset,
    };
    if let Some(revision) = of_model.or(of_dataset) {
        let Some((commit, folder)) = revisions.get(&revision.replace("%2F", "/")) else {
            return error(404, "RevisionNotFound");
        };
        let mut files = listed(folder, "");
        files.extend(behaviour.lost.iter().cloned());
        let siblings: Vec<_> = files.iter().map(|f| json!({ "rfilename": f })).collect();
        let body = json!({ "sha": commit, "siblings": siblings, "private": false });
        return (200, vec![], body.to_string().into_bytes());
    }
    if let Some(file) = path.strip_prefix("/storage/") {
        // The address of large files is signed, so it needs no token.
        let (commit, file) = file.split_once('/').unwrap();
        return part(request, read(behaviour, commit, file).unwrap(), vec![]);
    }
    let model = path.strip_prefix(&format!("/{MODEL}/resolve/"));
    let dataset = path.strip_prefix(&format!("/datasets/{DATASET}/resolve/"));
    let Some(rest) = model.or(dataset) else {
        return error(401, "RepoNotFound");
    };
    if behaviour.token.is_some() && behaviour.token != request.token {
        return error(401, "GatedRepo");
    }
    let (commit, file) = rest.split_once('/').unwrap();
    let Some(content) = read(behaviour, commit, file) else {
        return error(404, "EntryNotFound");
    };
    let mut headers = vec![("X-Repo-Commit", commit.to_owned())];
    if !file.ends_with(".safetensors") && !file.ends_with(".parquet") {
        // This is git's own hash of a small file, which nobody computes here.
        headers.push(("ETag", format!("\"{:040x}\"", content.len())));
        return part(request, content, headers);
    }
    let folder = folder_of(behaviour, commit).unwrap();
    let sha256 = format!("{:x}", Sha256::digest(fs::read(folder.join(file)).unwrap()));
    headers.push(("X-Linked-Etag", format!("\"{sha256}\"")));
    headers.push(("Location", format!("{endpoint}/storage/{commit}/{file}")));
    (302, headers, vec![])
}

/// The bytes that were requested.
fn part(request: &Request, content: Vec<u8>, headers: Vec<(&'static str, String)>) -> Answer {
    let mut headers = headers;
    let length = content.len();
    let (first, last) = request.range.unwrap_or((0, None));
    if first >= length {
        return (416, headers, vec![]);
    }
    let end = last.map_or(length, |last| (last + 1).min(length));
    let range = format!("bytes {first}-{}/{length}", end - 1);
    headers.push(("Content-Range", range));
    (206, headers, content[first..end].to_vec())
}

fn folder_of<'a>(behaviour: &'a Behaviour, commit: &str) -> Option<&'a PathBuf> {
    let mut revisions = behaviour
        .revisions
        .values()
        .chain(behaviour.dataset.values());
    revisions
        .find(|(found, _)| found == commit)
        .map(|(_, folder)| folder)
}

fn read(behaviour: &Behaviour, commit: &str, file: &str) -> Option<Vec<u8>> {
    let mut content = fs::read(folder_of(behaviour, commit)?.join(file)).ok()?;
    if behaviour.garbled.iter().any(|garbled| garbled == file) {
        let last = content.len() - 1;
        content[last] ^= 1;
    }
    Some(content)
}

/// The files below a folder, as paths in the model.
fn listed(folder: &Path, prefix: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => files.extend(listed(&path, &format!("{name}/"))),
            false => files.push(name),
        }
    }
    files
}
