//! Text rows from JSONL and CSV files.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde_json::{Map, Value};

use crate::{Part, TaskError};

/// Where a row stands: a file and, in a file of several rows, the line (counted from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line on which the row starts; none for a picture.
    pub line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "`{}:{line}`", self.path.display()),
            None => write!(formatter, "`{}`", self.path.display()),
        }
    }
}

/// One example as it stands in the task folder. `content` is the text; for a picture, `place` says everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row<Content> {
    pub(crate) place: Place,
    pub(crate) label: String,
    pub(crate) content: Content,
}

/// A text, or a pair of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
}

/// The rows of one part, none of them checked against the others yet.
#[derive(Debug)]
pub(crate) struct RawPart<Content> {
    pub(crate) part: Part,
    pub(crate) path: PathBuf,
    pub(crate) rows: Vec<Row<Content>>,
}

/// Whether the folder has this part as text.
pub(crate) fn has_text(folder: &Path, part: Part) -> bool {
    ["jsonl", "csv"]
        .iter()
        .any(|extension| folder.join(format!("{part}.{extension}")).is_file())
}

/// Reads `PART.jsonl` or `PART.csv`; none when the folder has neither.
pub(crate) fn read_text(folder: &Path, part: Part) -> Result<Option<RawPart<Text>>, TaskError> {
    let jsonl = folder.join(format!("{part}.jsonl"));
    let csv = folder.join(format!("{part}.csv"));
    let (path, parse): (PathBuf, fn(&str, &Path) -> _) = match (jsonl.is_file(), csv.is_file()) {
        (true, true) => {
            let folder = folder.to_owned();
            return Err(TaskError::BothFormats { folder, part });
        }
        (true, false) => (jsonl, parse_jsonl),
        (false, true) => (csv, parse_csv),
        (false, false) => return Ok(None),
    };
    let bytes = fs::read(&path).map_err(|source| TaskError::Unreadable {
        path: path.clone(),
        source,
    })?;
    let rows = parse(decode(&bytes, &path)?, &path)?;
    Ok(Some(RawPart { part, path, rows }))
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

fn parse_jsonl(content: &str, path: &Path) -> Result<Vec<Row<Text>>, TaskError> {
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
                // serde_json counts lines within this one line, which would contradict the place
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or(&message);
                let message = format!("{message} at column {}", error.column());
                return Err(TaskError::InvalidJson { place, message });
            }
        };
        rows.push(json_row(&object, place)?);
    }
    Ok(rows)
}

fn json_row(object: &Map<String, Value>, place: Place) -> Result<Row<Text>, TaskError> {
    let string = |column: &'static str| match object.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(TaskError::InvalidValue {
            place: place.clone(),
            column,
            expected: "a string",
            found: other.to_string(),
        }),
    };
    let text = string("text")?;
    let pair = string("text_pair")?;
    let label = match object.get("label") {
        None | Some(Value::Null) => None,
        Some(Value::String(label)) => Some(label.clone()),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(number.to_string())
        }
        Some(other) => {
            return Err(TaskError::InvalidValue {
                place,
                column: "label",
                expected: "a string or an integer",
                found: other.to_string(),
            });
        }
    };
    complete_row(text, pair, label, place)
}

fn complete_row(
    text: Option<String>,
    pair: Option<String>,
    label: Option<String>,
    place: Place,
) -> Result<Row<Text>, TaskError> {
    let present = |value: Option<String>, column| {
        value
            .filter(|value| !value.trim().is_empty())
            .ok_or_else(|| TaskError::MissingValue {
                place: place.clone(),
                column,
            })
    };
    let text = present(text, "text")?;
    let label = present(label, "label")?.trim().to_owned();
    Ok(Row {
        place,
        label,
        content: Text { text, pair },
    })
}

fn parse_csv(content: &str, path: &Path) -> Result<Vec<Row<Text>>, TaskError> {
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let mut lines = LineCounter::new(content);
    let header: Vec<String> = reader
        .headers()
        .map_err(|error| invalid_csv(&error, &mut lines, path))?
        .iter()
        .map(|cell| cell.trim().to_owned())
        .collect();
    let column = |name: &str| header.iter().position(|cell| cell == name);
    let required = |name: &'static str| {
        column(name).ok_or_else(|| TaskError::MissingColumn {
            path: path.to_owned(),
            column: name,
            found: header.clone(),
        })
    };
    if content.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (text, label, pair) = (required("text")?, required("label")?, column("text_pair"));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| invalid_csv(&error, &mut lines, path))?;
        let place = Place {
            path: path.to_owned(),
            line: record.position().map(|position| lines.line(position)),
        };
        let cell = |index: usize| record.get(index).map(str::to_owned);
        rows.push(complete_row(
            cell(text),
            pair.and_then(cell),
            cell(label),
            place,
        )?);
    }
    Ok(rows)
}

fn invalid_csv(error: &csv::Error, lines: &mut LineCounter<'_>, path: &Path) -> TaskError {
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} cells instead of {expected_len}"),
        _ => error.to_string(),
    };
    TaskError::InvalidCsv {
        place: Place {
            path: path.to_owned(),
            line: error.position().map(|position| lines.line(position)),
        },
        message,
    }
}

/// Finds the lines of ascending positions. The line that the csv crate itself gives is one too low after a carriage
/// return and too low by every blank line before the row.
struct LineCounter<'a> {
    content: &'a [u8],
    offset: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    fn new(content: &'a str) -> Self {
        LineCounter {
            content: content.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    /// The line, counted from 1, of the first byte at or after the position that is no line ending.
    fn line(&mut self, position: &csv::Position) -> u64 {
        let position = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        while let Some(&byte) = self.content.get(self.offset)
            && (self.offset < position || matches!(byte, b'\r' | b'\n'))
        {
            self.line += u64::from(byte == b'\n');
            self.offset += 1;
        }
        self.line
    }
}

#[cfg(test)]
mod tests;
