//! Files that are written whole, and documents that carry their format.
//!
//! A [`Document`] is a type with a `format` in its file. The format is looked at before the rest: a file of another
//! version has other fields, and its version is what its reader should hear about.
//!
//! ```
//! use adaplace_files::{Document, from_json, write_json, Layout, read_json};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Table {
//!     format: String,
//!     rows: Vec<f64>,
//! }
//!
//! impl Document for Table {
//!     const FORMAT: &'static str = "example.table/2";
//! }
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("table.json");
//! let table = Table { format: Table::FORMAT.to_owned(), rows: vec![0.1] };
//! write_json(&path, &table, Layout::Compact)?;
//! assert_eq!(read_json::<Table>(&path)?, table);
//!
//! let error = from_json::<Table>(br#"{"format": "example.table/1", "columns": []}"#).unwrap_err();
//! assert_eq!(error.to_string(), "its format is `example.table/1`, this version reads `example.table/2`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod document;
mod error;

use std::path::Path;

pub use atomic::write_atomically;
pub use document::{
    Document, Layout, from_json, from_table, from_toml, read_json, read_toml, toml_problem,
    write_json,
};
pub use error::{ContentError, FileError};

/// The folder's own name, also where it is given as `.`.
#[must_use]
pub fn folder_name(folder: &Path) -> String {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(
        || absolute.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
