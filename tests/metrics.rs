//! Metrics other than accuracy and loss.

use crate::common::Lab;

/// As in CoLA, nine of ten examples belong to one class.
#[test]
fn metrics_that_count_every_class_rank() {
    let lab = Lab::text();
    let mut rows = String::new();
    for example in 0..40 {
        let (word, label) = match example % 10 {
            0 => ("dane", "rare"),
            _ => ("baba", "usual"),
        };
        rows.push_str(&format!(
            "{{\"text\": \"{word} {}\", \"label\": \"{label}\"}}\n",
            "baba ".repeat(example / 10)
        ));
    }
    for part in ["train", "validation", "test"] {
        lab.write(&format!("task/{part}.jsonl"), &rows);
    }
    let search = "search --backbone backbone --task task --space space.toml --strategy random --trials 4 --steps 3 \
        --finalists 2 --repetitions 1";
    for (metric, key, title) in [
        (
            "balanced-accuracy",
            "balanced_accuracy",
            "balanced accuracy",
        ),
        ("macro-f1", "macro_f1", "macro F1"),
        ("matthews", "matthews", "Matthews correlation"),
    ] {
        let ended = lab
            .run(&format!("{search} --metric {metric} --out {metric}"))
            .succeeded();
        assert!(ended.stdout.contains(title), "{ended:#?}");
        let ranking: serde_json::Value =
            serde_json::from_str(&lab.read(&format!("{metric}/ranking.json"))).unwrap();
        let trials = ranking["trials"].as_array().unwrap();
        let values: Vec<f64> = trials
            .iter()
            .map(|trial| trial["result"]["score"]["by_class"][key].as_f64().unwrap())
            .collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
        let page = lab.read(&format!("{metric}/report.html"));
        assert!(page.contains(&format!("validation {title}")), "{metric}");
    }
    let metrics = lab
        .run("train macro-f1/placements/1.toml --backbone backbone --task task --steps 3 --out trained --json")
        .succeeded()
        .json();
    assert!(metrics["test"]["by_class"]["matthews"].is_number());
    let evaluated = "evaluate macro-f1/placements/1.toml --adapters trained/adapters.safetensors --backbone backbone --task task";
    let ended = lab.run(evaluated).succeeded();
    assert!(ended.stdout.contains("Matthews correlation"), "{ended:#?}");
}
