use std::fmt;
use std::path::PathBuf;

/// The place of a row: a file and, in a file of several rows, the line (or the row of a Parquet file), counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path of the file.
    pub path: PathBuf,
    /// The line on which the row starts, or `None` for a picture file.
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
