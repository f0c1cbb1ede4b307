use std::fmt;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn jsonl(content: &[u8]) -> Result<Vec<Row<Text>>, TaskError> {
    let path = Path::new("task/train.jsonl");
    json::parse(
        decode(content, path)?,
        path,
        Part::Train,
        &Columns::default(),
    )
}

fn csv(content: &[u8]) -> Result<Vec<Row<Text>>, TaskError> {
    let path = Path::new("task/train.csv");
    delimited::parse(
        decode(content, path)?,
        path,
        Part::Train,
        &Columns::default(),
    )
}

fn message<T: fmt::Debug>(result: Result<T, TaskError>) -> String {
    result.unwrap_err().to_string()
}

type Simple = (String, Option<String>, String, u64);

fn simple(rows: Vec<Row<Text>>) -> Vec<Simple> {
    let take = |row: Row<Text>| {
        let line = row.place.line.unwrap();
        (
            row.content.clone().plain().0,
            row.content.clone().plain().1,
            row.label.to_string(),
            line,
        )
    };
    rows.into_iter().map(take).collect()
}

fn row(text: &str, pair: Option<&str>, label: &str, line: u64) -> Simple {
    (text.into(), pair.map(str::to_owned), label.into(), line)
}

#[test]
fn json_rows_with_byte_order_mark_carriage_returns_and_blank_lines() {
    let content = "\u{feff}{\"text\": \"a\", \"label\": 3, \"extra\": [1]}\r\n\r\n\
        {\"text\": \"b\", \"text_pair\": \"c\", \"label\": \" x \"}\r\n\n \n";
    assert_eq!(
        simple(jsonl(content.as_bytes()).unwrap()),
        [row("a", None, "3", 1), row("b", Some("c"), "x", 3)]
    );
}

#[test]
fn csv_rows_with_byte_order_mark_quotes_and_other_columns() {
    let content =
        "\u{feff}id,label, text\r\n1,x,\"two\nlines, quoted \"\"so\"\"\"\r\n2,4,b\r\n\r\n";
    assert_eq!(
        simple(csv(content.as_bytes()).unwrap()),
        [
            row("two\nlines, quoted \"so\"", None, "x", 2),
            row("b", None, "4", 4)
        ]
    );
    let paired = csv(b"text,text_pair,label\na,b,0\nc,,1").unwrap();
    assert_eq!(
        simple(paired),
        [row("a", Some("b"), "0", 2), row("c", Some(""), "1", 3)]
    );
}

#[test]
fn wrong_rows_are_named_by_line() {
    let first = "{\"text\": \"a\", \"label\": \"x\"}\n";
    let second = |line: &str| message(jsonl(format!("{first}{line}").as_bytes()));
    assert_eq!(
        second("{\"text\": \"b\"}"),
        "`task/train.jsonl:2`: the row has no `label`; every row needs one"
    );
    assert!(
        second("{\"text\": \" \", \"label\": 1}").contains("train.jsonl:2`: the row has no `text`")
    );
    assert!(second("{\"text\": null, \"label\": 1}").contains("no `text`"));
    assert_eq!(
        second("{\"text\": \"b\", \"label\": {\"x\": 1}}"),
        "`task/train.jsonl:2`: `label` must be a string, a number, true or false, or a list of them, not `{\"x\":1}`"
    );
    assert!(second("{\"text\": \"b\", \"label\": [\"x\", null]}").ends_with("not `null`"));
    assert!(second("{\"text\": 7, \"label\": 1}").contains("`text` must be a string, not `7`"));
    assert!(second("{\"text\": ").contains("train.jsonl:2`: not a JSON object: EOF while parsing"));
    assert!(second("[1]").contains("not a JSON object"));
    let latin = message(jsonl(b"{}\n{}\n\"\xe9\""));
    assert_eq!(
        latin,
        "`task/train.jsonl:3`: not valid UTF-8; save or name the file in UTF-8"
    );
}

#[test]
fn wrong_csv_is_named_by_line() {
    assert_eq!(
        message(csv(b"sentence,label\na,0\n")),
        "`task/train.csv` has no column `text` (it has `sentence`, `label`); rename the columns (those of a CSV file in its first line), or pass their names with `--text-column`, `--pair-column`, `--label-column`, `--image-column`"
    );
    assert!(
        message(csv(b"text,label\na,0\nb\n"))
            .starts_with("`task/train.csv:3`: not valid CSV: 1 cells instead of 2")
    );
    let after_blank_lines = message(csv(b"text,label\r\n\r\n\r\na,0\r\nb\r\n"));
    assert!(after_blank_lines.starts_with("`task/train.csv:5`: not valid CSV"));
    assert!(message(csv(b"text,label\na,\n")).contains("train.csv:2`: the row has no `label`"));
}

#[test]
fn labels_as_other_programs_write_them() {
    let labels = |lines: &[&str]| -> Vec<Label> {
        let content: Vec<String> = lines
            .iter()
            .map(|label| format!("{{\"text\": \"a\", \"label\": {label}}}\n"))
            .collect();
        let rows = jsonl(content.concat().as_bytes()).unwrap();
        rows.into_iter().map(|row| row.label).collect()
    };
    let written = [
        "true",
        "false",
        "1.0",
        "-3e0",
        "18446744073709551615",
        "\"1.0\"",
        "0.25",
    ];
    let read = [
        "true",
        "false",
        "1",
        "-3",
        "18446744073709551615",
        "1.0",
        "0.25",
    ];
    assert_eq!(labels(&written), read.map(|one| Label::One(one.to_owned())));
    let lists = labels(&["[]", "[\" a \", 2, true, 1.0]"]);
    assert_eq!(lists[0], Label::Several(Vec::new()));
    let several = ["a", "2", "true", "1"].map(str::to_owned);
    assert_eq!(lists[1], Label::Several(several.to_vec()));
}

/// A test part may have no labels, or the placeholder of GLUE.
#[test]
fn what_a_test_part_lacks() {
    let path = Path::new("task/test.csv");
    let labels = |content: &str| -> Vec<String> {
        let rows = delimited::parse(content, path, Part::Test, &Columns::default()).unwrap();
        rows.into_iter().map(|row| row.label.to_string()).collect()
    };
    assert_eq!(labels("id,text\n1,a\n2,b\n"), [UNLABELLED; 2]);
    assert_eq!(
        labels("text,label\na,\nb,-1\nc,x\n"),
        [UNLABELLED, UNLABELLED, "x"]
    );
    let rows = json::parse(
        "{\"text\": \"a\", \"label\": null}",
        path,
        Part::Test,
        &Columns::default(),
    )
    .unwrap();
    assert_eq!(rows[0].label, Label::One(UNLABELLED.to_owned()));
}

#[test]
fn cells_are_separated_by_what_the_header_says() {
    let expected = [row("a, b; c", None, "x", 2), row("d", None, "y", 3)];
    for (delimiter, quoted) in [
        (",", "\"a, b; c\""),
        (";", "\"a, b; c\""),
        ("\t", "a, b; c"),
        ("|", "a, b; c"),
    ] {
        let content =
            ["\"label\"", "text\nx", quoted].join(delimiter) + &format!("\ny{delimiter}d\n");
        assert_eq!(
            simple(csv(content.as_bytes()).unwrap()),
            expected,
            "{content}"
        );
    }
    // The error assumes a comma.
    assert!(
        message(csv(b"text;id\na;1\n")).contains("has no column `label` (it has `text`, `id`)")
    );
}

#[test]
fn a_quote_that_is_never_closed_is_named_by_its_line() {
    let open = |content: &str| message(csv(content.as_bytes()));
    assert_eq!(
        open("label,text\nx,a\r\ny,\"he said\nx,b\ny,c\n"),
        "`task/train.csv:3`: a quote is opened here and never closed; close it, or double it (`\"\"`) if it belongs to the text"
    );
    assert!(open("label,text\nx,\"a \"\" b\ny,c").contains("train.csv:2`: a quote is opened"));
    assert!(open("label,text\nx,\"a\"\"").contains("train.csv:2`"));
    // Within a cell, or doubled, a quote is a character.
    let whole = "label,text\nx,a \" b\ny,\"c \"\" \"\"\"\nx,\"d\"e\ny,\"\"\"f\"";
    let texts = csv(whole.as_bytes())
        .unwrap()
        .into_iter()
        .map(|row| row.content.clone().plain().0);
    assert_eq!(
        texts.collect::<Vec<_>>(),
        ["a \" b", "c \" \"", "de", "\"f"]
    );
}

proptest! {
    /// What the csv crate writes has no open quotes, whatever the cells contain.
    #[test]
    fn what_was_written_as_csv_is_read(cells in proptest::collection::vec("[a,;\"\n\r\t ]{0,6}", 1..5)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["text", "label"]).unwrap();
        for cell in &cells {
            writer.write_record([format!("x{cell}"), "1".to_owned()]).unwrap();
        }
        let read = csv(&writer.into_inner().unwrap()).unwrap().into_iter().map(|row| row.content.clone().plain().0);
        prop_assert_eq!(read.collect::<Vec<_>>(), cells.iter().map(|cell| format!("x{cell}")).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = jsonl(&content);
        let _ = csv(&content);
    }

    #[test]
    fn almost_valid_files_never_panic(content in "(\\{\"text\": ?\"[a\\\\\"u{}]*\", \"label\": ?[0-9e.x\"-]*\\}\r?\n){0,4}") {
        let _ = jsonl(content.as_bytes());
        let _ = csv(format!("text,label\n{content}").as_bytes());
    }

    #[test]
    fn what_was_written_as_json_is_read(texts in proptest::collection::vec("[^ ].*", 1..5)) {
        let content: String = texts
            .iter()
            .map(|text| serde_json::json!({"text": format!("x{text}"), "label": 1}).to_string() + "\n")
            .collect();
        let read: Vec<String> = jsonl(content.as_bytes()).unwrap().into_iter().map(|row| row.content.clone().plain().0).collect();
        prop_assert_eq!(read, texts.iter().map(|text| format!("x{text}")).collect::<Vec<_>>());
    }
}

#[test]
fn columns_may_have_other_names() {
    let columns = Columns {
        text: "sentence1".to_owned(),
        pair: "sentence2".to_owned(),
        label: "gold".to_owned(),
        ..Columns::default()
    };
    let expected = [row("a", Some("b"), "x", 2)];
    for (name, content) in [
        ("train.csv", "gold;sentence2;sentence1;text\nx;b;a;z\n"),
        (
            "train.jsonl",
            "\n{\"sentence1\": \"a\", \"sentence2\": \"b\", \"gold\": \"x\", \"label\": \"no\"}\n",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let rows = read_text(&path, Part::Train, &columns).unwrap();
        assert_eq!(simple(rows), expected);
        let other = Columns {
            label: "class".to_owned(),
            ..columns.clone()
        };
        assert!(message(read_text(&path, Part::Train, &other)).contains("`class`"));
        // A second text that is asked for by name must exist.
        let other = Columns {
            pair: "premise".to_owned(),
            ..columns.clone()
        };
        assert!(message(read_text(&path, Part::Train, &other)).contains("`premise`"));
    }
}

#[test]
fn gzipped_files_are_unpacked_and_broken_ones_refused() {
    let content = b"{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 2}\n";
    let mut packed = Vec::new();
    // The file has two members, as after `cat one.gz two.gz`.
    for half in content.chunks(content.len() / 2) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(half).unwrap();
        packed.extend(encoder.finish().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Train.JSONL.GZ");
    fs::write(&path, &packed).unwrap();
    let rows = read_text(&path, Part::Train, &Columns::default()).unwrap();
    assert_eq!(
        simple(rows),
        [row("a", None, "1", 1), row("b", None, "2", 2)]
    );
    for broken in [&packed[..packed.len() - 9], &content[..]] {
        fs::write(&path, broken).unwrap();
        let error = message(read_text(&path, Part::Train, &Columns::default()));
        assert!(error.contains("Train.JSONL.GZ"), "{error}");
    }
}
