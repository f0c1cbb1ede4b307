use std::path::Path;

use proptest::prelude::*;

use super::*;

fn jsonl(content: &[u8]) -> Result<Vec<Row<Text>>, TaskError> {
    let path = Path::new("task/train.jsonl");
    parse_jsonl(decode(content, path)?, path)
}

fn csv(content: &[u8]) -> Result<Vec<Row<Text>>, TaskError> {
    let path = Path::new("task/train.csv");
    parse_csv(decode(content, path)?, path)
}

fn message<T: fmt::Debug>(result: Result<T, TaskError>) -> String {
    result.unwrap_err().to_string()
}

type Simple = (String, Option<String>, String, u64);

fn simple(rows: Vec<Row<Text>>) -> Vec<Simple> {
    let take = |row: Row<Text>| {
        let line = row.place.line.unwrap();
        (row.content.text, row.content.pair, row.label, line)
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
        "`task/train.jsonl:2`: the row has no `label`; every row needs `text` and `label`"
    );
    assert!(
        second("{\"text\": \" \", \"label\": 1}").contains("train.jsonl:2`: the row has no `text`")
    );
    assert!(second("{\"text\": null, \"label\": 1}").contains("no `text`"));
    assert_eq!(
        second("{\"text\": \"b\", \"label\": 0.5}"),
        "`task/train.jsonl:2`: `label` must be a string or an integer, not `0.5`"
    );
    assert!(second("{\"text\": 7, \"label\": 1}").contains("`text` must be a string, not `7`"));
    assert!(second("{\"text\": ").contains("train.jsonl:2`: not a JSON object: EOF while parsing"));
    assert!(second("[1]").contains("not a JSON object"));
    let latin = message(jsonl(b"{}\n{}\n\"\xe9\""));
    assert_eq!(
        latin,
        "`task/train.jsonl:3`: not valid UTF-8; save the file, or name it, in UTF-8"
    );
}

#[test]
fn wrong_csv_is_named_by_line() {
    assert_eq!(
        message(csv(b"sentence,label\na,0\n")),
        "`task/train.csv` has no column `text` (its header is `sentence`, `label`); name the columns in the first line"
    );
    assert!(
        message(csv(b"text,label\na,0\nb\n"))
            .starts_with("`task/train.csv:3`: not valid CSV: 1 cells instead of 2")
    );
    let after_blank_lines = message(csv(b"text,label\r\n\r\n\r\na,0\r\nb\r\n"));
    assert!(after_blank_lines.starts_with("`task/train.csv:5`: not valid CSV"));
    assert!(message(csv(b"text,label\na,\n")).contains("train.csv:2`: the row has no `label`"));
}

proptest! {
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
        let read: Vec<String> = jsonl(content.as_bytes()).unwrap().into_iter().map(|row| row.content.text).collect();
        prop_assert_eq!(read, texts.iter().map(|text| format!("x{text}")).collect::<Vec<_>>());
    }
}
