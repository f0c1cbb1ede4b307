//! Rows and pictures in Parquet files, as the library `datasets` and the hub write them.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Deserialize;

use crate::contained::contained;
use crate::rows::{Label, UNLABELLED, written};
use crate::{Place, TaskError};

mod lists;
mod pictures;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use pictures::StoredPictures;
pub(crate) use rows::{read_pictures, read_text};

/// The labels that a column may hold.
const LABELS: &str = "texts, numbers, true and false, or lists of them";

/// An open file. Of columns within lists only labels are read, and of those within structures the bytes of pictures.
struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<File>,
}

/// The metadata that `datasets` writes about a file's columns. Only the names of classes are read.
#[derive(Deserialize)]
struct Written {
    info: WrittenInfo,
}

#[derive(Deserialize)]
struct WrittenInfo {
    features: serde_json::Map<String, serde_json::Value>,
}

impl ParquetFile {
    fn open(path: &Path) -> Result<Self, TaskError> {
        let file = File::open(path).map_err(|source| TaskError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let path = path.to_owned();
        match SerializedFileReader::new(file) {
            Ok(reader) => Ok(Self { path, reader }),
            Err(error) => Err(invalid(&path, &error)),
        }
    }

    fn rows(&self) -> usize {
        let groups = self.reader.metadata().row_groups();
        groups.iter().map(|group| rows_of(group.num_rows())).sum()
    }

    /// The names of the columns, where a structure counts as one.
    fn columns(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields().iter();
        fields.map(|field| field.name().to_owned()).collect()
    }

    /// The column with this path, if it holds at most one value for each row.
    fn leaf(&self, path: &[&str]) -> Option<usize> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema
            .columns()
            .iter()
            .position(|column| column.path().parts().iter().eq(path) && column.max_rep_level() == 0)
    }

    fn physical(&self, leaf: usize) -> Physical {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.column(leaf).physical_type()
    }

    /// The column with this name, if its values can be read row by row.
    fn column(&self, name: &str, expected: &'static str) -> Result<usize, TaskError> {
        let columns = self.columns();
        match self.leaf(&[name]) {
            Some(leaf) => Ok(leaf),
            None if columns.iter().any(|column| column == name) => {
                Err(self.unusable(name, expected, "lists or structures"))
            }
            None => Err(self.missing(name)),
        }
    }

    fn missing(&self, column: &str) -> TaskError {
        TaskError::MissingColumn {
            path: self.path.clone(),
            column: column.to_owned(),
            found: self.columns(),
        }
    }

    fn unusable(&self, column: &str, expected: &'static str, found: &str) -> TaskError {
        TaskError::ColumnType {
            path: self.path.clone(),
            column: column.to_owned(),
            expected,
            found: found.to_owned(),
        }
    }

    fn place(&self, row: usize) -> Place {
        Place {
            path: self.path.clone(),
            line: Some(row as u64 + 1),
        }
    }

    /// The texts of a column.
    fn texts(&self, name: &str) -> Result<Vec<Option<String>>, TaskError> {
        let leaf = self.column(name, "texts")?;
        if self.physical(leaf) != Physical::BYTE_ARRAY {
            return Err(self.unusable(name, "texts", kind(self.physical(leaf))));
        }
        self.strings(leaf)
    }

    fn strings(&self, leaf: usize) -> Result<Vec<Option<String>>, TaskError> {
        let values = self.values::<ByteArrayType>(leaf)?.into_iter().enumerate();
        let string = |(row, value): (usize, Option<ByteArray>)| match value {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(TaskError::NotUtf8 {
                    place: self.place(row),
                }),
            },
        };
        values.map(string).collect()
    }

    /// The labels of a column: texts, numbers, true and false, or lists of them. A number becomes the name of its class
    /// if the file has names.
    fn labels(&self, name: &str) -> Result<Vec<Option<Label>>, TaskError> {
        match self.list(name) {
            Some(field) => self.lists(name, field),
            None => {
                let labels = self.names_or_numbers(name, self.column(name, LABELS)?)?;
                let labels = labels.into_iter().map(|label| label.map(Label::One));
                Ok(labels.collect())
            }
        }
    }

    /// The values of a leaf as labels, with `None` for null.
    fn names_or_numbers(&self, name: &str, leaf: usize) -> Result<Vec<Option<String>>, TaskError> {
        let numbers = match self.physical(leaf) {
            Physical::BYTE_ARRAY => return self.strings(leaf),
            Physical::BOOLEAN => {
                let values = self.values::<BoolType>(leaf)?.into_iter();
                return Ok(values
                    .map(|value| value.map(|label| label.to_string()))
                    .collect());
            }
            Physical::INT32 => integers(self.values::<Int32Type>(leaf)?),
            Physical::INT64 => integers(self.values::<Int64Type>(leaf)?),
            Physical::FLOAT => fractions(self.values::<FloatType>(leaf)?),
            Physical::DOUBLE => fractions(self.values::<DoubleType>(leaf)?),
            other => return Err(self.unusable(name, LABELS, kind(other))),
        };
        let names = self.class_names(name);
        let label = |(row, value): (usize, Option<Number>)| {
            let Some(value) = value else { return Ok(None) };
            value
                .label(&names)
                .map(Some)
                .ok_or_else(|| TaskError::InvalidValue {
                    place: self.place(row),
                    column: name.to_owned(),
                    expected: "the number of one of its named classes",
                    found: value.to_string(),
                })
        };
        numbers.into_iter().enumerate().map(label).collect()
    }

    /// The names of the classes whose numbers a column holds, as written by `datasets`. Empty if there are none.
    fn class_names(&self, column: &str) -> Vec<String> {
        let metadata = self.reader.metadata().file_metadata().key_value_metadata();
        let written = metadata
            .into_iter()
            .flatten()
            .find(|one| one.key == "huggingface");
        let read = || {
            let Written { info } = serde_json::from_str(written?.value.as_deref()?).ok()?;
            let feature = info.features.get(column)?;
            let names = feature
                .get("names")
                .or_else(|| feature.get("feature")?.get("names"));
            serde_json::from_value(names?.clone()).ok()
        };
        read().unwrap_or_default()
    }

    /// All values of a column, one for each row, and `None` for null.
    fn values<T: DataType>(&self, leaf: usize) -> Result<Vec<Option<T::T>>, TaskError> {
        let mut values = Vec::new();
        let groups = self.reader.metadata().row_groups();
        for (index, group) in groups.iter().enumerate() {
            let mut column = self.column_of_group::<T>(index, leaf)?;
            let rows = rows_of(group.num_rows());
            let found = next_values(&mut column, self.defined(leaf), rows)
                .map_err(|error| invalid(&self.path, &error))?;
            self.check_rows(found.len(), rows)?;
            values.extend(found);
        }
        Ok(values)
    }

    fn check_rows(&self, found: usize, rows: usize) -> Result<(), TaskError> {
        match found == rows {
            true => Ok(()),
            false => Err(TaskError::InvalidParquet {
                path: self.path.clone(),
                message: format!("it contains only {found} of {rows} rows"),
            }),
        }
    }

    fn column_of_group<T: DataType>(
        &self,
        group: usize,
        leaf: usize,
    ) -> Result<ColumnReaderImpl<T>, TaskError> {
        let group = self.reader.get_row_group(group);
        let column = group.and_then(|group| group.get_column_reader(leaf));
        let column = column.map_err(|error| invalid(&self.path, &error))?;
        Ok(get_typed_column_reader(column))
    }

    /// The definition level of a value that is not null.
    fn defined(&self, leaf: usize) -> i16 {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.column(leaf).max_def_level()
    }
}

/// At most `count` further values of a column.
fn next_values<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    defined: i16,
    count: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, ..) = column.read_records(count, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter();
    Ok(match defined {
        0 => values.map(Some).take(rows).collect(),
        _ => levels
            .iter()
            .map(|&level| {
                if level == defined {
                    values.next()
                } else {
                    None
                }
            })
            .collect(),
    })
}

fn rows_of(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// A label that is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Whole(i64),
    Fraction(f64),
}

impl Number {
    /// The class that the number denotes, or the number itself if there are no names. `None` if there are names but none
    /// for it.
    fn label(self, names: &[String]) -> Option<String> {
        let written = self.to_string();
        if names.is_empty() || written == UNLABELLED {
            return Some(written);
        }
        names.get(written.parse::<usize>().ok()?).cloned()
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Whole(number) => number.fmt(formatter),
            Number::Fraction(number) => formatter.write_str(&written(*number)),
        }
    }
}

fn integers<T: Into<i64>>(values: Vec<Option<T>>) -> Vec<Option<Number>> {
    let values = values.into_iter();
    values
        .map(|value| value.map(|number| Number::Whole(number.into())))
        .collect()
}

fn fractions<T: Into<f64>>(values: Vec<Option<T>>) -> Vec<Option<Number>> {
    let values = values.into_iter();
    values
        .map(|value| value.map(|number| Number::Fraction(number.into())))
        .collect()
}

fn kind(physical: Physical) -> &'static str {
    match physical {
        Physical::BOOLEAN => "true and false",
        Physical::INT32 | Physical::INT64 | Physical::INT96 => "whole numbers",
        Physical::FLOAT | Physical::DOUBLE => "numbers",
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => "bytes",
    }
}

/// The result of `read`. The library panics on some damaged files, which is reported like any other damage.
fn sound<T>(path: &Path, read: impl FnOnce() -> Result<T, TaskError>) -> Result<T, TaskError> {
    contained(read).unwrap_or_else(|message| {
        Err(TaskError::InvalidParquet {
            path: path.to_owned(),
            message,
        })
    })
}

fn invalid(path: &Path, error: &ParquetError) -> TaskError {
    TaskError::InvalidParquet {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
