//! `adaplace inspect`.

use crate::common::{Lab, finish};

#[test]
fn it_says_what_a_text_backbone_is() {
    let lab = Lab::text();
    let ended = lab.run("inspect backbone").succeeded();
    for line in [
        "bert: 2 blocks, width 32, 4 heads, MLP width 64",
        "reads          text, a vocabulary of 64, up to 64 tokens",
        "hidden states  5, h_0 (embedding) to h_4",
        // 5 + 4 + 6 + 10
        "connections    25: 5 sequential, 4 parallel, 6 long-range, 10 recurrent",
        "for 32 tokens",
        // 2 * 8 * 32 + 8 + 32
        "of rank 8 has 552 parameters",
    ] {
        assert!(ended.stdout.contains(line), "no {line:?} in {ended:#?}");
    }
    assert_eq!(ended.stderr, "");
}

#[test]
fn it_says_what_an_image_backbone_is() {
    let lab = Lab::images();
    let ended = lab.run("inspect backbone").succeeded();
    assert!(
        ended
            .stdout
            .contains("images of 16 x 16 pixels, 3 channels, in patches of 4")
    );
    // There are 16 patches and the class token.
    assert!(ended.stdout.contains("for 17 tokens"), "{ended:#?}");
    assert!(ended.stdout.contains("pooling        cls"), "{ended:#?}");
}

#[test]
fn json_says_the_same() {
    let lab = Lab::text();
    let report = lab
        .run("inspect backbone --json --tokens 10")
        .succeeded()
        .json();
    assert_eq!(report["backbone"]["model_type"], "bert");
    assert_eq!(report["backbone"]["hidden_states"], 5);
    assert_eq!(report["tokens"], 10);
    assert_eq!(report["sublayer_flops"].as_array().unwrap().len(), 4);
    assert_eq!(report["connections"][3]["kind"], "recurrent");
    assert_eq!(report["connections"][3]["count"], 10);
    assert_eq!(report["adapter"]["parameters"], 552);
    // There are two products of 8 x 32 multiply-adds for each token.
    assert_eq!(report["adapter"]["flops"], 10 * 4 * 8 * 32);
    let hash = report["backbone"]["weights_sha256"].as_str().unwrap();
    assert_eq!(hash.len(), 64);
}

#[test]
fn a_task_is_shown_as_it_is_read() {
    let lab = Lab::text();
    lab.write(
        "backbone/tokenizer_config.json",
        "{\"do_lower_case\": true}",
    );
    lab.write(
        "task/train.jsonl",
        r#"{"text": "baba dane", "label": "a"}
           {"text": "baba dane", "label": "b"}
           {"text": "dane dane dane dane dane", "label": "b"}"#,
    );
    lab.write(
        "task/validation.jsonl",
        r#"{"text": "BABA dane", "label": "a"}
           {"text": "dane", "label": "b"}"#,
    );
    lab.write(
        "task/test.jsonl",
        r#"{"text": "dane", "label": "b"}
           {"text": "dane baba", "label": "a"}"#,
    );
    let inspect = "inspect backbone --task task --max-length 6";
    let ended = lab.run(inspect).succeeded();
    for line in [
        "task: 2 classes",
        "to at most 6 tokens by tokenizer.json, tokenizer_config.json",
        "examples  cut  repeated  with another label  a  b",
        "train              3    1         1                   1  1  2",
        "validation         2    0         0                   0  1  1",
        "test               2    0         0                   0  1  1",
        "1 of 2 validation examples are also train examples, so the validation results are too optimistic",
        "1 of 2 test examples are also validation examples, so the test results are too optimistic",
    ] {
        assert!(ended.stdout.contains(line), "no {line:?} in {ended:#?}");
    }
    let task = &lab.run(&format!("{inspect} --json")).succeeded().json()["task"];
    assert_eq!(task["encoded_by"][1], "tokenizer_config.json");
    assert_eq!(task["parts"][0]["classes"], serde_json::json!([1, 2]));
    assert_eq!(task["shared"][0]["examples"], 1);
    lab.run("inspect backbone --max-length 6")
        .misused(&["--task"]);
    lab.run("inspect backbone --task nowhere")
        .failed(&["`nowhere`"]);

    // A search prints the same in three lines.
    let search = "search --backbone backbone --task task --max-length 6 --trials 1 --steps 1 --finalists 1 --repetitions 1 \
        --strategy random";
    let ended = lab.run(search).succeeded();
    for line in [
        "backbone  bert, 2 blocks, width 32, pooling mean; tokens by tokenizer.json, tokenizer_config.json",
        "task      task, 2 classes, 3 train and 2 validation examples; 1 cut at 6 tokens",
        "space     25 connections, up to 3 adapters, 2,300 placements",
        "1 of 2 validation examples are also train examples",
    ] {
        assert!(ended.stderr.contains(line), "no {line:?} in {ended:#?}");
    }
}

#[test]
fn pooling_is_an_option() {
    let lab = Lab::text();
    let report = lab
        .run("inspect backbone --json --pooling cls")
        .succeeded()
        .json();
    assert_eq!(report["backbone"]["pooling"], "cls");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let lab = Lab::text();
    let program = crate::common::PROGRAM;
    for arguments in ["inspect backbone", "inspect backbone --json"] {
        let mut command = lab.prepared("bash");
        command.args(["-c", &format!("exec {program} {arguments} >/dev/full")]);
        finish(&mut command).failed(&["stdout", "No space left"]);
        // A reader that stops before the end does not cause an error.
        let mut command = lab.prepared("bash");
        command.args([
            "-c",
            &format!("{program} {arguments} | true; exit ${{PIPESTATUS[0]}}"),
        ]);
        assert_eq!(finish(&mut command).succeeded().stderr, "");
    }
}
