//! Task folders as they lie about.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use adaplace_task::{Encoder, ImageEncoder, Part, Task, TaskError, TaskOptions, TextEncoder};
use adaplace_testkit::{
    ImageTask, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
};
use tempfile::TempDir;

const ALL_PARTS: TaskOptions = TaskOptions {
    parts: &Part::ALL,
    train_examples: None,
    seed: 0,
    columns: None,
};

fn texts(folder: &Path) -> Result<Task, TaskError> {
    let backbone = tempfile::tempdir().unwrap();
    tiny_bert(backbone.path(), &TinyBert::default());
    let encoder = Encoder::Text(TextEncoder::from_folder(backbone.path(), 64, 64, 32).unwrap());
    Task::load(folder, &encoder, &ALL_PARTS)
}

fn pictures(folder: &Path) -> Result<Task, TaskError> {
    let backbone = tempfile::tempdir().unwrap();
    tiny_vit(backbone.path(), &TinyVit::default());
    let encoder = Encoder::Image(ImageEncoder::from_folder(backbone.path(), 16, 3).unwrap());
    Task::load(folder, &encoder, &ALL_PARTS)
}

/// Three classes, with a validation part.
fn shapes() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    image_task(folder.path(), &ImageTask::default());
    folder
}

fn class(folder: &TempDir) -> PathBuf {
    folder.path().join("train/disc-red")
}

/// The same pictures under names and in formats of any kind are the same task.
#[test]
fn pictures_are_known_by_their_content() {
    let folder = shapes();
    let before = pictures(folder.path()).unwrap();
    let class = class(&folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&class)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    // The order stays: the first ones by name are in a folder whose name comes first.
    fs::create_dir_all(class.join("0/deeper")).unwrap();
    fs::rename(&files[0], class.join("0/deeper/picture.tif")).unwrap();
    fs::rename(&files[1], class.join("0/no-ending")).unwrap();
    let picture = image::open(&files[2]).unwrap();
    picture.save(class.join("0/none-the-less.tiff")).unwrap();
    fs::remove_file(&files[2]).unwrap();
    let after = pictures(folder.path()).unwrap();
    assert_eq!(after.train.len(), before.train.len());
    assert_eq!(after.fingerprint, before.fingerprint);
}

/// What is no picture is passed over; what says that it is one is not.
#[test]
fn other_files_are_passed_over() {
    let folder = shapes();
    let before = pictures(folder.path()).unwrap();
    let class = class(&folder);
    fs::write(class.join("notes.txt"), "no picture").unwrap();
    fs::write(class.join("nothing"), "").unwrap();
    fs::write(class.join("animation.avif"), b"\0\0\0\x20ftypavif").unwrap();
    fs::write(folder.path().join("train/index.csv"), "a,b").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("nowhere.png", class.join("link.png")).unwrap();
        symlink("..", class.join("loop")).unwrap();
    }
    assert_eq!(pictures(folder.path()).unwrap(), before);
    fs::write(class.join("broken.png"), "no picture").unwrap();
    let message = pictures(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("broken.png` cannot be decoded"),
        "{message}"
    );
}

#[test]
fn pictures_without_a_class_are_refused() {
    let folder = shapes();
    let file = fs::read_dir(class(&folder))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::copy(file.path(), folder.path().join("train/loose.png")).unwrap();
    let message = pictures(folder.path()).unwrap_err().to_string();
    assert!(
        message.starts_with("1 pictures stand directly in"),
        "{message}"
    );
}

/// The user's own validation part is read under each of its names.
#[test]
fn parts_have_other_names_too() {
    let folder = tempfile::tempdir().unwrap();
    text_task(folder.path(), &TextTask::default());
    let usual = texts(folder.path()).unwrap();
    let mut before = folder.path().join("validation.jsonl");
    for name in ["valid", "val", "dev", "Validation"] {
        let after = folder.path().join(format!("{name}.jsonl"));
        fs::rename(&before, &after).unwrap();
        before = after;
        assert_eq!(texts(folder.path()).unwrap(), usual, "{name}");
    }
    let folder = shapes();
    let usual = pictures(folder.path()).unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::rename(at("train"), at("training")).unwrap();
    fs::rename(at("validation"), at("val")).unwrap();
    assert_eq!(pictures(folder.path()).unwrap(), usual);
    // One that means nothing is left out, and named where nothing else is there.
    fs::rename(at("training"), at("images")).unwrap();
    let message = pictures(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("has no training part, but `images`; add"),
        "{message}"
    );
}

/// As the test parts of GLUE.
#[test]
fn a_test_part_without_labels_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    text_task(folder.path(), &TextTask::default());
    let write = |content: &str| fs::write(folder.path().join("test.csv"), content).unwrap();
    let label = texts(folder.path()).unwrap().classes[0].clone();
    let _ = fs::remove_file(folder.path().join("test.jsonl"));
    for content in ["text,label\nbaba,-1\ndane,-1\n", "text,id\nbaba,7\n"] {
        write(content);
        assert_eq!(texts(folder.path()).unwrap().test, None, "{content}");
    }
    write(&format!("text,label\nbaba,{label}\ndane,-1\n"));
    let message = texts(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("no training example has the label `-1`"),
        "{message}"
    );
}
