use std::fs;

use serde_json::Value;

use super::*;
use crate::image_folder::PictureAt;
use crate::rows::{Row, Text};
use crate::{Columns, Part};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet")
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.parquet"))
}

/// The rows that `datasets` reads from a file.
fn expected(name: &str) -> Vec<Value> {
    let rows: Value =
        serde_json::from_slice(&fs::read(folder().join("rows.json")).unwrap()).unwrap();
    rows[name].as_array().unwrap().clone()
}

/// A label as it is read. A whole number is written without a fraction, and null is no label.
fn class(label: &Value) -> Label {
    let name = |label: &Value| match label {
        Value::String(label) => label.clone(),
        Value::Number(number) => written(number.as_f64().unwrap()),
        other => other.to_string(),
    };
    match label {
        Value::Null => Label::One(UNLABELLED.to_owned()),
        Value::Array(labels) => Label::Several(labels.iter().map(name).collect()),
        one => Label::One(name(one)),
    }
}

fn texts(name: &str, part: Part) -> Result<Vec<Row<Text>>, TaskError> {
    read_text(&file(name), part, &Columns::default())
}

#[test]
fn texts_are_those_that_datasets_reads() {
    let mut files = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "rows" || name.starts_with("picture") || name.starts_with("words") {
            continue;
        }
        files += 1;
        let rows = texts(&name, Part::Test).unwrap();
        let expected = expected(&name);
        assert_eq!(rows.len(), expected.len(), "{name}");
        for (index, (row, expected)) in rows.iter().zip(&expected).enumerate() {
            assert_eq!(
                row.content.clone().plain().0,
                expected["text"].as_str().unwrap(),
                "{name}"
            );
            let pair = expected.get("text_pair").and_then(Value::as_str);
            assert_eq!(row.content.clone().plain().1.as_deref(), pair, "{name}");
            assert_eq!(row.label, class(&expected["label"]), "{name}");
            assert_eq!(row.place.line, Some(index as u64 + 1));
        }
    }
    assert_eq!(files, 12);
}

#[test]
fn words_and_completions_are_those_that_datasets_reads() {
    let strings = |value: &Value| -> Vec<String> {
        let each = value.as_array().unwrap().iter();
        each.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let rows = texts("words-with-tags", Part::Train).unwrap();
    for (row, expected) in rows.iter().zip(expected("words-with-tags")) {
        assert_eq!(row.content, Text::Words(strings(&expected["tokens"])));
        assert_eq!(row.label, Label::Tags(strings(&expected["tags"])));
    }
    let columns = Columns {
        text: "tokens".to_owned(),
        label: "tags".to_owned(),
        ..Columns::default()
    };
    let named = read_text(&file("words-with-tags"), Part::Train, &columns).unwrap();
    assert!(named.iter().zip(&rows).all(|(a, b)| a.label == b.label));
    let rows = texts("words-completions", Part::Train).unwrap();
    for (row, expected) in rows.iter().zip(expected("words-completions")) {
        let string = |key: &str| expected[key].as_str().unwrap().to_owned();
        let (prompt, completion) = (string("prompt"), string("completion"));
        assert_eq!(row.content, Text::Prompted { prompt, completion });
        assert_eq!(row.label, Label::Completion);
    }
    assert_eq!(rows.len(), 9);
}

#[test]
fn pictures_are_those_that_datasets_reads_in_any_ascending_order() {
    for name in ["pictures", "pictures-plain"] {
        let rows = read_pictures(&file(name), Part::Train, &Columns::default()).unwrap();
        let expected = expected(name);
        let picture = |stored: &mut StoredPictures, index: usize| {
            let PictureAt::Columns(columns) = rows[index].content else {
                panic!("a picture of a Parquet file stands in a column");
            };
            let bytes = stored.read(&rows[index].place, columns).unwrap();
            let hex: String = bytes
                .data()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, expected[index]["picture"].as_str().unwrap(), "{name}");
        };
        for order in [&[0, 1, 2, 3, 4][..], &[1, 4], &[3], &[4, 0, 2]] {
            let mut stored = StoredPictures::default();
            for &index in order {
                picture(&mut stored, index);
            }
        }
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row.label, class(&expected["label"]));
        }
    }
}

/// `to_parquet` of `datasets` leaves pictures where they are and stores their paths.
#[test]
fn a_picture_may_be_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    fs::copy(file("picture-paths"), &path).unwrap();
    let rows = read_pictures(&path, Part::Train, &Columns::default()).unwrap();
    let mut stored = StoredPictures::default();
    let mut read = |index: usize| {
        let PictureAt::Columns(columns) = rows[index].content else {
            panic!("a picture of a Parquet file stands in a column");
        };
        stored
            .read(&rows[index].place, columns)
            .map_err(|error| error.to_string())
    };
    let message = read(0).unwrap_err();
    assert!(
        message.contains("train.parquet:1` contains no picture, only the path")
            && message.contains("0.png`"),
        "{message}"
    );
    fs::write(folder.path().join("0.png"), b"zero").unwrap();
    fs::write(folder.path().join("2.png"), b"two").unwrap();
    assert_eq!(read(0).unwrap().data(), b"zero");
    assert_eq!(read(2).unwrap().data(), b"two");
    // The fourth row contains its content, the last one nothing at all.
    assert_eq!(read(3).unwrap().data(), b"three");
    assert!(read(4).unwrap_err().contains("the row has no `picture`"));
}

#[test]
fn columns_that_are_missing_or_of_other_types_are_named() {
    let message = |columns: Columns| {
        read_text(&file("class-names"), Part::Train, &columns)
            .unwrap_err()
            .to_string()
    };
    let usual = Columns::default;
    let missing = message(Columns {
        text: "sentence".to_owned(),
        ..usual()
    });
    assert!(
        missing.contains("no column `sentence` (it has `idx`, `text`, `label`)"),
        "{missing}"
    );
    let numbers = message(Columns {
        text: "idx".to_owned(),
        ..usual()
    });
    assert!(
        numbers.contains("`idx` of")
            && numbers.contains("holds whole numbers, but must hold texts"),
        "{numbers}"
    );
    let pair = message(Columns {
        pair: "text_2".to_owned(),
        ..usual()
    });
    assert!(pair.contains("no column `text_2`"), "{pair}");
    let pictures = read_text(
        &file("pictures"),
        Part::Train,
        &Columns {
            text: "img".to_owned(),
            ..usual()
        },
    );
    assert!(
        pictures
            .unwrap_err()
            .to_string()
            .contains("lists or structures")
    );
    let pictures = read_pictures(&file("class-names"), Part::Train, &usual());
    assert!(
        pictures
            .unwrap_err()
            .to_string()
            .contains("no column `image`")
    );
    // The only column of pictures may have any name, unless another one is asked for.
    let other = Columns {
        image: "photo".to_owned(),
        ..usual()
    };
    assert!(read_pictures(&file("pictures"), Part::Train, &other).is_err());
}

#[test]
fn labels_may_be_missing_in_a_test_part_alone() {
    let columns = Columns {
        label: "class".to_owned(),
        ..Columns::default()
    };
    let rows = read_text(&file("class-names"), Part::Test, &columns).unwrap();
    assert!(
        rows.iter()
            .all(|row| row.label == Label::One(UNLABELLED.to_owned()))
    );
    assert!(read_text(&file("class-names"), Part::Train, &columns).is_err());
    assert!(
        texts("test-without-labels", Part::Train)
            .unwrap()
            .iter()
            .all(|row| row.label == Label::One(UNLABELLED.to_owned()))
    );
}

#[test]
fn a_number_is_a_class_or_refused() {
    let names = ["ham".to_owned(), "spam".to_owned()];
    let label = |number: Number| number.label(&names);
    assert_eq!(label(Number::Whole(1)).unwrap(), "spam");
    assert_eq!(label(Number::Whole(-1)).unwrap(), UNLABELLED);
    assert_eq!(label(Number::Whole(2)), None);
    assert_eq!(label(Number::Fraction(0.5)), None);
    assert_eq!(Number::Fraction(0.5).label(&[]).unwrap(), "0.5");
    assert_eq!(Number::Fraction(3.0).label(&[]).unwrap(), "3");
}

#[test]
fn a_file_that_is_damaged_is_named() {
    let bytes = fs::read(file("pairs-gzip")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read_text(&path, Part::Train, &Columns::default())
            .map(|rows| rows.len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(message(&bytes), Ok(9));
    for cut in [0, 3, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = message(&bytes[..cut]).unwrap_err();
        assert!(error.contains("train.parquet` as Parquet"), "{error}");
    }
    let mut damaged = bytes.clone();
    for byte in &mut damaged[40..80] {
        *byte ^= 0xff;
    }
    assert!(message(&damaged).unwrap_err().contains("as Parquet"));
}

/// The library panics on some of these files, which must cause an error like any other damage.
#[test]
fn a_file_damaged_at_any_byte_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let mut refused = 0;
    for name in ["pairs-lz4-pages-of-version-2", "lists-of-texts"] {
        let sound = fs::read(file(name)).unwrap();
        for index in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[index] ^= 0xff;
            fs::write(&path, damaged).unwrap();
            let read = read_text(&path, Part::Test, &Columns::default());
            refused += usize::from(read.is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}
