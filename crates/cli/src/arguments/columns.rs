//! The names of a task's columns.

use adaplace_task::Columns;
use clap::Args;

/// The names of the columns of rows in JSONL, CSV, Parquet and similar formats.
#[derive(Debug, Args)]
pub(crate) struct ColumnOptions {
    /// Column or key with the text [default: text]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column or key with the second text of a pair [default: text_pair, if there is one]
    #[arg(long, value_name = "NAME")]
    pair_column: Option<String>,
    /// Column or key with the class [default: label]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Column with encoded pictures in Parquet [default: image, or the only column with pictures]
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,
}

impl ColumnOptions {
    /// The names of all columns, with defaults for those not given.
    pub(crate) fn columns(&self) -> Columns {
        let usual = Columns::default();
        let or = |given: &Option<String>, usual| given.clone().unwrap_or(usual);
        Columns {
            text: or(&self.text_column, usual.text),
            pair: or(&self.pair_column, usual.pair),
            label: or(&self.label_column, usual.label),
            image: or(&self.image_column, usual.image),
        }
    }
}
