//! Encoded pictures from Parquet files, a few at a time.

use std::fs;
use std::path::Path;

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::FileReader;

use super::{ParquetFile, invalid, next_values, rows_of, sound};
use crate::image_folder::PictureColumns;
use crate::{Place, TaskError};

/// Reads one picture after the other. The reader keeps its position in a file, so rows in ascending order read every
/// page at most once, and skip row groups without a wanted row.
#[derive(Default)]
pub(crate) struct StoredPictures {
    bytes: Position,
    paths: Position,
}

impl StoredPictures {
    /// The content of the picture at `place`, a row of a Parquet file. If the row holds only a path, as in files
    /// written by `to_parquet` of `datasets`, this is the content of the file there.
    pub(crate) fn read(
        &mut self,
        place: &Place,
        columns: PictureColumns,
    ) -> Result<ByteArray, TaskError> {
        if let Some(picture) = self.bytes.read(place, columns.bytes)? {
            return Ok(picture);
        }
        let path = match columns.path {
            Some(leaf) => self.paths.read(place, leaf)?,
            None => None,
        };
        let Some(path) = path else {
            return Err(TaskError::MissingValue {
                place: place.clone(),
                column: "picture".to_owned(),
            });
        };
        let Ok(path) = std::str::from_utf8(path.data()) else {
            let place = place.clone();
            return Err(TaskError::NotUtf8 { place });
        };
        let folder = place.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(path);
        match fs::read(&path) {
            Ok(content) => Ok(content.into()),
            Err(error) => Err(TaskError::MissingPicture {
                place: place.clone(),
                path,
                message: error.to_string(),
            }),
        }
    }
}

/// The position at which a column is read.
#[derive(Default)]
struct Position(Option<Cursor>);

impl Position {
    /// The value of a column in the row at `place`, or `None` for null.
    fn read(&mut self, place: &Place, leaf: usize) -> Result<Option<ByteArray>, TaskError> {
        // After a panic no file is open.
        sound(&place.path, || self.read_next(place, leaf))
    }

    fn read_next(&mut self, place: &Place, leaf: usize) -> Result<Option<ByteArray>, TaskError> {
        // Rows are counted from 1.
        let row = place.line.map_or(0, |line| line as usize - 1);
        let fits = |cursor: &Cursor| {
            cursor.file.path == place.path
                && cursor.leaf == leaf
                && (cursor.next..cursor.group.1).contains(&row)
        };
        let mut cursor = match self.0.take() {
            Some(cursor) if fits(&cursor) => cursor,
            Some(cursor) if cursor.file.path == place.path => Cursor::at(cursor.file, leaf, row)?,
            _ => Cursor::at(ParquetFile::open(&place.path)?, leaf, row)?,
        };
        let value = cursor.read(row)?;
        self.0 = Some(cursor);
        Ok(value)
    }
}

/// A position in a column.
struct Cursor {
    file: ParquetFile,
    leaf: usize,
    /// The first row of the row group, and the row after its last one.
    group: (usize, usize),
    /// The row that `values` returns next.
    next: usize,
    values: ColumnReaderImpl<ByteArrayType>,
}

impl Cursor {
    /// A cursor at the start of the row group that contains this row.
    fn at(file: ParquetFile, leaf: usize, row: usize) -> Result<Self, TaskError> {
        let mut first = 0;
        for (index, group) in file.reader.metadata().row_groups().iter().enumerate() {
            let end = first + rows_of(group.num_rows());
            if row < end {
                return Ok(Self {
                    values: file.column_of_group(index, leaf)?,
                    file,
                    leaf,
                    group: (first, end),
                    next: first,
                });
            }
            first = end;
        }
        Err(TaskError::InvalidParquet {
            path: file.path,
            message: format!("it no longer has a row {}", row + 1),
        })
    }

    /// The value of a row at or after the current position, or `None` for null.
    fn read(&mut self, row: usize) -> Result<Option<ByteArray>, TaskError> {
        let unreadable = |error| invalid(&self.file.path, &error);
        self.values
            .skip_records(row - self.next)
            .map_err(unreadable)?;
        self.next = row + 1;
        let found = next_values(&mut self.values, self.file.defined(self.leaf), 1);
        Ok(found.map_err(unreadable)?.pop().flatten())
    }
}
