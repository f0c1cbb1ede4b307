//! What the targets share: folders that are sound but for the one file that is fuzzed.

use std::fs;
use std::path::Path;

use adaplace_task::{Encoder, ImageEncoder, Part, Task, TaskError, TaskOptions, TextEncoder};
use adaplace_testkit::{
    ImageTask, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
};
use tempfile::TempDir;

/// Files of a study, of which the first byte of an input chooses one.
pub const STUDY: [&str; 4] = [
    "journal.jsonl",
    "study.toml",
    "ranking.json",
    "gradient-map.json",
];

/// Endings of files of rows.
pub const ROWS: [&str; 6] = ["jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz"];

/// Files that decide what tokens a text becomes.
pub const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentence_bert_config.json",
    "vocab.txt",
    "config.json",
];

/// Files that decide what pixels a picture becomes.
pub const PREPROCESSING: [&str; 3] = [
    "preprocessor_config.json",
    "processor_config.json",
    "config.json",
];

/// Files that a backbone is read from.
pub const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "config.json",
    "model.safetensors.index.json",
    "1_Pooling/config.json",
];

/// A folder of its own; on a disk in memory where there is one.
#[must_use]
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
    .expect("a temporary folder can be made")
}

/// A BERT and a task of its words.
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

/// A ViT and a task of pictures.
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

/// The file that the first byte of an input chooses, and its content.
#[must_use]
pub fn choose<'a, T: Copy>(input: &'a [u8], of: &[T]) -> Option<(T, &'a [u8])> {
    let (first, content) = input.split_first()?;
    Some((of[usize::from(*first) % of.len()], content))
}

/// Writes a file, and the folders above it.
pub fn put(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).expect("folders can be made");
    }
    fs::write(path, content).expect("files can be written");
}

/// Does `work` while a file holds `content`; afterwards it is what it was before, if it was.
pub fn with_file(folder: &Path, name: &str, content: &[u8], work: impl FnOnce()) {
    let before = fs::read(folder.join(name)).ok();
    put(folder, name, content);
    work();
    match before {
        Some(before) => put(folder, name, &before),
        None => fs::remove_file(folder.join(name)).expect("the file is there"),
    }
}

/// All parts of a task of texts, with the tokenizer of `backbone`.
///
/// # Errors
/// Whatever is wrong with either.
pub fn load_texts(backbone: &Path, task: &Path) -> Result<Task, TaskError> {
    let encoder = Encoder::Text(TextEncoder::from_folder(backbone, 64, 64, 32)?);
    load(&encoder, task)
}

/// All parts of a task of pictures, with the preprocessing of `backbone`.
///
/// # Errors
/// Whatever is wrong with either.
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
