//! What the targets share: folders that are valid except for the fuzzed file.

use std::fs;
use std::path::Path;

use adaplace_task::{Encoder, ImageEncoder, Part, Task, TaskError, TaskOptions, TextEncoder};
use adaplace_testkit::{
    ImageTask, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
};
use tempfile::TempDir;

/// The files of a study, one of which is selected by the first byte of an input.
pub const STUDY: [&str; 4] = [
    "journal.jsonl",
    "study.toml",
    "ranking.json",
    "gradient-map.json",
];

/// The endings of files of rows.
pub const ROWS: [&str; 6] = ["jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz"];

/// The files that determine the tokens of a text.
pub const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentence_bert_config.json",
    "vocab.txt",
    "config.json",
];

/// The files that determine the pixels of a picture.
pub const PREPROCESSING: [&str; 3] = [
    "preprocessor_config.json",
    "processor_config.json",
    "config.json",
];

/// The files from which a backbone is read.
pub const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "config.json",
    "model.safetensors.index.json",
    "1_Pooling/config.json",
];

/// A new temporary folder, in memory if possible.
#[must_use]
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
    .expect("a temporary folder can be made")
}

/// The folder of a BERT and a task with its words.
#[must_use]
pub fn texts() -> TempDir {
    let folder = folder();
    tiny_bert(&folder.path().join("backbone"), &TinyBert::default());
    let few = TextTask {
        classes: 2,
        train: 6,
        validation: Some(2),
        test: None,
        ..TextTask::default()
    };
    text_task(&folder.path().join("task"), &few);
    folder
}

/// The folder of a ViT and a task with pictures.
#[must_use]
pub fn pictures() -> TempDir {
    let folder = folder();
    tiny_vit(&folder.path().join("backbone"), &TinyVit::default());
    let few = ImageTask {
        classes: 2,
        train: 4,
        validation: Some(2),
        test: None,
        ..ImageTask::default()
    };
    image_task(&folder.path().join("task"), &few);
    folder
}

/// The file that the first byte of an input selects, and its content.
#[must_use]
pub fn choose<'a, T: Copy>(input: &'a [u8], of: &[T]) -> Option<(T, &'a [u8])> {
    let (first, content) = input.split_first()?;
    Some((of[usize::from(*first) % of.len()], content))
}

/// Writes a file, and creates the folders above it.
pub fn put(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).expect("folders can be made");
    }
    fs::write(path, content).expect("files can be written");
}

/// Does `work` while a file contains `content`, and then restores or removes the file.
pub fn with_file(folder: &Path, name: &str, content: &[u8], work: impl FnOnce()) {
    let before = fs::read(folder.join(name)).ok();
    put(folder, name, content);
    work();
    match before {
        Some(before) => put(folder, name, &before),
        None => fs::remove_file(folder.join(name)).expect("the file is there"),
    }
}

/// Loads all parts of a text task, with the tokenizer of `backbone`.
///
/// # Errors
/// If either of them is invalid.
pub fn load_texts(backbone: &Path, task: &Path) -> Result<Task, TaskError> {
    let encoder = Encoder::Text(TextEncoder::from_folder(backbone, 64, 64, 32)?);
    load(&encoder, task)
}

/// Loads all parts of an image task, with the preprocessing of `backbone`.
///
/// # Errors
/// If either of them is invalid.
pub fn load_pictures(backbone: &Path, task: &Path) -> Result<Task, TaskError> {
    let encoder = Encoder::Image(ImageEncoder::from_folder(backbone, 16, 3)?);
    load(&encoder, task)
}

fn load(encoder: &Encoder, task: &Path) -> Result<Task, TaskError> {
    let options = TaskOptions {
        parts: &Part::ALL,
        ..TaskOptions::default()
    };
    Task::load(task, encoder, &options)
}
