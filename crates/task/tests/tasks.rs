//! Whole task folders, with the tiny backbones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use adaplace_task::{
    BatchInputs, Encoder, Examples, ImageEncoder, Part, Task, TaskError, TaskOptions, TextEncoder,
};
use adaplace_testkit::{
    ImageTask, TextFormat, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
};
use tempfile::TempDir;

const ALL_PARTS: TaskOptions = TaskOptions {
    parts: &[Part::Train, Part::Validation, Part::Test],
    train_examples: None,
    seed: 0,
    reading: None,
};

fn text_encoder() -> Encoder {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    Encoder::Text(TextEncoder::from_folder(folder.path(), 64, 64, 32).unwrap())
}

fn image_encoder() -> Encoder {
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(folder.path(), &TinyVit::default());
    Encoder::Image(ImageEncoder::from_folder(folder.path(), 16, 3).unwrap())
}

fn text_folder(task: &TextTask) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    text_task(folder.path(), task);
    folder
}

fn load(folder: &Path) -> Result<Task, TaskError> {
    Task::load(folder, &text_encoder(), &ALL_PARTS)
}

fn counts(examples: &Examples, classes: usize) -> Vec<usize> {
    let of_class = |class| {
        examples
            .labels
            .classes()
            .unwrap()
            .iter()
            .filter(|&&label| label as usize == class)
            .count()
    };
    (0..classes).map(of_class).collect()
}

#[test]
fn a_text_task_is_read_the_same_from_both_formats() {
    let task = TextTask {
        pairs: true,
        ..TextTask::default()
    };
    let json = load(text_folder(&task).path()).unwrap();
    assert_eq!(json.classes, ["class-0", "class-1", "class-2"]);
    assert_eq!(counts(&json.train, 3), [20, 20, 20]);
    assert_eq!(counts(json.test.as_ref().unwrap(), 3), [10, 10, 10]);
    // A text has 4 to 20 words, 3 special tokens, a full stop, and at most one suffix for each word.
    assert!(
        json.train
            .lengths()
            .iter()
            .all(|length| (8..=32).contains(length))
    );
    let csv = load(
        text_folder(&TextTask {
            format: TextFormat::Csv,
            ..task
        })
        .path(),
    )
    .unwrap();
    assert_eq!((json.train, json.validation), (csv.train, csv.validation));
    assert_eq!(json.fingerprint, csv.fingerprint);
}

#[test]
fn an_image_task_is_read_class_by_class() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("shapes");
    image_task(
        &root,
        &ImageTask {
            validation: None,
            ..ImageTask::default()
        },
    );
    fs::write(root.join("train/.hidden"), "").unwrap();
    fs::write(root.join("train/disc-red/.1.png"), "hidden").unwrap();
    fs::write(root.join("train/disc-red/notes.txt"), "no picture").unwrap();
    let task = Task::load(&root, &image_encoder(), &ALL_PARTS).unwrap();
    assert_eq!(task.name, "shapes");
    assert_eq!(task.classes, ["cross-red", "disc-red", "gradient-red"]);
    assert_eq!(counts(&task.train, 3), [16, 16, 16]);
    assert_eq!(counts(&task.validation, 3), [4, 4, 4]);
    let BatchInputs::Images { shape, pixels } = task.train.batch(&[0, 47]).inputs else {
        panic!("pictures make a batch of pictures");
    };
    assert_eq!((shape, pixels.len()), ([2, 3, 16, 16], 1536));
    // The mean and std are 0.5, so levels are in -1 ..= 1.
    assert!(pixels.iter().all(|value| value.abs() <= 1.0));
    assert!(task.train.labels.classes().unwrap().is_sorted());
}

#[test]
fn the_validation_split_knows_neither_seed_nor_subset() {
    let folder = text_folder(&TextTask {
        validation: None,
        ..TextTask::default()
    });
    let with = |train_examples, seed| {
        let options = TaskOptions {
            train_examples,
            seed,
            ..TaskOptions::default()
        };
        Task::load(folder.path(), &text_encoder(), &options).unwrap()
    };
    let (all, some, others) = (with(None, 0), with(Some(12), 0), with(Some(12), 1));
    assert_eq!(counts(&all.train, 3), [16, 16, 16]);
    assert_eq!(counts(&some.train, 3), [4, 4, 4]);
    assert_eq!(all.validation, some.validation);
    assert_eq!(all.validation, others.validation);
    assert_ne!(some.train, others.train);
    assert_eq!(with(Some(48), 1).fingerprint, all.fingerprint);
    assert_eq!(with(Some(1000), 1).train, all.train);
    assert_ne!(some.fingerprint, all.fingerprint);
}

#[test]
fn the_test_part_is_only_read_when_asked_for() {
    let folder = text_folder(&TextTask::default());
    fs::write(folder.path().join("test.jsonl"), "broken").unwrap();
    let search = Task::load(folder.path(), &text_encoder(), &TaskOptions::default()).unwrap();
    assert!(search.test.is_none());
    assert!(matches!(
        load(folder.path()),
        Err(TaskError::InvalidJson { .. })
    ));
    fs::remove_file(folder.path().join("test.jsonl")).unwrap();
    let without = load(folder.path()).unwrap();
    assert_eq!(
        (without.test, without.fingerprint),
        (None, search.fingerprint)
    );
}

/// A text task with these parts, each given as labels.
fn labelled(parts: &[(&str, &[&str])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, labels) in parts {
        let rows: String = labels
            .iter()
            .map(|label| format!("baba,{label}\n"))
            .collect();
        fs::write(
            folder.path().join(format!("{part}.csv")),
            format!("text,label\n{rows}"),
        )
        .unwrap();
    }
    folder
}

#[test]
fn classes_are_sorted_as_numbers_if_all_are_integers() {
    let classes = |labels: &[&str]| {
        load(labelled(&[("train", labels), ("validation", labels)]).path())
            .unwrap()
            .classes
    };
    assert_eq!(classes(&["10", "9", "-1"]), ["-1", "9", "10"]);
    assert_eq!(classes(&["10", "9", "x"]), ["10", "9", "x"]);
}

/// The message of loading the task, without the folder's own path.
fn message(folder: &TempDir, encoder: &Encoder) -> String {
    let error = Task::load(folder.path(), encoder, &ALL_PARTS).unwrap_err();
    error
        .to_string()
        .replace(folder.path().to_str().unwrap(), "TASK")
}

#[test]
fn wrong_parts_are_named() {
    let text = text_encoder();
    let said = |parts: &[(&str, &[&str])]| message(&labelled(parts), &text);
    let two = ("train", &["a", "b"][..]);
    assert!(
        said(&[]).starts_with("the task folder `TASK` has no training part; add `train.jsonl`")
    );
    assert_eq!(
        said(&[("train", &[])]),
        "the train part `TASK/train.csv` is empty; add examples or remove it"
    );
    assert_eq!(
        said(&[two, ("validation", &["b", "b"])]),
        "the validation part `TASK/validation.csv` has only one class, `b`; add examples of at least one other class"
    );
    assert_eq!(
        said(&[two, ("validation", &["a", "c"])]),
        "`TASK/validation.csv:3`: no training example has the label `c` (train has `a`, `b`); \
         correct it or add training examples"
    );
    assert!(
        said(&[two, two, ("validation", &["a", "b"]), ("test", &[])])
            .contains("test part `TASK/test.csv` is empty")
    );
    assert!(
        said(&[two]).contains(
            "has no validation part, and its training part is too small to split one off"
        )
    );
}

#[test]
fn wrong_folders_are_named() {
    let (text, image) = (text_encoder(), image_encoder());
    let folder = text_folder(&TextTask::default());
    assert!(
        message(&folder, &image)
            .starts_with("the backbone reads images, but the task `TASK` consists of text")
    );
    text_task(
        folder.path(),
        &TextTask {
            format: TextFormat::Csv,
            ..TextTask::default()
        },
    );
    assert!(
        message(&folder, &text)
            .contains("has two train parts, `train.csv` and `train.jsonl`; remove")
    );
    let shapes = tempfile::tempdir().unwrap();
    image_task(shapes.path(), &ImageTask::default());
    assert!(
        message(&shapes, &text)
            .starts_with("the backbone reads text, but the task `TASK` consists of pictures")
    );
    fs::write(
        shapes.path().join("validation/disc-red/0001.png"),
        b"\x89PNG\r\n\x1a\nbroken",
    )
    .unwrap();
    assert!(
        message(&shapes, &image)
            .starts_with("the picture `TASK/validation/disc-red/0001.png` cannot be decoded: ")
    );
    let missing = load(&shapes.path().join("nothing"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("nothing` does not exist or is not a folder"));
}
