//! Tasks whose labels are numbers or lists, and weights of classes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use adaplace_task::{
    ClassWeights, Encoder, Examples, Labels, Part, ProblemKind, Reading, Task, TaskError,
    TaskOptions, TextEncoder,
};
use adaplace_testkit::{TinyBert, tiny_bert};
use tempfile::TempDir;

fn load_with(folder: &Path, reading: &Reading) -> Result<Task, TaskError> {
    let backbone = tempfile::tempdir().unwrap();
    tiny_bert(backbone.path(), &TinyBert::default());
    let encoder = TextEncoder::from_folder(backbone.path(), 64, 64, 32).unwrap();
    let options = TaskOptions {
        parts: Part::ALL,
        reading: Some(reading),
        ..TaskOptions::default()
    };
    Task::load(folder, &Encoder::Text(encoder), &options)
}

fn load(folder: &Path) -> Result<Task, TaskError> {
    load_with(folder, &Reading::default())
}

fn balanced() -> Reading {
    Reading {
        class_weights: ClassWeights::Balanced,
        ..Reading::default()
    }
}

fn weights(examples: &Examples) -> Option<Vec<f32>> {
    let all: Vec<usize> = (0..examples.len()).collect();
    examples.weights_at(&all)
}

fn message(folder: &TempDir) -> String {
    let message = load(folder.path()).unwrap_err().to_string();
    message.replace(&folder.path().display().to_string(), "task")
}

/// A task with these parts, each given as labels in JSON.
fn task(parts: &[(&str, &[&str])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, labels) in parts {
        let mut rows = String::new();
        for (index, label) in labels.iter().enumerate() {
            writeln!(
                rows,
                r#"{{"text": "w{} w{}", "label": {label}}}"#,
                index % 7,
                index % 5
            )
            .unwrap();
        }
        fs::write(folder.path().join(format!("{part}.jsonl")), rows).unwrap();
    }
    folder
}

/// The numbers with their mean and deviation in the training part.
fn numbers(labels: &Labels) -> (Vec<f64>, f64, f64) {
    let Labels::Numbers { numbers, scale } = labels else {
        panic!("{labels:?} are not numbers");
    };
    (numbers.clone(), scale.mean, scale.deviation)
}

#[test]
fn numbers_are_standardised_by_the_training_part() {
    let folder = task(&[
        ("train", &["1", "2.0", "1.0", "2", "1.5"]),
        ("validation", &["4.5", "-1"]),
        ("test", &["2.25", "1.25"]),
    ]);
    let task = load(folder.path()).unwrap();
    assert_eq!(task.problem(), ProblemKind::Regression);
    assert_eq!((task.outputs(), task.classes.len()), (1, 0));
    // The squared differences from 1.5 are four times 1/4 and 0.
    let deviation = 0.2_f64.sqrt();
    let (train, mean, found) = numbers(&task.train.labels);
    assert!((mean - 1.5).abs() < 1e-12 && (found - deviation).abs() < 1e-12);
    assert_eq!(train, [1.0, 2.0, 1.0, 2.0, 1.5]);
    let (validation, mean, found) = numbers(&task.validation.labels);
    assert_eq!(validation, [4.5, -1.0]);
    assert!((mean - 1.5).abs() < 1e-12 && (found - deviation).abs() < 1e-12);
    let summary = task.summary().parts[1].numbers.unwrap();
    assert_eq!((summary.least, summary.greatest), (-1.0, 4.5));
}

/// Whole numbers are classes unless something says that they are not.
#[test]
fn whole_numbers_are_classes_by_default() {
    let folder = task(&[
        ("train", &["1", "2", "1", "2"]),
        ("validation", &["2", "1"]),
    ]);
    let found = load(folder.path()).unwrap();
    assert_eq!(found.problem(), ProblemKind::Classification);
    let regression = Reading {
        problem: Some(ProblemKind::Regression),
        ..Reading::default()
    };
    let chosen = load_with(folder.path(), &regression).unwrap();
    assert_eq!(chosen.problem(), ProblemKind::Regression);
    assert_ne!(chosen.fingerprint, found.fingerprint);
    fs::write(
        folder.path().join("task.toml"),
        "problem = \"regression\"\n",
    )
    .unwrap();
    assert_eq!(load(folder.path()).unwrap(), chosen);
    fs::write(folder.path().join("task.toml"), "problem = \"guess\"\n").unwrap();
    let broken = message(&folder);
    assert!(
        broken.starts_with("`task/task.toml`: unknown variant `guess`"),
        "{broken}"
    );
}

#[test]
fn fractions_are_classes_if_asked_for() {
    let folder = task(&[("train", &["0.5", "1.5"]), ("validation", &["0.5", "1.5"])]);
    let classification = Reading {
        problem: Some(ProblemKind::Classification),
        ..Reading::default()
    };
    let task = load_with(folder.path(), &classification).unwrap();
    assert_eq!(task.classes, ["0.5", "1.5"]);
}

#[test]
fn lists_are_sets_of_classes() {
    let folder = task(&[
        (
            "train",
            &[r#"["b", "a", "b"]"#, "[]", r#"["c"]"#, r#"["a"]"#],
        ),
        ("validation", &[r#"["c", "a"]"#, "[]"]),
    ]);
    let task = load(folder.path()).unwrap();
    assert_eq!(task.problem(), ProblemKind::MultiLabel);
    assert_eq!(task.classes, ["a", "b", "c"]);
    assert_eq!(task.outputs(), 3);
    let sets = |sets: &[&[u32]]| Labels::Sets {
        classes: 3,
        sets: sets.iter().map(|set| set.to_vec()).collect(),
    };
    assert_eq!(task.train.labels, sets(&[&[0, 1], &[], &[2], &[0]]));
    assert_eq!(task.validation.labels, sets(&[&[0, 2], &[]]));
    assert_eq!(task.summary().parts[0].classes, [2, 1, 1]);
}

/// Every fifth example validates, from all ranges of the numbers.
#[test]
fn a_split_has_numbers_of_all_sizes() {
    let labels: Vec<String> = (0..100).map(|n| format!("{}.5", n * n)).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let task = load(task(&[("train", &labels)]).path()).unwrap();
    assert_eq!((task.train.len(), task.validation.len()), (80, 20));
    let (validation, ..) = numbers(&task.validation.labels);
    let mut of_decile = [0; 10];
    for number in validation {
        of_decile[number.sqrt() as usize / 10] += 1;
    }
    assert_eq!(of_decile, [2; 10]);
}

/// The rarest label of an example decides its group, so a label that two examples have is in both parts.
#[test]
fn a_split_has_every_label_in_both_parts() {
    let labels: Vec<&str> = (0..60)
        .map(|n| match n {
            7 | 33 => r#"["rare", "even"]"#,
            n if n % 2 == 0 => r#"["even"]"#,
            n if n % 3 == 0 => r#"["three", "odd"]"#,
            _ => "[]",
        })
        .collect();
    let task = load(task(&[("train", &labels)]).path()).unwrap();
    for part in task.summary().parts {
        assert!(part.classes.iter().all(|&count| count > 0), "{part:?}");
    }
}

#[test]
fn a_regression_keeps_its_test_part_unless_it_has_no_labels() {
    let train: &[&str] = &["0.5", "1", "2", "1.5"];
    let hidden = task(&[
        ("train", train),
        ("validation", train),
        ("test", &["-1", "-1.0"]),
    ]);
    assert!(load(hidden.path()).unwrap().test.is_none());
    let shown = task(&[
        ("train", &["-1", "0.5"]),
        ("validation", train),
        ("test", &["-1", "2"]),
    ]);
    assert!(load(shown.path()).unwrap().test.is_some());
}

#[test]
fn labels_that_do_not_belong_together_are_named() {
    let of = |labels: &[&str]| message(&task(&[("train", labels)]));
    assert_eq!(
        of(&["0.5", "1", "\"good\""]),
        "`task/train.jsonl:3`: the label `good` is not a number, but the labels before it are numbers; write all labels in the same way, or say what they are with `--problem`"
    );
    assert_eq!(
        of(&["\"a\"", "[\"a\"]"]),
        "`task/train.jsonl:2`: the label `[a]` is a list of labels, but the labels before it are single labels; write all labels in the same way, or say what they are with `--problem`"
    );
    assert_eq!(
        of(&["0.5", "0.5"]),
        "all examples of the train part `task/train.jsonl` have the label 0.5; add examples with other labels"
    );
    let other = task(&[("train", &["0.5", "1"]), ("validation", &["1", "\"x\""])]);
    assert_eq!(
        message(&other),
        "`task/validation.jsonl:2`: the label must be a number for a regression, not `x`"
    );
    let single = task(&[("train", &["[\"a\"]", "[]"]), ("validation", &["\"a\""])]);
    assert_eq!(
        message(&single),
        "`task/validation.jsonl:1`: the label must be a list of labels for a multi-label problem, not `a`"
    );
    let unknown = task(&[
        ("train", &["[\"a\"]", "[]"]),
        ("validation", &["[\"b\"]", "[]"]),
    ]);
    assert!(message(&unknown).contains("no training example has the label `b`"));
    let several = task(&[("train", &["\"a\"", "\"b\""]), ("validation", &["[\"a\"]"])]);
    assert!(message(&several).contains("must be one label (lists are for"));
}

/// The weights of scikit-learn: `compute_class_weight("balanced", ...)` for 3, 1 and 4 examples is 8/9, 8/3 and 2/3.
#[test]
fn balanced_weights_by_hand() {
    let labels = [
        "\"a\"", "\"a\"", "\"b\"", "\"c\"", "\"c\"", "\"a\"", "\"c\"", "\"c\"",
    ];
    let folder = task(&[("train", &labels), ("validation", &["\"b\"", "\"c\""])]);
    let task = load_with(folder.path(), &balanced()).unwrap();
    let [a, b, c] = [8.0 / 9.0, 8.0 / 3.0, 2.0 / 3.0].map(|weight: f64| weight as f32);
    assert_eq!(weights(&task.train).unwrap(), [a, a, b, c, c, a, c, c]);
    assert_eq!(weights(&task.validation).as_deref(), Some(&[b, c][..]));
    assert!((task.validation.total_weight(&[0, 1]) - 10.0 / 3.0).abs() < 1e-6);
    let unweighted = load(folder.path()).unwrap();
    assert_eq!(weights(&unweighted.train), None);
    assert_ne!(unweighted.fingerprint, task.fingerprint);
}

#[test]
fn only_classes_are_weighted() {
    let folder = task(&[("train", &["0.5", "1"]), ("validation", &["0.5", "1"])]);
    let error = load_with(folder.path(), &balanced())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is a regression task, but only classes can be weighted"),
        "{error}"
    );
}
