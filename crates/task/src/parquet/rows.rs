//! The rows of Parquet files.

use std::path::Path;

use parquet::basic::Type as Physical;

use super::{ParquetFile, sound};
use crate::image_folder::{PictureAt, PictureColumns};
use crate::rows::{COMPLETION, Label, PROMPT, Row, TAGS, TOKENS, Text, complete_row, labelled};
use crate::{Columns, Part, TaskError};

/// Reads the texts and labels of a file.
pub(crate) fn read_text(
    path: &Path,
    part: Part,
    columns: &Columns,
) -> Result<Vec<Row<Text>>, TaskError> {
    sound(path, || text(path, part, columns))
}

fn text(path: &Path, part: Part, columns: &Columns) -> Result<Vec<Row<Text>>, TaskError> {
    let file = ParquetFile::open(path)?;
    let (contents, labels) = contents_and_labels(&file, part, columns)?;
    let rows = contents.into_iter().zip(labels).enumerate();
    rows.map(|(row, (content, label))| complete_row(content, label, file.place(row), part, columns))
        .collect()
}

/// What is read and what is predicted in each row.
type ContentsAndLabels = (Vec<Option<Text>>, Vec<Option<Label>>);

fn contents_and_labels(
    file: &ParquetFile,
    part: Part,
    columns: &Columns,
) -> Result<ContentsAndLabels, TaskError> {
    let usual = Columns::default();
    let has = |name: &str| file.columns().iter().any(|column| column == name);
    let without_text = columns.text == usual.text && !has(&columns.text);
    if without_text && has(PROMPT) && has(COMPLETION) {
        let pairs = file.texts(PROMPT)?.into_iter().zip(file.texts(COMPLETION)?);
        let content = |(prompt, completion): (Option<String>, Option<String>)| {
            let (prompt, completion) = prompt.zip(completion)?;
            Some(Text::Prompted { prompt, completion })
        };
        let contents: Vec<Option<Text>> = pairs.map(content).collect();
        let labels = vec![Some(Label::Completion); contents.len()];
        return Ok((contents, labels));
    }
    let words = match without_text {
        true => TOKENS,
        false => columns.text.as_str(),
    };
    if let Some(field) = file.list(words) {
        let lists = file.lists(words, field)?.into_iter();
        let content = |list: Option<Label>| match list {
            Some(Label::Several(words)) => Some(Text::Words(words)),
            _ => None,
        };
        let tags = match columns.label == usual.label && !has(&columns.label) && has(TAGS) {
            true => TAGS,
            false => columns.label.as_str(),
        };
        return Ok((lists.map(content).collect(), labels(file, part, tags)?));
    }
    let texts = file.texts(&columns.text)?;
    let pairs = match has(&columns.pair) || columns.needs_pair() {
        true => file.texts(&columns.pair)?,
        false => vec![None; texts.len()],
    };
    let pairs = texts.into_iter().zip(pairs);
    let contents = pairs.map(|(text, pair)| text.map(|text| Text::Plain { text, pair }));
    Ok((contents.collect(), labels(file, part, &columns.label)?))
}

/// Reads the locations of the pictures of a file, and their labels. The pictures themselves are read when they are
/// encoded.
pub(crate) fn read_pictures(
    path: &Path,
    part: Part,
    columns: &Columns,
) -> Result<Vec<Row<PictureAt>>, TaskError> {
    sound(path, || pictures(path, part, columns))
}

fn pictures(path: &Path, part: Part, columns: &Columns) -> Result<Vec<Row<PictureAt>>, TaskError> {
    let file = ParquetFile::open(path)?;
    let pictures = picture_columns(&file, columns)?;
    let labels = labels(&file, part, &columns.label)?.into_iter().enumerate();
    let row = |(row, label)| {
        let place = file.place(row);
        Ok(Row {
            label: labelled(label, &place, part, columns)?,
            place,
            content: PictureAt::Columns(pictures),
        })
    };
    labels.map(row).collect()
}

/// Reads the labels. In a test part the column may be missing.
fn labels(file: &ParquetFile, part: Part, column: &str) -> Result<Vec<Option<Label>>, TaskError> {
    match part == Part::Test && !file.columns().iter().any(|one| one == column) {
        true => Ok(vec![None; file.rows()]),
        false => file.labels(column),
    }
}

/// The columns of pictures: those with the given name, or the only ones there are.
fn picture_columns(file: &ParquetFile, columns: &Columns) -> Result<PictureColumns, TaskError> {
    const EXPECTED: &str = "encoded pictures";
    // `datasets` writes a structure with the content and its original path.
    let of = |name: &str| {
        Some(PictureColumns {
            bytes: file.leaf(&[name, "bytes"])?,
            path: file.leaf(&[name, "path"]),
        })
    };
    let plain = |name: &str| {
        let bytes = file.leaf(&[name])?;
        Some(PictureColumns { bytes, path: None })
    };
    let name = columns.image.as_str();
    let found = match of(name).or_else(|| plain(name)) {
        Some(found) => found,
        None if file.columns().iter().any(|column| column == name) => {
            return Err(file.unusable(name, EXPECTED, "lists or structures"));
        }
        None => {
            let all = file.columns();
            let pictures: Vec<PictureColumns> = all.iter().filter_map(|one| of(one)).collect();
            match pictures[..] {
                [only] if columns.any_image() => only,
                _ => return Err(file.missing(name)),
            }
        }
    };
    let holds_bytes = |leaf: usize| match file.physical(leaf) {
        Physical::BYTE_ARRAY => Ok(()),
        other => Err(file.unusable(name, EXPECTED, super::kind(other))),
    };
    holds_bytes(found.bytes)?;
    found.path.map_or(Ok(()), holds_bytes)?;
    Ok(found)
}
