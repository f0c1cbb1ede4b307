//! A small text classification task.

use std::path::Path;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::{files, vocabulary};

/// The file format of a text task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextFormat {
    /// One JSON object per line.
    #[default]
    Jsonl,
    /// A header and comma-separated rows.
    Csv,
}

/// The description of what [`text_task`] writes. Classes are named `class-0`, `class-1` .. and are equally frequent in
/// every part.
///
/// A sentence consists of 4 to 20 made-up words, one or two of which are marker words. The first class has one marker.
/// Every two further classes share a pair of markers and differ only in which of them comes first. So the mean of the
/// word embeddings shows how many markers there are but never their order, and an adapter can improve on a linear
/// probe. With `pairs` the first marker is in `text`, the second in `text_pair`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTask {
    /// The number of classes, at least 2.
    pub classes: usize,
    /// The number of training examples.
    pub train: usize,
    /// The number of validation examples, or `None` for no validation part.
    pub validation: Option<usize>,
    /// The number of test examples, or `None` for no test part.
    pub test: Option<usize>,
    /// Whether each example is a pair of sentences.
    pub pairs: bool,
    /// The file format of all parts.
    pub format: TextFormat,
    /// The size of the vocabulary of the backbone that will read the task.
    pub vocabulary: usize,
    /// The seed of all sentences.
    pub seed: u64,
}

impl Default for TextTask {
    fn default() -> Self {
        TextTask {
            classes: 3,
            train: 60,
            validation: Some(30),
            test: Some(30),
            pairs: false,
            format: TextFormat::Jsonl,
            vocabulary: 64,
            seed: 0,
        }
    }
}

/// Writes a text task folder.
///
/// # Panics
/// If the folder cannot be written, if there are fewer than 2 classes, or if the vocabulary is too small for them.
pub fn text_task(folder: &Path, task: &TextTask) {
    assert!(task.classes >= 2, "a task has at least two classes");
    let words = vocabulary::word_count(task.vocabulary);
    assert!(
        words >= 2 * marker_count(task.classes),
        "a vocabulary of {} is too small for {} classes",
        task.vocabulary,
        task.classes
    );
    files::make_folder(folder);
    let mut random = ChaCha8Rng::seed_from_u64(task.seed);
    let parts = [
        ("train", Some(task.train)),
        ("validation", task.validation),
        ("test", task.test),
    ];
    for (name, size) in parts {
        // Each part has its own seed, even if it is not written, so leaving one out does not change the others.
        let mut labels: Vec<usize> = (0..size.unwrap_or(0)).map(|i| i % task.classes).collect();
        let mut part_random = ChaCha8Rng::seed_from_u64(random.random());
        labels.shuffle(&mut part_random);
        let rows: Vec<Row> = labels
            .into_iter()
            .map(|label| draw_row(task, words, label, &mut part_random))
            .collect();
        if size.is_some() {
            write_part(folder, name, task, &rows);
        }
    }
}

struct Row {
    text: String,
    text_pair: Option<String>,
    label: String,
}

/// The number of markers: two for every two classes after the first.
fn marker_count(classes: usize) -> usize {
    (classes / 2) * 2
}

fn draw_row(task: &TextTask, words: usize, label: usize, random: &mut impl Rng) -> Row {
    let markers = marker_count(task.classes);
    let (first, second) = if label == 0 {
        let marker = Some(random.random_range(0..markers));
        if random.random() {
            (marker, None)
        } else {
            (None, marker)
        }
    } else {
        let pair = 2 * ((label - 1) / 2);
        match (label - 1) % 2 {
            0 => (Some(pair), Some(pair + 1)),
            _ => (Some(pair + 1), Some(pair)),
        }
    };
    // This is the smaller of two draws, so short sentences are more frequent than long ones, as in real text.
    let length = random.random_range(4..=20).min(random.random_range(4..=20));
    let mut sentence: Vec<String> = (0..length)
        .map(|_| {
            let mut word = vocabulary::word(random.random_range(markers..words));
            if random.random_bool(0.15) {
                word.push('s');
            }
            word
        })
        .collect();
    let middle = length / 2;
    for (marker, places) in [(first, 0..middle), (second, middle..length)] {
        let place = random.random_range(places);
        if let Some(marker) = marker {
            sentence[place] = vocabulary::word(marker);
        }
    }
    let (text, text_pair) = if task.pairs {
        let (text, pair) = sentence.split_at(middle);
        (text.join(" ") + ".", Some(pair.join(" ")))
    } else {
        (sentence.join(" ") + ".", None)
    };
    Row {
        text,
        text_pair,
        label: format!("class-{label}"),
    }
}

fn write_part(folder: &Path, name: &str, task: &TextTask, rows: &[Row]) {
    let mut content = String::new();
    if task.format == TextFormat::Csv {
        content.push_str(if task.pairs {
            "text,text_pair,label\n"
        } else {
            "text,label\n"
        });
    }
    for row in rows {
        let line = match (task.format, &row.text_pair) {
            (TextFormat::Jsonl, None) => {
                json!({ "text": row.text, "label": row.label }).to_string()
            }
            (TextFormat::Jsonl, Some(pair)) => {
                json!({ "text": row.text, "text_pair": pair, "label": row.label }).to_string()
            }
            // The made-up words contain neither commas nor quotes.
            (TextFormat::Csv, None) => format!("{},{}", row.text, row.label),
            (TextFormat::Csv, Some(pair)) => format!("{},{pair},{}", row.text, row.label),
        };
        content.push_str(&line);
        content.push('\n');
    }
    let extension = match task.format {
        TextFormat::Jsonl => "jsonl",
        TextFormat::Csv => "csv",
    };
    files::write(
        &folder.join(format!("{name}.{extension}")),
        content.as_bytes(),
    );
}
