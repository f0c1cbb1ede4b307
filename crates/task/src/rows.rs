//! Rows of text, from JSONL and CSV files.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::{fs, io};

use flate2::read::MultiGzDecoder;

use crate::{Columns, Part, Place, TaskError};

mod delimited;
mod json;
mod spans;

/// The label that marks an example without one, as in the test parts of GLUE.
pub(crate) const UNLABELLED: &str = "-1";

/// The columns of language modelling.
pub(crate) const PROMPT: &str = "prompt";
pub(crate) const COMPLETION: &str = "completion";

/// The columns that take the places of the text and the label if these have their default names and are not there.
pub(crate) const TOKENS: &str = "tokens";
pub(crate) const TAGS: &str = "tags";

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
    /// A tag for each word.
    Tags(Vec<String>),
    /// What follows a prompt, which is part of the content.
    Completion,
}

impl std::fmt::Display for Label {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::One(label) => formatter.write_str(label),
            Label::Several(labels) | Label::Tags(labels) => {
                write!(formatter, "[{}]", labels.join(", "))
            }
            Label::Completion => formatter.write_str("a completion"),
        }
    }
}

/// What a text backbone reads of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// A text, or a pair of texts.
    Plain { text: String, pair: Option<String> },
    /// The words of a text, each with a tag.
    Words(Vec<String>),
    /// A prompt, and what should follow it.
    Prompted { prompt: String, completion: String },
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
        true => json::parse(content, path, part, columns),
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

/// A number as a label. An integer gives the same label whether it is written as `1` or as `1.0`. Integers with more than
/// 15 digits have no exact f64.
pub(crate) fn written(value: f64) -> String {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => format!("{value:.0}"),
        false => value.to_string(),
    }
}

/// Checks that there is a text and, except in a test part, a label. Words have a tag each.
pub(crate) fn complete_row(
    content: Option<Text>,
    label: Option<Label>,
    place: Place,
    part: Part,
    columns: &Columns,
) -> Result<Row<Text>, TaskError> {
    let content = content.filter(|content| !content.is_blank());
    let content = content.ok_or_else(|| missing(&place, &columns.text))?;
    let label = labelled(label, &place, part, columns)?;
    let label = match (&content, label) {
        (Text::Plain { pair: None, .. }, _) if columns.needs_pair() => {
            return Err(missing(&place, &columns.pair));
        }
        (Text::Words(words), Label::Several(tags)) if words.len() == tags.len() => {
            Label::Tags(tags)
        }
        (Text::Words(words), Label::Several(tags)) => {
            return Err(TaskError::TagsAndWords {
                place,
                words: words.len(),
                tags: tags.len(),
            });
        }
        (_, label) => label,
    };
    Ok(Row {
        label,
        place,
        content,
    })
}

impl Text {
    /// Whether there is nothing to read.
    fn is_blank(&self) -> bool {
        let blank = |text: &String| text.trim().is_empty();
        match self {
            Text::Plain { text, .. } => blank(text),
            Text::Words(words) => words.iter().all(blank),
            Text::Prompted { completion, .. } => completion.is_empty(),
        }
    }
}

/// The label, which may be missing only in a test part.
pub(crate) fn labelled(
    label: Option<Label>,
    place: &Place,
    part: Part,
    columns: &Columns,
) -> Result<Label, TaskError> {
    match label {
        Some(Label::One(label)) if !label.trim().is_empty() => {
            Ok(Label::One(label.trim().to_owned()))
        }
        None | Some(Label::One(_)) => match part {
            Part::Test => Ok(Label::One(UNLABELLED.to_owned())),
            Part::Train | Part::Validation => Err(missing(place, &columns.label)),
        },
        Some(label) => Ok(label),
    }
}

fn missing(place: &Place, column: &str) -> TaskError {
    TaskError::MissingValue {
        place: place.clone(),
        column: column.to_owned(),
    }
}

#[cfg(test)]
impl Text {
    /// The text and the second text of a pair.
    pub(crate) fn plain(self) -> (String, Option<String>) {
        match self {
            Text::Plain { text, pair } => (text, pair),
            other => panic!("{other:?} is not a plain text"),
        }
    }
}

#[cfg(test)]
mod tests;
