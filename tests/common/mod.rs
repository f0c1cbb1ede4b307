//! A tiny backbone and task in a temporary folder, and the program run on them.

pub mod hub_server;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adaplace_search_space::{
    AdapterForm, AdapterSpec, BackboneReference, Connection, Placement, PlacementFile,
};
use adaplace_testkit::{
    ImageTask, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
};
use serde_json::{Value, json};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_adaplace");

/// The longest time that a test waits for the program.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder with `backbone`, `task`, `space.toml` and whatever the program writes.
pub struct Lab {
    folder: tempfile::TempDir,
}

/// The exit status and output of the program.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    pub fn text() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        tiny_bert(&lab.path("backbone"), &TinyBert::default());
        text_task(&lab.path("task"), &TextTask::default());
        lab.space(2, "");
        lab
    }

    /// A lab with a finished search in `study`.
    pub fn searched(options: &str) -> Self {
        let lab = Self::text();
        lab.run(&format!("{SEARCH} --out study {options}"))
            .succeeded();
        lab
    }

    pub fn images() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        tiny_vit(&lab.path("backbone"), &TinyVit::default());
        image_task(&lab.path("task"), &ImageTask::default());
        lab.space(2, "");
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a space of all connections with this many adapters of rank 2. `budget` are further lines of that section.
    pub fn space(&self, adapters: usize, budget: &str) {
        self.write(
            "space.toml",
            format!(
                "[connections]\nkinds = ['sequential', 'parallel', 'long-range', 'recurrent']\n\
                 [adapter]\nranks = [2]\n[budget]\nadapters = {adapters}\n{budget}\n"
            ),
        );
    }

    /// Changes one value of `backbone/config.json`.
    pub fn configure(&self, key: &str, value: impl Into<Value>) {
        let mut config: Value = serde_json::from_str(&self.read("backbone/config.json")).unwrap();
        config[key] = value.into();
        self.write("backbone/config.json", config.to_string());
    }

    /// A command in the lab's folder, so that paths can be given as names.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.prepared(PROGRAM);
        command.args(arguments.split_whitespace());
        command
    }

    pub fn prepared(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE");
        command
    }

    pub fn run(&self, arguments: &str) -> Ended {
        finish(&mut self.command(arguments))
    }

    /// Runs the program with a limit in KiB on the size of every file, which looks like a full disk.
    pub fn run_with_little_disk(&self, kibibytes: usize, arguments: &str) -> Ended {
        let mut command = self.prepared("bash");
        command.arg("-c").arg(format!(
            "trap '' XFSZ; ulimit -f {kibibytes}; exec {PROGRAM} {arguments}"
        ));
        finish(&mut command)
    }

    /// Writes a file with adapters of this rank on these connections, for the lab's backbone.
    pub fn placement(&self, name: &str, connections: &[(u16, u16)], rank: u16, scale: f32) {
        let inspected = self.run("inspect backbone --json").succeeded().json();
        let backbone = &inspected["backbone"];
        let adapter = AdapterSpec::new(rank, scale).unwrap();
        let file = PlacementFile {
            backbone: BackboneReference {
                model_type: backbone["model_type"].as_str().unwrap().to_owned(),
                hidden_states: backbone["hidden_states"].as_u64().unwrap() as u16,
                width: backbone["width"].as_u64().unwrap() as u32,
                pooling: backbone["pooling"].as_str().unwrap().to_owned(),
                weights_sha256: backbone["weights_sha256"].as_str().unwrap().to_owned(),
            },
            adapter: AdapterForm::default(),
            placement: connections
                .iter()
                .map(|&(source, target)| (Connection::new(source, target), adapter))
                .collect(),
            provenance: None,
        };
        file.write(&self.path(name)).unwrap();
    }

    /// Trains a placement of one adapter, and returns the output of `train --json`.
    pub fn train(&self) -> Value {
        self.placement("placement.toml", &[(0, 1)], 2, 1.0);
        self.run(&format!("{TRAIN} --out trained --json"))
            .succeeded()
            .json()
    }

    /// The lines of a study's journal without the seconds.
    pub fn journal(&self, study: &str) -> Vec<Value> {
        let text = self.read(&format!("{study}/journal.jsonl"));
        let without_seconds = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds").unwrap();
            line
        };
        text.lines().map(without_seconds).collect()
    }

    /// The number of lines in a journal that may not exist yet.
    pub fn journal_length(&self, study: &str) -> usize {
        let bytes = fs::read(self.path(study).join("journal.jsonl")).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// All files below `name` with their contents.
    pub fn content(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(name), &mut files);
        files
    }

    /// Runs a command that must fail and leave everything in the lab as it is.
    #[track_caller]
    pub fn refuses(&self, arguments: &str, parts: &[&str]) -> Ended {
        let before = self.content("");
        let ended = self.run(arguments).failed(parts);
        let after = self.content("");
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after));
        assert!(before == after, "a file was changed");
        ended
    }
}

/// A short search on the lab, to which strategy, output folder and the like are added.
pub const SEARCH: &str = "search --backbone backbone --task task --space space.toml --trials 6 --steps 4 \
    --train-examples 30 --gradient-examples 30 --max-length 32 --finalists 2 --repetitions 2";

/// A short search on pictures, which have no length.
pub const SEARCH_IMAGES: &str = "search --backbone backbone --task task --space space.toml --trials 4 --steps 4 \
    --train-examples 30 --gradient-examples 30 --finalists 1 --repetitions 1";

pub const TRAIN: &str = "train placement.toml --backbone backbone --task task --steps 6";

pub const EVALUATE: &str = "evaluate placement.toml --adapters trained/adapters.safetensors --backbone backbone --task task";

impl Ended {
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Checks that the program failed with one clear message that contains these parts, and printed nothing to stdout.
    #[track_caller]
    pub fn failed(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "{self:#?}");
        assert_eq!(self.stderr.lines().last(), Some(errors[0]), "{self:#?}");
        for part in parts {
            assert!(errors[0].contains(part), "no {part:?} in {self:#?}");
        }
        self
    }

    #[track_caller]
    pub fn misused(self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:#?}");
        }
    }

    /// The standard output, which must be one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

#[track_caller]
pub fn finish(command: &mut Command) -> Ended {
    let output = assert_cmd::Command::from_std(std::mem::replace(command, Command::new("")))
        .timeout(PATIENCE)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A running program, which is killed when the test no longer needs it.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Waits until `condition` holds. False if the program ended before.
    pub fn wait_until(&mut self, mut condition: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "nothing happens");
            if self.0.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Sends SIGINT, like Ctrl-C.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends the signal with this name.
    pub fn signal(&self, name: &str) {
        let process = self.0.id().to_string();
        let status = Command::new("kill").args(["-s", name, &process]).status();
        assert!(status.unwrap().success());
    }

    /// Sends SIGKILL, and returns whether the program was still running.
    pub fn kill(mut self) -> bool {
        let running = self.0.try_wait().unwrap().is_none();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        running
    }

    pub fn end(mut self) -> Ended {
        assert!(
            !self.wait_until(|| false),
            "only its end leads out of the loop"
        );
        let mut ended = Ended {
            code: self.0.wait().unwrap().code(),
            stdout: String::new(),
            stderr: String::new(),
        };
        use std::io::Read;
        let (stdout, stderr) = (self.0.stdout.as_mut(), self.0.stderr.as_mut());
        stdout.unwrap().read_to_string(&mut ended.stdout).unwrap();
        stderr.unwrap().read_to_string(&mut ended.stderr).unwrap();
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if path.exists() {
        files.insert(path.to_owned(), fs::read(path).unwrap());
    }
}

/// Checks the requirements on every report: complete, small and without external references.
#[track_caller]
pub fn assert_page(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for foreign in [
        "<script",
        " src=",
        "url(",
        "@import",
        "NaN",
        "inf,",
        "undefined",
    ] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    let without_names = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!without_names.contains("http://") && !without_names.contains("https://"));
    for element in ["svg", "figure", "table", "section", "details", "title"] {
        let opened = page.matches(&format!("<{element}>")).count()
            + page.matches(&format!("<{element} ")).count();
        let closed = page.matches(&format!("</{element}>")).count();
        assert_eq!(opened, closed, "<{element}>");
    }
}

/// What a reader sees of a page: its words, without tags, style sheet and the breaks of lines.
pub fn text_of(page: &str) -> String {
    let body = page.split("</style>").last().unwrap();
    let mut text = String::new();
    for part in body.split('<') {
        text.push(' ');
        text.push_str(part.split_once('>').map_or("", |(_, behind)| behind));
    }
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of a journal.
pub fn journal_line(trial: usize, placement: &Placement, accuracy: f64) -> String {
    let record = json!({
        "trial": trial,
        "phase": "search",
        "hash": placement.hash(),
        "placement": placement,
        "steps": 4,
        "repetition": 0,
        "result": {"score": {
            "train_loss": 1.0 - accuracy,
            "validation_loss": 2.0 - accuracy,
            "validation_accuracy": accuracy,
        }},
        "seconds": 0.5,
    });
    format!("{record}\n")
}

/// Whether the programs that tests start receive Ctrl-C. A script that runs the tests in the background makes them
/// ignore it, and a program that ignores a signal from its start keeps ignoring it.
pub fn signals_are_heard() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is 1 and SIGINT is 2.
    let heard = ignored.unwrap_or(0) & 0b11 == 0;
    if !heard {
        eprintln!("skipped: signals are ignored here; run the tests in the foreground");
    }
    heard
}
