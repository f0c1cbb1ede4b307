//! Task folders as found in practice.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use adaplace_task::{Encoder, ImageEncoder, Part, Task, TaskError, TaskOptions, TextEncoder};
use adaplace_testkit::{
    ImageTask, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
};
use tempfile::TempDir;

const ALL_PARTS: TaskOptions = TaskOptions {
    parts: Part::ALL,
    train_examples: None,
    seed: 0,
    reading: None,
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

/// An image task with three classes and a validation part.
fn shapes() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    image_task(folder.path(), &ImageTask::default());
    folder
}

fn class(folder: &TempDir) -> PathBuf {
    folder.path().join("train/disc-red")
}

/// The same pictures under any names and in any formats are the same task.
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
    // The order stays the same: the first ones by name are in a folder whose name comes first.
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

/// A file that is not a picture is skipped, unless its name says that it is one.
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
        message.starts_with("1 pictures are directly in"),
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
    // An unknown name is ignored, and reported if there is nothing else.
    fs::rename(at("training"), at("images")).unwrap();
    let message = pictures(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("has no training part, but `images`; add"),
        "{message}"
    );
}

/// The test parts of GLUE have no labels.
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

fn parquet(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    fixtures.join(format!("{name}.parquet"))
}

/// The same rows are read from Parquet, in one file and in two, and from lines of JSON.
#[test]
fn texts_in_parquet_are_the_same_task() {
    let rows = fs::read_to_string(parquet("rows").with_extension("json")).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    let rows = rows["class-names"].as_array().unwrap();
    let lines = |times| {
        let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
        (lines.join("\n") + "\n").repeat(times)
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("train.jsonl", lines(2).as_bytes());
    write("dev.jsonl", lines(1).as_bytes());
    let expected = texts(folder.path()).unwrap();
    assert_eq!(expected.classes, ["ham", "other", "spam"]);

    let content = fs::read(parquet("class-names")).unwrap();
    let hidden = fs::read(parquet("test-without-labels")).unwrap();
    fs::remove_file(folder.path().join("train.jsonl")).unwrap();
    fs::remove_file(folder.path().join("dev.jsonl")).unwrap();
    for index in 0..2 {
        write(
            &format!("data/train-0000{index}-of-00002.parquet"),
            &content,
        );
    }
    write("data/validation-00000-of-00001.parquet", &content);
    write("data/test-00000-of-00001.parquet", &hidden);
    let read = texts(folder.path()).unwrap();
    assert_eq!(read.fingerprint, expected.fingerprint);
    assert!(read.test.is_none());

    let subset = folder.path().join("subset");
    write("subset/train/0000.parquet", &content);
    write("subset/train/0001.parquet", &content);
    write("subset/validation/0000.parquet", &content);
    assert_eq!(texts(&subset).unwrap().fingerprint, expected.fingerprint);
}

/// The same pictures are read from files and from two kinds of Parquet columns.
#[test]
fn pictures_in_parquet_are_the_same_task() {
    let rows = fs::read_to_string(parquet("rows").with_extension("json")).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    for (index, row) in rows["pictures-plain"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let hex = row["picture"].as_str().unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        for part in ["train", "validation"] {
            let class = files.join(part).join(row["label"].to_string());
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join(format!("{index}.png")), &bytes).unwrap();
        }
    }
    let by_label = |task: &Task| {
        let adaplace_task::Inputs::Images(images) = &task.train.inputs else {
            panic!("pictures");
        };
        let mut pictures: Vec<(u32, Vec<u8>)> = (0..images.len())
            .map(|index| {
                (
                    task.train.labels.classes().unwrap()[index],
                    images.picture(index).to_vec(),
                )
            })
            .collect();
        pictures.sort();
        pictures
    };
    let expected = pictures(&files).unwrap();
    for (name, classes) in [
        ("pictures-plain", ["0", "1", "2"]),
        ("pictures", ["ham", "other", "spam"]),
    ] {
        let stored = folder.path().join(name);
        fs::create_dir(&stored).unwrap();
        fs::copy(parquet(name), stored.join("train.parquet")).unwrap();
        fs::copy(parquet(name), stored.join("validation.parquet")).unwrap();
        let read = pictures(&stored).unwrap();
        assert_eq!(read.classes, classes);
        let mut found = by_label(&read);
        // The names are in another order than the numbers: 0, 2, 1.
        if name == "pictures" {
            for (label, _) in &mut found {
                *label = [0, 2, 1][*label as usize];
            }
            found.sort();
        }
        assert_eq!(found, by_label(&expected));
        let message = texts(&stored).unwrap_err().to_string();
        assert!(message.contains("has no column `text`"), "{message}");
    }
}
