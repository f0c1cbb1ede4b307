//! Tasks that ask for a tag of each word, or for the completion of a prompt.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use adaplace_task::{
    ClassWeights, Encoder, Examples, Inputs, Labels, Part, ProblemKind, Reading, Task, TaskError,
    TaskOptions, TextEncoder,
};
use adaplace_testkit::{TinyBert, TinyGpt2, tiny_bert, tiny_gpt2};
use tempfile::TempDir;

const LONGEST: usize = 8;

/// A task with these lines in each part.
fn task(parts: &[(&str, &[&str])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, lines) in parts {
        let content: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder.path().join(format!("{part}.jsonl")), content).unwrap();
    }
    folder
}

fn load_with(folder: &Path, reading: &Reading) -> Result<Task, TaskError> {
    let backbone = tempfile::tempdir().unwrap();
    tiny_bert(backbone.path(), &TinyBert::default());
    let encoder = TextEncoder::from_folder(backbone.path(), 64, 64, LONGEST).unwrap();
    let options = TaskOptions {
        parts: Part::ALL,
        reading: Some(reading),
        ..TaskOptions::default()
    };
    Task::load(folder, &Encoder::Text(encoder), &options)
}

fn load(folder: &TempDir) -> Result<Task, TaskError> {
    load_with(folder.path(), &Reading::default())
}

fn message(folder: &TempDir) -> String {
    let message = load(folder).unwrap_err().to_string();
    message.replace(&folder.path().display().to_string(), "task")
}

/// The labelled tokens of an example: positions and classes.
fn tokens(examples: &Examples, index: usize) -> Vec<(u32, u32)> {
    let tokens = examples.labels.tokens(index).unwrap().iter();
    tokens.map(|one| (one.token, one.class)).collect()
}

fn ids(examples: &Examples, index: usize) -> &[u32] {
    match &examples.inputs {
        Inputs::Text(texts) => &texts.texts[index].ids,
        Inputs::Images(_) => panic!("these are texts"),
    }
}

/// In the tiny vocabulary `danes` has two tokens, so the tag of the word behind it is at the fourth.
#[test]
fn tags_are_at_the_first_token_of_each_word() {
    let folder = task(&[
        (
            "train",
            &[
                r#"{"tokens": ["baba", "danes", "gigi"], "tags": ["O", "B-X", "I-X"]}"#,
                r#"{"tokens": ["Baba.dane"], "tags": ["O"]}"#,
            ],
        ),
        (
            "validation",
            &[
                r#"{"tokens": ["baba", "baba", "baba", "baba", "danes", "dane", "gigi"], "tags": ["O", "O", "O", "O", "B-X", "O", "O"]}"#,
            ],
        ),
    ]);
    let task = load(&folder).unwrap();
    assert_eq!(task.problem(), ProblemKind::TokenClassification);
    assert_eq!(
        (task.outputs(), &task.classes[..]),
        (3, &["B-X", "I-X", "O"].map(str::to_owned)[..])
    );
    assert_eq!(ids(&task.train, 0).len(), 6);
    assert_eq!(tokens(&task.train, 0), [(1, 2), (2, 0), (4, 1)]);
    // A word may have punctuation within.
    assert_eq!(ids(&task.train, 1), [2, 8, 6, 9, 3]);
    assert_eq!(tokens(&task.train, 1), [(1, 2)]);
    // Eight tokens leave room for six of seven, and the words behind are cut off.
    assert_eq!(
        tokens(&task.validation, 0),
        [(1, 2), (2, 2), (3, 2), (4, 2), (5, 0)]
    );
    assert_eq!(task.validation.predictions(&[0]), 5);
    let summary = task.summary();
    assert_eq!(summary.parts[0].predictions, Some(4));
    assert_eq!(summary.parts[1].classes, [1, 0, 4]);
    assert_eq!(summary.parts[1].cut, 1);
}

#[test]
fn spans_of_characters_are_tags_of_words() {
    let folder = task(&[
        (
            "train",
            &[
                r#"{"text": "baba dane, gigi", "spans": [{"start": 5, "end": 9, "label": "X"}]}"#,
                r#"{"text": "baba dane", "spans": []}"#,
                r#"{"text": "gigi baba dane", "spans": [{"start": 5, "end": 14, "label": "X"}]}"#,
                r#"{"text": "gigi", "spans": []}"#,
            ],
        ),
        (
            "validation",
            &[
                r#"{"text": "baba", "spans": [{"start": 0, "end": 4, "label": "X"}]}"#,
                r#"{"text": "dane", "spans": []}"#,
            ],
        ),
    ]);
    let task = load(&folder).unwrap();
    assert_eq!(task.classes, ["B-X", "I-X", "O"]);
    assert_eq!(tokens(&task.train, 0), [(1, 2), (2, 0), (3, 2), (4, 2)]);
    assert_eq!(tokens(&task.train, 2), [(1, 2), (2, 0), (3, 1)]);
    let wrong = self::task(&[(
        "train",
        &[r#"{"text": "baba", "spans": [{"start": 2, "end": 9, "label": "X"}]}"#],
    )]);
    let message = message(&wrong);
    assert!(
        message.contains("`spans`") && message.contains("in characters of the text"),
        "{message}"
    );
}

/// Weights count words: 6 of them, of which 3 are outside and 1 begins an entity.
#[test]
fn balanced_weights_count_words() {
    let folder = task(&[
        (
            "train",
            &[
                r#"{"tokens": ["baba", "dane", "gigi"], "tags": ["O", "B-X", "I-X"]}"#,
                r#"{"tokens": ["baba", "dane", "gigi"], "tags": ["O", "O", "I-X"]}"#,
            ],
        ),
        (
            "validation",
            &[r#"{"tokens": ["baba", "dane"], "tags": ["O", "B-X"]}"#],
        ),
    ]);
    let reading = Reading {
        class_weights: ClassWeights::Balanced,
        ..Reading::default()
    };
    let task = load_with(folder.path(), &reading).unwrap();
    let [begin, inside, outside] = [2.0, 1.0, 2.0 / 3.0].map(|weight: f64| weight as f32);
    let expected = vec![outside, begin, inside, outside, outside, inside];
    assert_eq!(task.train.weights_at(&[0, 1]), Some(expected));
    assert!((task.validation.total_weight(&[0]) - 8.0 / 3.0).abs() < 1e-6);
}

/// Each of these tags occurs twice, so both parts of a split have it.
#[test]
fn rare_tags_are_in_both_parts() {
    let mut lines: Vec<String> = (0..60)
        .map(|index| format!(r#"{{"tokens": ["baba", "w{index}"], "tags": ["O", "O"]}}"#))
        .collect();
    for (place, tag) in [(3, "B-X"), (40, "B-X"), (7, "B-Y"), (55, "B-Y")] {
        lines[place] = format!(r#"{{"tokens": ["baba", "w{place}"], "tags": ["O", "{tag}"]}}"#);
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let task = load(&task(&[("train", &lines)])).unwrap();
    assert_eq!((task.train.len(), task.validation.len()), (48, 12));
    for part in task.summary().parts {
        assert_eq!(part.classes[..2], [1, 1], "{:?}", part.part);
    }
}

#[test]
fn bad_tags_have_one_message_each() {
    let good = r#"{"tokens": ["baba", "dane"], "tags": ["O", "B-X"]}"#;
    for (lines, expected) in [
        (
            [good, r#"{"tokens": ["baba", "dane"], "tags": ["O"]}"#],
            "task/train.jsonl:2`: there are 2 tokens, but tags for 1; every token needs one",
        ),
        (
            [good, r#"{"tokens": ["baba", 3], "tags": ["O", "O"]}"#],
            "`tokens` must be a list of strings, not `3`",
        ),
        (
            [good, r#"{"tokens": [], "tags": []}"#],
            "task/train.jsonl:2`",
        ),
        ([good, r#"{"tokens": ["baba"]}"#], "task/train.jsonl:2`"),
        (
            [good, r#"{"text": "baba", "label": "x"}"#],
            "the label `x` is not a tag for each word, but the labels before it are tags of words",
        ),
        (
            [good, r#"{"tokens": ["\u200d"], "tags": ["O"]}"#],
            "none of its words leaves a token",
        ),
    ] {
        let found = message(&task(&[("train", &lines), ("validation", &[good])]));
        assert!(found.contains(expected), "{found}");
    }
    let unknown = task(&[
        ("train", &[good]),
        ("validation", &[r#"{"tokens": ["baba"], "tags": ["B-Z"]}"#]),
    ]);
    assert!(message(&unknown).contains("no training example has the label `B-Z`"));
}

/// The end of a text is `[MASK]`, which `tokenizer_config.json` names or `config.json` numbers.
fn load_completions(folder: &Path, named: bool) -> Result<Task, TaskError> {
    let backbone = tempfile::tempdir().unwrap();
    tiny_gpt2(backbone.path(), &TinyGpt2::default());
    let (config, tokenizer) = (
        backbone.path().join("config.json"),
        backbone.path().join("tokenizer_config.json"),
    );
    if named {
        let settings = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "[MASK]"}"#;
        fs::write(tokenizer, settings).unwrap();
    } else {
        let settings = fs::read_to_string(&config).unwrap();
        let numbered = settings.replace("\"eos_token_id\": 3", "\"eos_token_id\": [4, 3]");
        assert_ne!(numbered, settings);
        fs::write(config, numbered).unwrap();
    }
    let encoder = TextEncoder::from_folder(backbone.path(), 64, 64, LONGEST).unwrap();
    Task::load(folder, &Encoder::Text(encoder), &TaskOptions::default())
}

/// The tokens of the completion are predicted, each at the one before it, and the end of the text, here `[MASK]`, too.
#[test]
fn completions_are_predicted_token_by_token() {
    let lines = [
        r#"{"prompt": "baba dane", "completion": " gigi baba"}"#,
        r#"{"prompt": "", "completion": "dane"}"#,
        r#"{"prompt": "baba baba dane dane", "completion": " gigi gigi gigi"}"#,
    ];
    let folder = task(&[("train", &lines), ("validation", &lines[..2])]);
    let task = load_completions(folder.path(), true).unwrap();
    assert_eq!(load_completions(folder.path(), false).unwrap(), task);
    assert_eq!(task.problem(), ProblemKind::LanguageModelling);
    assert_eq!((task.outputs(), task.classes.len()), (0, 0));
    let Labels::Completions(_) = task.train.labels else {
        panic!("{:?}", task.train.labels);
    };
    let gigi = ids(&task.train, 0)[3];
    assert_eq!(ids(&task.train, 0), [2, 8, 9, gigi, 8, 3, 4]);
    assert_eq!(tokens(&task.train, 0), [(2, gigi), (3, 8), (4, 3), (5, 4)]);
    assert_eq!(tokens(&task.train, 1), [(0, 9), (1, 3), (2, 4)]);
    // A completion that is cut has no end.
    assert_eq!(ids(&task.train, 2), [2, 8, 8, 9, 9, gigi, gigi, 3]);
    assert_eq!(tokens(&task.train, 2), [(4, gigi), (5, gigi), (6, 3)]);
}

#[test]
fn bad_completions_have_one_message_each() {
    let good = r#"{"prompt": "baba", "completion": " dane"}"#;
    for (line, expected) in [
        (
            r#"{"prompt": "baba dane baba dane baba dane", "completion": " gigi"}"#,
            "task/train.jsonl:2`: the prompt fills all 8 tokens, so the completion is cut away",
        ),
        (r#"{"prompt": "baba", "completion": ""}"#, "`completion`"),
        (r#"{"completion": "baba"}"#, "`prompt`"),
        (
            r#"{"text": "baba", "label": "x"}"#,
            "the label `x` is not a completion, but the labels before it are completions of prompts",
        ),
    ] {
        let folder = task(&[("train", &[good, line]), ("validation", &[good])]);
        let found = load_completions(folder.path(), true)
            .unwrap_err()
            .to_string();
        let found = found.replace(&folder.path().display().to_string(), "task");
        assert!(found.contains(expected), "{found}");
    }
}
