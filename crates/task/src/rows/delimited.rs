//! Rows of cells: CSV and similar formats.

use std::path::Path;

use super::{Label, Place, Row, Text, complete_row};
use crate::{Columns, Part, TaskError};

/// The delimiters, in the order in which they are tried.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Parses rows with a header that names the columns. Cells are separated by commas, or by semicolons, tabs or bars if
/// the header has the required columns only with one of these.
pub(super) fn parse(
    content: &str,
    path: &Path,
    part: Part,
    columns: &Columns,
) -> Result<Vec<Row<Text>>, TaskError> {
    let delimiter = delimiter(content, part, columns);
    check_quotes(content.as_bytes(), delimiter, path)?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(content.as_bytes());
    let mut lines = LineCounter::new(content);
    let header: Vec<String> = reader
        .headers()
        .map_err(|error| invalid_csv(&error, &mut lines, path))?
        .iter()
        .map(|cell| cell.trim().to_owned())
        .collect();
    let column = |name: &str| header.iter().position(|cell| cell == name);
    let required = |name: &str| {
        column(name).ok_or_else(|| TaskError::MissingColumn {
            path: path.to_owned(),
            column: name.to_owned(),
            found: header.clone(),
        })
    };
    if content.trim().is_empty() {
        return Ok(Vec::new());
    }
    let text = required(&columns.text)?;
    let pair = match columns.needs_pair() {
        true => Some(required(&columns.pair)?),
        false => column(&columns.pair),
    };
    let label = match part {
        Part::Test => column(&columns.label),
        Part::Train | Part::Validation => Some(required(&columns.label)?),
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| invalid_csv(&error, &mut lines, path))?;
        let place = Place {
            path: path.to_owned(),
            line: record.position().map(|position| lines.line(position)),
        };
        let cell = |index: usize| record.get(index).map(str::to_owned);
        let pair = pair.and_then(cell);
        let content = cell(text).map(|text| Text::Plain { text, pair });
        let label = label.and_then(cell).map(Label::One);
        rows.push(complete_row(content, label, place, part, columns)?);
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

/// Finds the lines of ascending positions. The line that the csv crate reports is one too low after a carriage return,
/// and too low by every blank line before the row.
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

    /// The line, counted from 1, of the first byte at or after the position that is not a line ending.
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

/// The first delimiter with which the header has the required columns, else one with which it has one of them, else a
/// comma.
fn delimiter(content: &str, part: Part, columns: &Columns) -> u8 {
    let header = content.lines().next().unwrap_or_default();
    let has = |delimiter: u8, names: &[&String]| {
        let cells = header.split(char::from(delimiter));
        let cells: Vec<&str> = cells
            .map(|cell| cell.trim().trim_matches('"').trim())
            .collect();
        cells.len() > 1 && names.iter().all(|name| cells.contains(&name.as_str()))
    };
    let by = |names: &[&String]| DELIMITERS.into_iter().find(|&one| has(one, names));
    let needed = match part {
        Part::Test => None,
        Part::Train | Part::Validation => by(&[&columns.text, &columns.label]),
    };
    // If a column is missing, the other one shows what it is missing from.
    let some = || by(&[&columns.text]).or_else(|| by(&[&columns.label]));
    needed.or_else(some).unwrap_or(DELIMITERS[0])
}

/// The position of a byte in a cell.
#[derive(Clone, Copy)]
enum Within {
    Start,
    Bare,
    /// Inside a quote, which was opened on this line.
    Quoted(u64),
    /// After a quote that closes the cell, unless another one follows.
    Closed(u64),
}

/// Refuses a quote that is never closed, because it would swallow all following rows into one cell.
fn check_quotes(content: &[u8], delimiter: u8, path: &Path) -> Result<(), TaskError> {
    let (mut line, mut within) = (1, Within::Start);
    for &byte in content {
        within = match (within, byte) {
            (Within::Quoted(opened), b'"') => Within::Closed(opened),
            (Within::Quoted(opened), _) => Within::Quoted(opened),
            (Within::Closed(opened), b'"') => Within::Quoted(opened),
            (_, b'\n' | b'\r') => Within::Start,
            (_, byte) if byte == delimiter => Within::Start,
            (Within::Start, b'"') => Within::Quoted(line),
            _ => Within::Bare,
        };
        line += u64::from(byte == b'\n');
    }
    match within {
        Within::Quoted(opened) => Err(TaskError::OpenQuote {
            place: Place {
                path: path.to_owned(),
                line: Some(opened),
            },
        }),
        _ => Ok(()),
    }
}
