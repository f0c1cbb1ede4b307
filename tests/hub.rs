//! Backbones and tasks by their names on the hub, from a local server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use adaplace_testkit::{TinyBert, tiny_bert};
use sha2::{Digest, Sha256};

use crate::common::hub_server::HubServer;
use crate::common::{Ended, Lab, finish};

const PROBE: &str =
    "probe --backbone org/tiny --task task --examples 30 --max-length 32 --out map.json";

/// A lab with its own cache, whose backbone is served as `org/tiny`.
struct HubLab {
    lab: Lab,
    server: Option<HubServer>,
    endpoint: String,
}

impl HubLab {
    fn new() -> Self {
        let lab = Lab::text();
        let server = HubServer::start(&lab.path("backbone"));
        Self {
            endpoint: server.endpoint.clone(),
            server: Some(server),
            lab,
        }
    }

    fn server(&self) -> &HubServer {
        self.server.as_ref().unwrap()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self.lab.command(arguments);
        for name in [
            "HF_TOKEN",
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        command
            .env("HF_HOME", self.lab.path("hub"))
            .env("HF_ENDPOINT", &self.endpoint);
        command
    }

    fn run(&self, arguments: &str) -> Ended {
        finish(&mut self.command(arguments))
    }

    fn run_with(&self, variable: &str, value: &str, arguments: &str) -> Ended {
        finish(self.command(arguments).env(variable, value))
    }

    fn cached(&self, name: &str) -> PathBuf {
        self.lab.path("hub/hub/models--org--tiny").join(name)
    }

    /// The output of inspecting the folder itself.
    fn expected(&self, folder: &str) -> String {
        self.run(&format!("inspect {folder}")).succeeded().stdout
    }
}

#[test]
fn first_load_cached_load_and_no_server() {
    let mut hub = HubLab::new();
    let first = hub.run("inspect org/tiny").succeeded();
    assert_eq!(first.stdout, hub.expected("backbone"));
    assert_eq!(first.stderr, "");
    let requests = hub.server().requests();
    // Only the model's own files are requested, by the commit.
    assert_eq!(requests[0], "/api/models/org/tiny/revision/main");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let path = format!("/org/tiny/resolve/c0ffee01/{file}");
        assert!(requests.contains(&path), "{requests:?}");
    }
    assert!(!requests.iter().any(|path| path.contains("1_Pooling")));

    hub.run(PROBE).succeeded();
    assert_eq!(hub.server().requests(), [""; 0], "everything is there");

    hub.server = None;
    let search = "search --task task --space space.toml --strategy random --trials 4 --steps 4 --train-examples 30 \
        --gradient-examples 30 --max-length 32 --finalists 1 --repetitions 1 --backbone org/tiny --out study";
    hub.run(search).succeeded();
    assert!(
        hub.lab
            .read("study/study.toml")
            .contains("folder = \"org/tiny\"")
    );
    hub.run("search --study study/study.toml --out again")
        .succeeded();
    assert_eq!(hub.lab.journal("study"), hub.lab.journal("again"));
    hub.lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    hub.run("train placement.toml --backbone org/tiny --task task --steps 4 --out trained")
        .succeeded();
    hub.run("evaluate placement.toml --adapters trained/adapters.safetensors --backbone org/tiny --task task")
        .succeeded();
}

#[test]
fn shards_and_pooling_come_along() {
    let hub = HubLab::new();
    let sharded = TinyBert {
        shards: 3,
        ..TinyBert::default()
    };
    tiny_bert(&hub.lab.path("sharded"), &sharded);
    let pooling = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
    hub.lab.write("sharded/1_Pooling/config.json", pooling);
    hub.lab.write(
        "sharded/pytorch_model.bin",
        "what is not read is not downloaded",
    );
    hub.server()
        .serve("main", "c0ffee02", &hub.lab.path("sharded"));

    let loaded = hub.run("inspect org/tiny").succeeded();
    assert_eq!(loaded.stdout, hub.expected("sharded"));
    assert!(loaded.stdout.contains("pooling        cls"));
    let requests = hub.server().requests();
    assert!(!requests.iter().any(|path| path.contains("pytorch_model")));
    hub.run(PROBE).succeeded();
    assert_eq!(hub.server().requests(), [""; 0]);
}

#[test]
fn a_revision_is_a_model_of_its_own() {
    let hub = HubLab::new();
    let other = TinyBert {
        seed: 1,
        ..TinyBert::default()
    };
    tiny_bert(&hub.lab.path("other"), &other);
    hub.server().serve("v2", "c0ffee02", &hub.lab.path("other"));
    let main = hub.run("inspect org/tiny").succeeded().stdout;
    let second = hub.run("inspect org/tiny@v2").succeeded().stdout;
    assert_eq!(main, hub.expected("backbone"));
    assert_eq!(second, hub.expected("other"));
    assert_ne!(main, second);

    // A branch that moves on stays what it was here, but its commit can be named.
    hub.server()
        .serve("main", "c0ffee02", &hub.lab.path("other"));
    assert_eq!(hub.run("inspect org/tiny").succeeded().stdout, main);
    let by_commit = hub.run("inspect org/tiny@c0ffee02").succeeded().stdout;
    assert_eq!(by_commit, second);
}

#[test]
fn a_folder_of_that_name_goes_first() {
    let hub = HubLab::new();
    tiny_bert(&hub.lab.path("org/tiny"), &TinyBert::default());
    hub.run("inspect org/tiny").succeeded();
    assert_eq!(hub.server().requests(), [""; 0]);
    // A text that cannot be the name of a model is a missing folder.
    hub.run("inspect tiny")
        .failed(&["`tiny` does not exist", "org/name"]);
    hub.run("inspect ./org/small").failed(&["does not exist"]);
    assert_eq!(hub.server().requests(), [""; 0]);
}

#[test]
fn files_that_are_missing_are_named() {
    let hub = HubLab::new();
    let path = |file: &str| hub.lab.path("backbone").join(file);
    hub.server()
        .change(|server| server.lost.push("1_Pooling/config.json".to_owned()));
    hub.run("inspect org/tiny")
        .failed(&["`org/tiny`", "no file `1_Pooling/config.json`"]);
    hub.server().change(|server| server.lost.clear());
    fs::rename(path("model.safetensors"), hub.lab.path("weights")).unwrap();
    hub.run("inspect org/tiny").failed(&[
        "`org/tiny`",
        "no file `model.safetensors`",
        "safetensors format",
    ]);
    fs::rename(path("config.json"), hub.lab.path("config")).unwrap();
    hub.run("inspect org/tiny")
        .failed(&["`org/tiny`", &hub.endpoint, "no file `config.json`"]);

    // Files that have arrived are not requested again.
    fs::rename(hub.lab.path("weights"), path("model.safetensors")).unwrap();
    fs::rename(hub.lab.path("config"), path("config.json")).unwrap();
    hub.server().requests();
    hub.run("inspect org/tiny").succeeded();
    let requests = hub.server().requests();
    assert!(!requests.iter().any(|path| path.ends_with("tokenizer.json")));
}

#[test]
fn a_file_with_another_hash_is_refused_and_removed() {
    let hub = HubLab::new();
    hub.server()
        .change(|server| server.garbled.push("model.safetensors".to_owned()));
    let parts = ["`model.safetensors`", "`org/tiny`", "sha256", "removed"];
    for _ in 0..2 {
        hub.run("inspect org/tiny").failed(&parts);
        let weights = hub.cached("snapshots/c0ffee01/model.safetensors");
        assert!(weights.symlink_metadata().is_err(), "it is still there");
        let blobs = fs::read_dir(hub.cached("blobs")).unwrap();
        for blob in blobs.map(|blob| blob.unwrap().path()) {
            assert!(blob.metadata().unwrap().len() < 10_000, "{blob:?}");
        }
        assert!(!hub.cached("refs/main").exists());
    }
    hub.server().change(|server| server.garbled.clear());
    hub.run("inspect org/tiny").succeeded();

    // A file that arrived earlier but was never checked, as after a kill, is checked now.
    fs::remove_dir_all(hub.cached(".no_exist")).unwrap();
    let weights = fs::canonicalize(hub.cached("snapshots/c0ffee01/model.safetensors")).unwrap();
    let mut content = fs::read(&weights).unwrap();
    content[9000] ^= 1;
    fs::write(&weights, content).unwrap();
    hub.run("inspect org/tiny").failed(&parts);
    hub.run("inspect org/tiny").succeeded();
}

/// The download may have stopped anywhere, even at the end of the file.
#[test]
fn a_download_goes_on_where_it_broke_off() {
    let hub = HubLab::new();
    let content = fs::read(hub.lab.path("backbone/model.safetensors")).unwrap();
    let sha256 = format!("{:x}", Sha256::digest(&content));
    for length in [content.len() / 2, content.len(), content.len() + 1] {
        let mut part = content.clone();
        part.resize(length, 0);
        let name = format!("hub/hub/models--org--tiny/blobs/{sha256}.part");
        hub.lab.write(&name, part);
        let loaded = hub.run("inspect org/tiny").succeeded();
        assert_eq!(loaded.stdout, hub.expected("backbone"));
        fs::remove_dir_all(hub.cached("")).unwrap();
    }
}

#[test]
fn models_that_are_not_there_or_not_for_everyone() {
    let hub = HubLab::new();
    let endpoint = format!("`{}`", hub.endpoint);
    hub.run("inspect org/none").failed(&[
        "`org/none` is not a folder",
        &endpoint,
        "has no model `org/none`",
        "HF_TOKEN",
    ]);
    hub.run("inspect org/tiny@v9")
        .failed(&["`org/tiny`", "no revision `v9`", &endpoint]);

    hub.server()
        .change(|server| server.token = Some("secret".to_owned()));
    hub.run("inspect org/tiny")
        .failed(&["`org/tiny`", "accept its terms", "HF_TOKEN"]);
    hub.run_with("HF_TOKEN", "wrong", "inspect org/tiny")
        .failed(&["HF_TOKEN"]);
    hub.run_with("HF_TOKEN", "secret", "inspect org/tiny")
        .succeeded();
    fs::remove_dir_all(hub.cached("")).unwrap();
    hub.lab.write("hub/token", "secret\n");
    let cache = hub.lab.path("elsewhere");
    hub.run_with("HF_HUB_CACHE", cache.to_str().unwrap(), "inspect org/tiny")
        .succeeded();
    assert!(cache.join("models--org--tiny/refs/main").is_file());
}

#[test]
fn servers_that_do_not_answer() {
    let mut hub = HubLab::new();
    hub.run_with("HF_HUB_OFFLINE", "1", "inspect org/tiny")
        .failed(&["`org/tiny`", "not in the cache", "HF_HUB_OFFLINE"]);
    hub.server().change(|server| server.status = Some(503));
    hub.run("inspect org/tiny")
        .failed(&["`org/tiny`", "status 503"]);
    assert!(!hub.cached("").exists());
    hub.server().change(|server| server.status = None);
    hub.run("inspect org/tiny").succeeded();

    // Something else answers under this address.
    hub.server()
        .serve("odd", "../../commit", &hub.lab.path("backbone"));
    hub.run("inspect org/tiny@odd")
        .failed(&["cannot reach", "`../../commit` is not a commit"]);

    hub.server = None;
    let unreachable = hub.run("inspect org/tiny@v2");
    unreachable.failed(&["cannot reach", &hub.endpoint, "`org/tiny@v2`"]);
    // A cache filled by another tool does not record what the model lacks. Without a server this has to suffice.
    fs::remove_dir_all(hub.cached(".no_exist")).unwrap();
    let ended = hub.run("inspect org/tiny").succeeded();
    assert!(
        ended
            .stderr
            .contains("continuing with the files in the cache"),
        "{ended:#?}"
    );
    fs::remove_file(hub.cached("snapshots/c0ffee01/config.json")).unwrap();
    hub.run("inspect org/tiny").failed(&["cannot reach"]);
}

/// Serves the dataset `org/mail` with two subsets, as the hub converts it to Parquet, and one of them in its own
/// repository.
fn serve_mail(hub: &HubLab) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../task/tests/fixtures/parquet");
    let put = |name: &str, to: &str| {
        let to = hub.lab.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(fixtures.join(format!("{name}.parquet")), to).unwrap();
    };
    put("class-names", "converted/named/train/0000.parquet");
    put("pairs-gzip", "converted/pairs/train/0000.parquet");
    put("pairs-uncompressed", "converted/pairs/train/0001.parquet");
    put(
        "pairs-uncompressed",
        "converted/pairs/validation/0000.parquet",
    );
    put(
        "test-without-labels",
        "converted/pairs/unsupervised/0000.parquet",
    );
    hub.server()
        .serve_dataset("refs/convert/parquet", "da7a01", &hub.lab.path("converted"));
    put("class-names", "own/data/train-00000-of-00002.parquet");
    put("class-names", "own/data/train-00001-of-00002.parquet");
    hub.server()
        .serve_dataset("main", "da7a02", &hub.lab.path("own"));
}

const INSPECT: &str = "inspect backbone --max-length 32 --task";

#[test]
fn a_task_is_a_dataset_of_the_hub() {
    let mut hub = HubLab::new();
    serve_mail(&hub);
    let inspect = |hub: &HubLab, task: &str| hub.run(&format!("{INSPECT} {task}")).succeeded();
    let named = inspect(&hub, "org/mail:named").stdout;
    assert!(
        named.contains("mail-named") && named.contains("ham"),
        "{named}"
    );
    let requests = hub.server().requests();
    assert_eq!(
        requests[0],
        "/api/datasets/org/mail/revision/refs%2Fconvert%2Fparquet"
    );
    let pairs = inspect(&hub, "org/mail:pairs").stdout;
    assert!(pairs.contains("mail-pairs"), "{pairs}");
    let requests = hub.server().requests();
    // Only its parts are requested, with the first file of train last.
    let files: Vec<&str> = requests
        .iter()
        .filter_map(|path| path.split("/pairs/").nth(1))
        .collect();
    assert!(
        !files.iter().any(|path| path.contains("unsupervised")),
        "{files:?}"
    );
    assert!(files.last().unwrap().contains("train/0000"), "{files:?}");

    // The output is the same as for the folder itself, except for the name.
    let folder = inspect(&hub, "converted/pairs").stdout;
    assert_eq!(folder.replacen("pairs", "mail-pairs", 1), pairs);
    hub.server().requests();
    let search = "search --task org/mail:pairs --space space.toml --strategy random --trials 2 --steps 2 --gradient-examples 9 \
        --max-length 32 --finalists 1 --repetitions 1 --backbone backbone --out study";
    hub.run(search).succeeded();
    assert_eq!(hub.server().requests(), [""; 0], "everything is there");

    hub.server = None;
    hub.run("search --study study/study.toml --out again")
        .succeeded();
    assert!(
        hub.lab
            .read("study/study.toml")
            .contains("folder = \"org/mail:pairs\"")
    );
    hub.run(&format!("{INSPECT} org/mail:other"))
        .failed(&["cannot reach"]);
    hub.run_with("HF_HUB_OFFLINE", "1", &format!("{INSPECT} org/other"))
        .failed(&["`org/other` is not in the cache"]);
}

#[test]
fn a_subset_is_chosen_where_there_are_several() {
    let hub = HubLab::new();
    serve_mail(&hub);
    hub.run(&format!("{INSPECT} org/mail"))
        .failed(&["has the subsets named, pairs; choose one as `org/mail:SUBSET`"]);
    hub.run(&format!("{INSPECT} org/nothing"))
        .failed(&["has no dataset `org/nothing"]);
    // A revision is that of the dataset itself.
    let own = hub
        .run(&format!("{INSPECT} org/mail@main"))
        .succeeded()
        .stdout;
    assert!(own.contains("mail") && !own.contains("mail-"), "{own}");
    hub.run(&format!("{INSPECT} org/mail@v3"))
        .failed(&["has no revision `v3`"]);
}

#[test]
fn a_dataset_without_the_branch_is_read_from_its_own_files() {
    let hub = HubLab::new();
    serve_mail(&hub);
    hub.server()
        .change(|server| drop(server.dataset.remove("refs/convert/parquet")));
    // An interrupted download is not mistaken for a complete one.
    let lost = "data/train-00001-of-00002.parquet";
    fs::rename(hub.lab.path(&format!("own/{lost}")), hub.lab.path("kept")).unwrap();
    hub.server()
        .change(|server| server.lost = vec![lost.to_owned()]);
    hub.run(&format!("{INSPECT} org/mail"))
        .failed(&["train-00001-of-00002"]);
    fs::rename(hub.lab.path("kept"), hub.lab.path(&format!("own/{lost}"))).unwrap();
    hub.server().change(|server| server.lost.clear());
    let own = hub.run(&format!("{INSPECT} org/mail")).succeeded().stdout;
    hub.server().requests();
    assert_eq!(
        hub.run(&format!("{INSPECT} org/mail")).succeeded().stdout,
        own
    );
    // Nothing indicates any longer that `data` is the only subset.
    assert_eq!(hub.server().requests(), [""; 0]);

    fs::remove_dir_all(hub.lab.path("own/data")).unwrap();
    hub.lab.write("own/train.csv", "text,label\na,b\n");
    hub.server()
        .serve_dataset("main", "da7a03", &hub.lab.path("own"));
    let error = hub
        .run(&format!("{INSPECT} org/mail@main"))
        .succeeded()
        .stdout;
    assert_eq!(error, own, "a revision stands for what it stood for first");
    hub.server()
        .serve_dataset("csv", "da7a04", &hub.lab.path("own"));
    hub.run(&format!("{INSPECT} org/mail@csv"))
        .failed(&["has no Parquet files of a `train` split"]);
}
