//! Rows of JSON Lines.

use std::path::Path;

use serde_json::{Map, Value};

use super::spans::{Span, tagged};
use super::{
    COMPLETION, Label, PROMPT, Place, Row, TAGS, TOKENS, Text, complete_row, missing, written,
};
use crate::{Columns, Part, TaskError};

/// The key of the spans of a text.
const SPANS: &str = "spans";

/// Parses rows that are objects, one in each line.
pub(super) fn parse(
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
        rows.push(row(&object, place, part, columns)?);
    }
    Ok(rows)
}

fn row(
    object: &Map<String, Value>,
    place: Place,
    part: Part,
    columns: &Columns,
) -> Result<Row<Text>, TaskError> {
    let object = Object {
        content: object,
        place: &place,
        columns,
    };
    let (content, label) = object.content_and_label()?;
    complete_row(content, label, place, part, columns)
}

/// The object of a row.
struct Object<'a> {
    content: &'a Map<String, Value>,
    place: &'a Place,
    columns: &'a Columns,
}

impl Object<'_> {
    /// What is read and what is predicted.
    fn content_and_label(&self) -> Result<(Option<Text>, Option<Label>), TaskError> {
        let Columns { text, label, .. } = self.columns;
        let usual = Columns::default();
        let has_text = self.value(text).is_some();
        if !has_text && *text == usual.text && self.value(COMPLETION).is_some() {
            return self.prompted();
        }
        let tokens = match self.value(text) {
            Some(Value::Array(_)) => Some(text.as_str()),
            None if *text == usual.text => Some(TOKENS),
            _ => None,
        };
        if let Some(words) = tokens.map(|key| self.words(key)).transpose()?.flatten() {
            let key = match self.value(label) {
                None if *label == usual.label => TAGS,
                _ => label,
            };
            return Ok((Some(Text::Words(words)), self.label(key)?));
        }
        let plain = self.string(text)?;
        let spans = self.value(label).is_none() && *label == usual.label;
        if let (true, Some(spans), Some(text)) = (spans, self.value(SPANS), &plain) {
            let (words, tags) = tagged(text, &self.spans(spans, text)?);
            return Ok((Some(Text::Words(words)), Some(Label::Several(tags))));
        }
        let pair = self.string(&self.columns.pair)?;
        let content = plain.map(|text| Text::Plain { text, pair });
        Ok((content, self.label(label)?))
    }

    fn prompted(&self) -> Result<(Option<Text>, Option<Label>), TaskError> {
        let prompt = self.string(PROMPT)?;
        let prompt = prompt.ok_or_else(|| missing(self.place, PROMPT))?;
        let completion = self.string(COMPLETION)?.unwrap_or_default();
        if completion.is_empty() {
            return Err(missing(self.place, COMPLETION));
        }
        let content = Text::Prompted { prompt, completion };
        Ok((Some(content), Some(Label::Completion)))
    }

    /// The value of a key, unless it is missing or null.
    fn value(&self, key: &str) -> Option<&Value> {
        self.content.get(key).filter(|value| !value.is_null())
    }

    fn string(&self, key: &str) -> Result<Option<String>, TaskError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.invalid(key, "a string", other)),
        }
    }

    /// The words of a list.
    fn words(&self, key: &str) -> Result<Option<Vec<String>>, TaskError> {
        let wrong = |found: &Value| self.invalid(key, "a list of strings", found);
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(words)) => {
                let word =
                    |word: &Value| word.as_str().map(str::to_owned).ok_or_else(|| wrong(word));
                words.iter().map(word).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(wrong(other)),
        }
    }

    fn label(&self, key: &str) -> Result<Option<Label>, TaskError> {
        let label = match self.value(key) {
            None => return Ok(None),
            Some(Value::Array(labels)) => {
                let each = labels.iter().map(|label| name(label).ok_or(label));
                each.collect::<Result<_, _>>().map(Label::Several)
            }
            Some(label) => name(label).map(Label::One).ok_or(label),
        };
        let expected = "a string, a number, true or false, or a list of them";
        label
            .map(Some)
            .map_err(|found| self.invalid(key, expected, found))
    }

    fn spans(&self, value: &Value, text: &str) -> Result<Vec<Span>, TaskError> {
        const EXPECTED: &str = "a list of spans such as {\"start\": 0, \"end\": 4, \"label\": \"PER\"}, in characters of the text";
        let length = text.chars().count();
        let span = |value: &Value| {
            let position = |key| usize::try_from(value.get(key)?.as_u64()?).ok();
            let (start, end) = (position("start")?, position("end")?);
            let label = name(value.get("label")?)?;
            (start < end && end <= length).then_some(Span { start, end, label })
        };
        let wrong = |found: &Value| self.invalid(SPANS, EXPECTED, found);
        let spans = value.as_array().ok_or_else(|| wrong(value))?;
        let spans = spans.iter();
        spans
            .map(|one| span(one).ok_or_else(|| wrong(one)))
            .collect()
    }

    fn invalid(&self, key: &str, expected: &'static str, found: &Value) -> TaskError {
        TaskError::InvalidValue {
            place: self.place.clone(),
            column: key.to_owned(),
            expected,
            found: found.to_string(),
        }
    }
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
