//! `adaplace train` and `adaplace evaluate`.

use std::fs;

use adaplace_testkit::{TextTask, TinyBert, text_task, tiny_bert};
use serde_json::Value;

use crate::common::{EVALUATE, Lab, TRAIN};

#[test]
fn evaluate_finds_what_train_said() {
    let lab = Lab::text();
    let metrics = lab.train();
    let stored: Value = serde_json::from_str(&lab.read("trained/metrics.json")).unwrap();
    assert_eq!(metrics, stored);
    assert_eq!(metrics["steps"], 6);
    assert_eq!(metrics["train"]["examples"], 60);
    assert_eq!(lab.content("trained").len(), 2);
    for part in ["train", "validation", "test"] {
        let report = lab
            .run(&format!("{EVALUATE} --part {part} --json"))
            .succeeded()
            .json();
        assert_eq!(report["result"], metrics[part], "{part}");
        assert_eq!(report["part"], part);
        assert_eq!(report["placement"], metrics["placement"]);
    }
    let ended = lab.run(EVALUATE).succeeded();
    assert!(
        ended.stdout.starts_with("task, test: accuracy "),
        "{ended:#?}"
    );
    assert!(ended.stdout.contains("30 examples"), "{ended:#?}");
}

/// The scale is part of W_up and b_up when the training ends, so the file has no additional tensors and reads like any
/// other.
#[test]
fn a_learned_scale_ends_in_the_adapters() {
    let lab = Lab::text();
    let plain = lab.train();
    lab.run(&format!("{TRAIN} --learned-scale --out scaled"))
        .succeeded();
    let metrics: Value = serde_json::from_str(&lab.read("scaled/metrics.json")).unwrap();
    assert_eq!(metrics["training"]["learned_scale"], true);
    assert_eq!(plain["training"]["learned_scale"], false);
    assert_ne!(metrics["test"]["loss"], plain["test"]["loss"]);
    let size = |study| fs::metadata(lab.path(study).join("adapters.safetensors")).unwrap();
    assert_eq!(size("scaled").len(), size("trained").len());
    let read = EVALUATE.replace("trained", "scaled");
    let report = lab.run(&format!("{read} --json")).succeeded().json();
    assert_eq!(report["result"], metrics["test"]);
}

/// What was given is what was trained with, and everything else keeps its default.
#[test]
fn options_reach_the_training() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    let training = |options: &str, out: &str| -> Value {
        lab.run(&format!("{TRAIN} {options} --out {out}"))
            .succeeded();
        let metrics: Value =
            serde_json::from_str(&lab.read(&format!("{out}/metrics.json"))).unwrap();
        metrics["training"].clone()
    };
    let defaults = training("", "plain");
    assert_eq!(defaults["adapter_learning_rate"], 0.003);
    let given = training("--learning-rate 0.02 --head-learning-rate 0.004", "given");
    assert_eq!(given["adapter_learning_rate"], 0.02);
    assert_eq!(given["head_learning_rate"], 0.004);
    assert_eq!(given["batch_size"], defaults["batch_size"]);
    assert_eq!(given["gradient_clip"], defaults["gradient_clip"]);
}

#[test]
fn training_again_gives_the_same_adapters() {
    let lab = Lab::text();
    lab.train();
    let ended = lab.run(&format!("{TRAIN} --out again")).succeeded();
    assert!(
        ended.stdout.contains("linear probe, validation"),
        "{ended:#?}"
    );
    assert!(
        ended.stdout.contains("again/adapters.safetensors"),
        "{ended:#?}"
    );
    let adapters = |study| fs::read(lab.path(study).join("adapters.safetensors")).unwrap();
    assert!(adapters("trained") == adapters("again"));
    lab.run(&format!("{TRAIN} --seed 1 --out other"))
        .succeeded();
    assert!(adapters("trained") != adapters("other"));
}

#[test]
fn the_placement_of_a_search_can_be_trained() {
    let lab = Lab::images();
    lab.run(&format!(
        "{} --strategy random --out study",
        crate::common::SEARCH_IMAGES
    ))
    .succeeded();
    let metrics = lab
        .run("train study/placements/1.toml --backbone backbone --task task --steps 4 --out out --json")
        .succeeded()
        .json();
    let report = lab
        .run(
            "evaluate study/placements/1.toml --adapters out/adapters.safetensors \
             --backbone backbone --task task --json",
        )
        .succeeded()
        .json();
    assert_eq!(report["result"], metrics["test"]);
}

#[test]
fn a_task_without_test_part_has_no_test_metrics() {
    let lab = Lab::text();
    fs::remove_file(lab.path("task/test.jsonl")).unwrap();
    let metrics = lab.train();
    assert!(metrics.get("test").is_none());
    lab.refuses(EVALUATE, &["`task`", "no test part", "--part"]);
    lab.run(&format!("{EVALUATE} --part validation"))
        .succeeded();
}

#[test]
fn adapters_of_another_placement_are_refused() {
    let lab = Lab::text();
    lab.train();
    let adapters = "trained/adapters.safetensors";
    for (connection, rank, scale, reason) in [
        ((0, 1), 3, 1.0, "rank"),
        ((0, 2), 2, 1.0, "another placement"),
        ((0, 1), 2, 0.5, "another placement"),
    ] {
        lab.placement("placement.toml", &[connection], rank, scale);
        lab.refuses(EVALUATE, &[adapters, reason]);
    }
    lab.placement("placement.toml", &[(0, 1), (2, 2)], 2, 1.0);
    lab.refuses(EVALUATE, &[adapters, "another placement"]);
}

#[test]
fn adapters_of_another_backbone_are_refused() {
    let lab = Lab::text();
    lab.train();
    let other = TinyBert {
        seed: 1,
        ..TinyBert::default()
    };
    tiny_bert(&lab.path("backbone"), &other);
    let parts = ["placement.toml", "weights_sha256", "use the backbone"];
    lab.refuses(EVALUATE, &parts);
    lab.refuses(&format!("{TRAIN} --out other"), &parts);
    // The placement is the same but made for this backbone, which the adapters are not.
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    lab.refuses(
        EVALUATE,
        &["trained/adapters.safetensors", "weights_sha256"],
    );
}

#[test]
fn another_pooling_is_another_backbone() {
    let lab = Lab::text();
    lab.train();
    let text = lab.read("placement.toml");
    lab.write("placement.toml", text.replace("\"mean\"", "\"max\""));
    lab.refuses(
        EVALUATE,
        &["placement.toml", "`max`", "choose `mean`, `cls` or `last`"],
    );
}

#[test]
fn adapters_for_other_classes_are_refused() {
    let lab = Lab::text();
    lab.train();
    for classes in [2, 4] {
        let task = TextTask {
            classes,
            ..TextTask::default()
        };
        text_task(&lab.path("task"), &task);
        lab.refuses(
            EVALUATE,
            &["trained/adapters.safetensors", "classes", "class-1"],
        );
    }
    // There are as many classes, with other names.
    text_task(&lab.path("task"), &TextTask::default());
    for part in ["train", "validation", "test"] {
        let name = format!("task/{part}.jsonl");
        lab.write(&name, lab.read(&name).replace("class-", "kind-"));
    }
    lab.refuses(EVALUATE, &["trained/adapters.safetensors", "kind-1"]);
}

#[test]
fn damaged_adapters_are_refused() {
    let lab = Lab::text();
    lab.train();
    let path = lab.path("trained/adapters.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 5, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        lab.refuses(
            EVALUATE,
            &["trained/adapters.safetensors", "damaged or truncated"],
        );
    }
    fs::remove_file(&path).unwrap();
    lab.refuses(EVALUATE, &["trained/adapters.safetensors", "No such file"]);
}

#[test]
fn a_training_that_cannot_be_written_keeps_the_one_before() {
    let lab = Lab::text();
    lab.train();
    let before = lab.content("trained");
    lab.run_with_little_disk(1, &format!("{TRAIN} --seed 1 --out trained"))
        .failed(&["trained/adapters.safetensors", "File too large"]);
    assert!(lab.content("trained") == before);
}

#[test]
fn a_training_that_diverges_says_what_to_do() {
    let lab = Lab::text();
    lab.train();
    lab.run(&format!("{TRAIN} --learning-rate 1e38 --out diverged"))
        .failed(&["placement.toml", "diverged", "--learning-rate"]);
    assert!(lab.content("diverged").is_empty());
}
