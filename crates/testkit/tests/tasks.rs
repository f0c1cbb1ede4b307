//! The tiny tasks have the content that their descriptions promise.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use adaplace_testkit::{ImageTask, TextFormat, TextTask, image_task, text_task};
use serde_json::Value;

fn rows(folder: &Path, part: &str) -> Vec<Value> {
    fs::read_to_string(folder.join(format!("{part}.jsonl")))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn labels_of_a_text_task_follow_from_the_order_of_the_markers() {
    let folder = tempfile::tempdir().unwrap();
    text_task(folder.path(), &TextTask::default());
    let rows = rows(folder.path(), "train");
    assert_eq!(rows.len(), 60);
    let mut counts = [0; 3];
    for row in rows {
        let text = row["text"].as_str().unwrap().trim_end_matches('.');
        let words: Vec<&str> = text.split(' ').collect();
        assert!((4..=20).contains(&words.len()));
        // These are words 0 and 1 of the vocabulary; every other word has at least number 2.
        let first = words.iter().position(|&word| word == "baba");
        let second = words.iter().position(|&word| word == "dane");
        let label = match (first, second) {
            (Some(first), Some(second)) if first < second => 1,
            (Some(_), Some(_)) => 2,
            (None, None) => panic!("no marker in {text}"),
            _ => 0,
        };
        assert_eq!(row["label"], format!("class-{label}"), "{text}");
        counts[label] += 1;
    }
    assert_eq!(counts, [20, 20, 20]);
}

#[test]
fn formats_hold_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let task = TextTask {
        pairs: true,
        test: None,
        ..TextTask::default()
    };
    text_task(folder.path(), &task);
    text_task(
        folder.path(),
        &TextTask {
            format: TextFormat::Csv,
            ..task
        },
    );
    let csv = fs::read_to_string(folder.path().join("validation.csv")).unwrap();
    let mut expected = String::from("text,text_pair,label\n");
    for row in rows(folder.path(), "validation") {
        let cells = ["text", "text_pair", "label"].map(|key| row[key].as_str().unwrap());
        expected.push_str(&(cells.join(",") + "\n"));
    }
    assert_eq!(csv, expected);
    assert!(!folder.path().join("test.csv").exists());
}

#[test]
fn an_image_task_has_a_folder_per_class() {
    let folder = tempfile::tempdir().unwrap();
    let task = ImageTask {
        classes: 5,
        train: 10,
        validation: None,
        ..ImageTask::default()
    };
    image_task(folder.path(), &task);
    let mut classes: Vec<_> = fs::read_dir(folder.path().join("train"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    classes.sort();
    assert_eq!(classes.len(), 5);
    for class in classes {
        let pictures: Vec<_> = fs::read_dir(class).unwrap().collect();
        assert_eq!(pictures.len(), 2);
        let picture = image::open(pictures[0].as_ref().unwrap().path()).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 16));
    }
    assert!(!folder.path().join("validation").exists());
}
