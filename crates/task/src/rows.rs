//! Rows of text, from JSONL and CSV files.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::{fs, io};

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::{Columns, Part, Place, TaskError};

mod delimited;

/// The label that marks an example without one, as in the test parts of GLUE.
pub(crate) const UNLABELLED: &str = "-1";

/// One example as found in the task folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row<Content> {
    pub(crate) place: Place,
    pub(crate) label: Label,
    pub(crate) content: Content,
}

/// A label as found in the task folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// A name or a number.
    One(String),
    /// A list of names.
    Several(Vec<String>),
}

impl std::fmt::Display for Label {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::One(label) => formatter.write_str(label),
            Label::Several(labels) => write!(formatter, "[{}]", labels.join(", ")),
        }
    }
}

/// A text, or a pair of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
}

/// The rows of one part, not yet checked against each other.
#[derive(Debug)]
pub(crate) struct RawPart<Content> {
    pub(crate) part: Part,
    /// The first file of the part, or its folder.
    pub(crate) path: PathBuf,
    pub(crate) rows: Vec<Row<Content>>,
}

impl<Content> RawPart<Content> {
    /// The rows of all `files`, of which there is at least one. `read` reads each file.
    pub(crate) fn of_files(
        files: &[PathBuf],
        part: Part,
        read: impl Fn(&Path) -> Result<Vec<Row<Content>>, TaskError>,
    ) -> Result<Self, TaskError> {
        let mut rows = Vec::new();
        for file in files {
            rows.extend(read(file)?);
        }
        let path = files[0].clone();
        Ok(Self { part, path, rows })
    }
}

/// Reads a file of rows, and unpacks it if it is gzipped.
pub(crate) fn read_text(
    path: &Path,
    part: Part,
    columns: &Columns,
) -> Result<Vec<Row<Text>>, TaskError> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let (bytes, name) = match name.strip_suffix(".gz") {
        Some(unpacked) => (unpack(path), unpacked),
        None => (fs::read(path), &name[..]),
    };
    let bytes = bytes.map_err(|source| TaskError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let content = decode(&bytes, path)?;
    match name.ends_with(".jsonl") {
        true => parse_jsonl(content, path, part, columns),
        false => delimited::parse(content, path, part, columns),
    }
}

fn unpack(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(BufReader::new(File::open(path)?)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes as text, without a byte order mark.
fn decode<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, TaskError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
        TaskError::NotUtf8 {
            place: Place {
                path: path.to_owned(),
                line: Some(line),
            },
        }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn parse_jsonl(
    content: &str,
    path: &Path,
    part: Part,
    columns: &Columns,
) -> Result<Vec<Row<Text>>, TaskError> {
    let mut rows = Vec::new();
    for (index, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = Place {
            path: path.to_owned(),
            line: Some(index as u64 + 1),
        };
        let object: Map<String, Value> = match serde_json::from_str(line) {
            Ok(object) => object,
            Err(error) => {
                // serde_json counts lines within this single line, which would contradict the place.
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or(&message);
                let message = format!("{message} at column {}", error.column());
                return Err(TaskError::InvalidJson { place, message });
            }
        };
        rows.push(json_row(&object, place, part, columns)?);
    }
    Ok(rows)
}

fn json_row(
    object: &Map<String, Value>,
    place: Place,
    part: Part,
    columns: &Columns,
) -> Result<Row<Text>, TaskError> {
    let string = |column: &str| match object.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(TaskError::InvalidValue {
            place: place.clone(),
            column: column.to_owned(),
            expected: "a string",
            found: other.to_string(),
        }),
    };
    let text = string(&columns.text)?;
    let pair = string(&columns.pair)?;
    let label = match object.get(&columns.label) {
        None | Some(Value::Null) => None,
        Some(Value::Array(labels)) => {
            let each = labels.iter().map(|label| name(label).ok_or(label));
            Some(each.collect::<Result<_, _>>().map(Label::Several))
        }
        Some(label) => Some(name(label).map(Label::One).ok_or(label)),
    };
    let label = label.transpose().map_err(|found| TaskError::InvalidValue {
        place: place.clone(),
        column: columns.label.clone(),
        expected: "a string, a number, true or false, or a list of them",
        found: found.to_string(),
    })?;
    complete_row((text, pair), label, place, part, columns)
}

/// The name of a class, or a number.
fn name(label: &Value) -> Option<String> {
    match label {
        Value::String(label) => Some(label.trim().to_owned()),
        Value::Bool(label) => Some(label.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Number(number) => Some(written(number.as_f64()?)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number as a label. An integer gives the same label whether it is written as `1` or as `1.0`. Integers with more than
/// 15 digits have no exact f64.
pub(crate) fn written(value: f64) -> String {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => format!("{value:.0}"),
        false => value.to_string(),
    }
}

/// Checks that there is a text and, except in a test part, a label.
pub(crate) fn complete_row(
    (text, pair): (Option<String>, Option<String>),
    label: Option<Label>,
    place: Place,
    part: Part,
    columns: &Columns,
) -> Result<Row<Text>, TaskError> {
    let text = present(text).ok_or_else(|| missing(&place, &columns.text))?;
    if columns.needs_pair() && pair.is_none() {
        return Err(missing(&place, &columns.pair));
    }
    Ok(Row {
        label: labelled(label, &place, part, columns)?,
        place,
        content: Text { text, pair },
    })
}

/// The label, which may be missing only in a test part.
pub(crate) fn labelled(
    label: Option<Label>,
    place: &Place,
    part: Part,
    columns: &Columns,
) -> Result<Label, TaskError> {
    match label {
        Some(Label::Several(labels)) => Ok(Label::Several(labels)),
        Some(Label::One(label)) if !label.trim().is_empty() => {
            Ok(Label::One(label.trim().to_owned()))
        }
        _ if part == Part::Test => Ok(Label::One(UNLABELLED.to_owned())),
        _ => Err(missing(place, &columns.label)),
    }
}

fn present(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}

fn missing(place: &Place, column: &str) -> TaskError {
    TaskError::MissingValue {
        place: place.clone(),
        column: column.to_owned(),
    }
}

#[cfg(test)]
mod tests;
