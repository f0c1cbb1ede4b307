//! `adaplace export`. How the libraries read its output is tested in `python/tests/export`.

use std::fs;

use adaplace_search_space::PlacementFile;
use serde_json::{Value, json};

use crate::common::{Lab, TRAIN};

const EXPORT: &str = "export placement.toml --to";

/// The header of a safetensors file: names and shapes.
fn shapes(lab: &Lab, name: &str) -> Vec<(String, Value)> {
    let bytes = fs::read(lab.path(name)).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let entries = header.as_object().unwrap().iter();
    entries
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, entry)| (name.clone(), entry["shape"].clone()))
        .collect()
}

fn names(lab: &Lab, folder: &str) -> Vec<String> {
    let files = lab.content(folder);
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.keys().map(name).collect()
}

#[test]
fn trained_adapters_become_a_folder_for_the_library() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(1, 1), (4, 4)], 2, 0.5);
    lab.run(&format!("{TRAIN} --out trained")).succeeded();
    let ended = lab
        .run(&format!(
            "{EXPORT} adapters --adapters trained/adapters.safetensors --base-model org/tiny --out out/folder"
        ))
        .succeeded();
    assert!(
        ended
            .stdout
            .contains("1->1 (rank 2), 4->4 (rank 2), trained"),
        "{ended:#?}"
    );
    assert_eq!(
        names(&lab, "out"),
        [
            "README.md",
            "adapter.safetensors",
            "adapter_config.json",
            "head.safetensors",
            "placement.svg",
            "placement.toml"
        ]
    );
    let config: Value = serde_json::from_str(&lab.read("out/folder/adapter_config.json")).unwrap();
    assert_eq!(config["name"], "adaplace");
    let [first, second] = config["config"]["configs"].as_array().unwrap().as_slice() else {
        panic!("{config:#}");
    };
    for (config, place, left_out) in [(first, "mh_adapter", 1), (second, "output_adapter", 0)] {
        assert_eq!(config[place], true);
        assert_eq!(config["leave_out"], json!([left_out]));
        assert_eq!(config["scaling"], 0.5);
        assert_eq!(config["non_linearity"], "gelu");
    }
    let tensors = shapes(&lab, "out/folder/adapter.safetensors");
    assert_eq!(tensors.len(), 2 * 8);
    let prefix = "encoder.layer.0.attention.output.adapters.adaplace";
    assert!(tensors.contains(&(format!("{prefix}.adapter_up.weight"), json!([32, 2]))));
    assert_eq!(
        shapes(&lab, "out/folder/head.safetensors"),
        [
            ("head.bias".to_owned(), json!([3])),
            ("head.weight".to_owned(), json!([3, 32]))
        ]
    );
    let readme = lab.read("out/folder/README.md");
    assert!(readme.contains("load_adapter") && readme.contains("class-0, class-1, class-2"));
    let metrics: Value = serde_json::from_str(&lab.read("trained/metrics.json")).unwrap();
    let accuracy = format!(
        "- type: \"accuracy\"\n      value: {}\n",
        metrics["test"]["accuracy"]
    );
    for part in [
        "---\nlibrary_name: adapters\nbase_model: \"org/tiny\"\n",
        "split: \"test\"",
        &accuracy,
        "from_pretrained(\"org/tiny\")",
        "](placement.svg)",
    ] {
        assert!(readme.contains(part), "{part} in {readme}");
    }
    let drawing = lab.read("out/folder/placement.svg");
    assert!(
        drawing.starts_with("<svg") && drawing.contains("<title>1-&gt;1 (rank 2)"),
        "{drawing}"
    );
    let placement = PlacementFile::read(&lab.path("out/folder/placement.toml")).unwrap();
    assert_eq!(
        placement,
        PlacementFile::read(&lab.path("placement.toml")).unwrap()
    );
}

#[test]
fn untrained_adapters_are_those_of_the_seed() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 1)], 3, 1.0);
    let export = |options: &str, out: &str| {
        lab.run(&format!("{EXPORT} adapters {options} --out {out}"))
            .succeeded();
        fs::read(lab.path(out).join("adapter.safetensors")).unwrap()
    };
    let first = export("", "a");
    assert!(first == export("--seed 0", "b"));
    assert!(first != export("--seed 1", "c"));
    // An interface tells the library about a parallel adapter in BERT. Untrained adapters have no head.
    assert!(names(&lab, "a").contains(&"adapter_interface.json".to_owned()));
    assert!(!names(&lab, "a").contains(&"head.safetensors".to_owned()));
    let config: Value = serde_json::from_str(&lab.read("a/adapter_config.json")).unwrap();
    assert_eq!(config["config"]["is_parallel"], true);
    // The width is 32 and the rank 3.
    let rank = 32.0 / config["config"]["reduction_factor"].as_f64().unwrap();
    assert_eq!(rank.floor(), 3.0);
}

#[test]
fn a_vit_brings_its_head_into_the_library() {
    let lab = Lab::images();
    lab.placement("placement.toml", &[(0, 1), (2, 2)], 2, 1.0);
    lab.run(&format!("{TRAIN} --out trained")).succeeded();
    lab.run(&format!(
        "{EXPORT} adapters --adapters trained/adapters.safetensors --out out"
    ))
    .succeeded();
    let config: Value = serde_json::from_str(&lab.read("out/head_config.json")).unwrap();
    assert_eq!(config["model_class"], "ViTAdapterModel");
    assert_eq!(config["config"]["layers"], 1);
    let classes = config["config"]["num_labels"].as_u64().unwrap();
    assert_eq!(
        config["config"]["label2id"].as_object().unwrap().len() as u64,
        classes
    );
    let heads = shapes(&lab, "out/model_head.safetensors");
    assert_eq!(
        heads[1],
        ("heads.adaplace.1.weight".to_owned(), json!([classes, 32]))
    );
    assert!(!lab.path("out/adapter_interface.json").exists());
}

#[test]
fn what_adapters_cannot_represent_is_named() {
    let lab = Lab::text();
    let connections = [(0, 0), (0, 1), (0, 3), (1, 1), (3, 2), (3, 4)];
    lab.placement("placement.toml", &connections, 2, 1.0);
    let ended = lab.refuses(
        &format!("{EXPORT} adapters --out out"),
        &[
            "`placement.toml`",
            "0->0 (adds to the embedding)",
            "0->1 (at the same sublayer as 1->1)",
            "0->3 (long-range)",
            "1->1 (at the same sublayer as 0->1)",
            "3->2 (recurrent)",
            "--to json",
        ],
    );
    assert!(!ended.stderr.contains("3->4"), "{ended:#?}");
}

#[test]
fn peft_cannot_represent_anything() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(1, 1), (2, 3)], 2, 1.0);
    for out in ["", "--out out"] {
        lab.refuses(
            &format!("{EXPORT} peft {out}"),
            &[
                "`placement.toml`",
                "`peft` cannot represent 1->1, 2->3:",
                "--to adapters",
            ],
        );
    }
}

#[test]
fn json_reads_back_equal() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 3), (4, 1)], 2, 0.1);
    let provenance = "[provenance]\nstudy = 'first'\nseed = 7\nscores = [0.1, 0.2]\n";
    let text = lab.read("placement.toml") + provenance;
    lab.write("placement.toml", text);
    let file = PlacementFile::read(&lab.path("placement.toml")).unwrap();
    let ended = lab.run(&format!("{EXPORT} json")).succeeded();
    let document = ended.json();
    assert_eq!(document["placement"]["passes"], 2);
    assert_eq!(document["placement"]["connection"][0]["scale"], 0.1);
    assert_eq!(document["placement"]["provenance"]["study"], "first");
    assert_eq!(document["hash"], file.placement.hash().to_string());
    assert!(document.get("adapters").is_none());
    assert_eq!(
        document["tensors"][0],
        json!({"name": "0-3.down.weight", "shape": [2, 32]})
    );
    assert_eq!(adaplace_export::json::read(&ended.stdout).unwrap(), file);
    // The document is written to a file, replaced, and written with trained adapters.
    lab.run(&format!("{TRAIN} --out trained")).succeeded();
    for options in ["", "--adapters trained/adapters.safetensors"] {
        lab.run(&format!("{EXPORT} json {options} --out out/placement.json"))
            .succeeded();
        let text = lab.read("out/placement.json");
        assert_eq!(adaplace_export::json::read(&text).unwrap(), file);
    }
    let document: Value = serde_json::from_str(&lab.read("out/placement.json")).unwrap();
    assert_eq!(document["adapters"]["classes"], 3);
    assert_eq!(document["adapters"]["path"], "trained/adapters.safetensors");
    assert_eq!(
        document["tensors"][8],
        json!({"name": "head.weight", "shape": [3, 32]})
    );
}

#[test]
fn an_export_is_replaced_and_nothing_else_is() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(1, 1)], 2, 1.0);
    let export = format!("{EXPORT} adapters --out out");
    fs::create_dir(lab.path("out")).unwrap();
    lab.run(&export).succeeded();
    let first = lab.content("out");
    lab.run(&format!("{export} --seed 1")).succeeded();
    assert!(lab.content("out") != first);
    // A foreign file among ours, a foreign folder, a file, and a foreign configuration are refused.
    lab.write("out/notes.txt", "mine");
    lab.refuses(&export, &["`out`", "not an export", "--out"]);
    fs::remove_file(lab.path("out/notes.txt")).unwrap();
    lab.write("out/adapter_config.json", "{}");
    lab.refuses(&export, &["`out`", "not an export"]);
    for place in ["task", "placement.toml"] {
        lab.refuses(
            &format!("{EXPORT} adapters --out {place}"),
            &[place, "not an export"],
        );
        lab.refuses(
            &format!("{EXPORT} json --out {place}"),
            &[place, "not an export"],
        );
    }
    lab.refuses(&format!("{EXPORT} adapters --out .."), &["`..`", "name"]);
}

#[test]
fn an_export_that_cannot_be_written_leaves_what_was_there() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(1, 1)], 2, 1.0);
    let export = format!("{EXPORT} adapters --out out");
    for before in [None, Some("--seed 1")] {
        if let Some(options) = before {
            lab.run(&format!("{export} {options}")).succeeded();
        }
        let content = lab.content("");
        lab.run_with_little_disk(1, &export)
            .failed(&["`out`", "File too large"]);
        assert!(lab.content("") == content);
    }
}

#[test]
fn adapters_of_another_placement_are_not_exported() {
    let lab = Lab::text();
    lab.train();
    let export = format!("{EXPORT} adapters --adapters trained/adapters.safetensors --out out");
    lab.placement("placement.toml", &[(2, 2)], 2, 1.0);
    lab.refuses(
        &export,
        &["trained/adapters.safetensors", "another placement"],
    );
    lab.placement("placement.toml", &[(0, 1)], 2, 0.5);
    lab.refuses(
        &export,
        &["trained/adapters.safetensors", "another placement"],
    );
    lab.refuses(
        &export.replace("adapters --a", "json --a"),
        &["another placement"],
    );
}

#[test]
fn another_family_is_only_for_json() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(1, 1)], 2, 1.0);
    let text = lab.read("placement.toml").replace("\"bert\"", "\"mamba\"");
    lab.write("placement.toml", text);
    lab.refuses(
        &format!("{EXPORT} adapters --out out"),
        &["`mamba`", "--to json"],
    );
    lab.run(&format!("{EXPORT} json")).succeeded();
}

#[test]
fn a_folder_needs_a_name_and_trained_adapters_no_seed() {
    let lab = Lab::text();
    lab.run(&format!("{EXPORT} adapters")).misused(&["--out"]);
    lab.run("export placement.toml --out out")
        .misused(&["--to"]);
    lab.run(&format!("{EXPORT} onnx --out out"))
        .misused(&["adapters, peft, json"]);
    lab.run(&format!(
        "{EXPORT} adapters --adapters a --seed 1 --out out"
    ))
    .misused(&["--seed"]);
}
