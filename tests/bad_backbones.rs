//! Backbones that cannot be used.

use std::fs;

use adaplace_testkit::{TextTask, TinyBert, text_task, tiny_bert};

use crate::common::{Lab, SEARCH};

/// Checks that every command that reads the backbone refuses it, and that an existing study stays as it is.
#[track_caller]
fn assert_refused(lab: &Lab, parts: &[&str]) {
    lab.refuses("inspect backbone", parts);
    refused_with_task(lab, parts);
}

#[track_caller]
fn refused_with_task(lab: &Lab, parts: &[&str]) {
    lab.refuses(
        "probe --backbone backbone --task task --out map.json",
        parts,
    );
    lab.refuses(&format!("{SEARCH} --strategy random --out study"), parts);
}

/// A lab with a finished study, so that there is something to leave untouched.
fn lab() -> Lab {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --strategy gradient-greedy --out study"))
        .succeeded();
    lab
}

#[test]
fn no_folder() {
    let lab = lab();
    fs::rename(lab.path("backbone"), lab.path("moved")).unwrap();
    assert_refused(&lab, &["`backbone`", "does not exist"]);
}

#[test]
fn no_configuration() {
    let lab = lab();
    fs::remove_file(lab.path("backbone/config.json")).unwrap();
    let ended = lab.refuses("inspect backbone", &["`backbone/config.json`"]);
    assert_eq!(
        ended.stderr.matches("No such file").count(),
        1,
        "{ended:#?}"
    );
}

#[test]
fn configuration_that_is_no_json() {
    let lab = lab();
    lab.write("backbone/config.json", "{\"model_type\": ");
    assert_refused(&lab, &["`backbone/config.json`"]);
}

#[test]
fn missing_weights() {
    let lab = lab();
    fs::remove_file(lab.path("backbone/model.safetensors")).unwrap();
    assert_refused(&lab, &["`backbone`", "model.safetensors"]);
}

#[test]
fn truncated_weights() {
    let lab = lab();
    let bytes = fs::read(lab.path("backbone/model.safetensors")).unwrap();
    for length in [0, 4, 1000, bytes.len() - 1] {
        lab.write("backbone/model.safetensors", &bytes[..length]);
        lab.refuses(
            "inspect backbone",
            &["`backbone/model.safetensors`", "truncated"],
        );
    }
    refused_with_task(&lab, &["`backbone/model.safetensors`", "truncated"]);
}

#[test]
fn a_tensor_that_is_missing() {
    let lab = lab();
    lab.configure("num_hidden_layers", 3);
    assert_refused(
        &lab,
        &[
            "`backbone/model.safetensors`",
            "encoder.layer.2",
            "has no tensor",
        ],
    );
}

#[test]
fn a_tensor_of_another_shape() {
    let lab = lab();
    lab.configure("intermediate_size", 128);
    assert_refused(
        &lab,
        &["`backbone/model.safetensors`", "[64, 32]", "[128, 32]"],
    );
}

#[test]
fn an_unknown_model_type() {
    let lab = lab();
    lab.configure("model_type", "t5");
    assert_refused(&lab, &["`backbone/config.json`", "`t5`", "`bert`", "`vit`"]);
}

#[test]
fn a_tokenizer_of_another_vocabulary() {
    let lab = Lab::text();
    let larger = TinyBert {
        vocabulary: 200,
        ..TinyBert::default()
    };
    tiny_bert(&lab.path("larger"), &larger);
    fs::copy(
        lab.path("larger/tokenizer.json"),
        lab.path("backbone/tokenizer.json"),
    )
    .unwrap();
    let task = TextTask {
        vocabulary: 200,
        ..TextTask::default()
    };
    text_task(&lab.path("task"), &task);
    refused_with_task(
        &lab,
        &[
            "`backbone/tokenizer.json`",
            "produces the id",
            "vocabulary of 64",
        ],
    );
}

#[test]
fn no_tokenizer() {
    let lab = lab();
    fs::remove_file(lab.path("backbone/tokenizer.json")).unwrap();
    refused_with_task(&lab, &["`backbone/tokenizer.json`"]);
    lab.write("backbone/tokenizer.json", "{}");
    refused_with_task(&lab, &["`backbone/tokenizer.json`"]);
}

#[test]
fn a_length_that_the_backbone_does_not_have() {
    let lab = Lab::text();
    lab.refuses(
        "probe --backbone backbone --task task --max-length 65 --out map.json",
        &["65 tokens", "64 positions", "`backbone`"],
    );
}

#[test]
fn another_backbone_than_that_of_the_study() {
    let lab = lab();
    let other = TinyBert {
        seed: 1,
        ..TinyBert::default()
    };
    tiny_bert(&lab.path("backbone"), &other);
    lab.refuses(
        "search --study study/study.toml --out again",
        &["`backbone`", "hash"],
    );
    lab.refuses(
        &format!("{SEARCH} --strategy gradient-greedy --out study"),
        &["`study`", "`backbone.weights_sha256`"],
    );
}
