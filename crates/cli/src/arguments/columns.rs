//! What the columns of a task are called.

use adaplace_task::Columns;
use clap::Args;

/// Names of the columns of rows in JSONL, CSV, Parquet and their like.
#[derive(Debug, Args)]
pub(crate) struct ColumnOptions {
    /// Column or key of the text [default: text]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column or key of the second text of a pair [default: text_pair, where there is one]
    #[arg(long, value_name = "NAME")]
    pair_column: Option<String>,
    /// Column or key of the class [default: label]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Column of encoded pictures in Parquet [default: image, or the only one of pictures]
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,
}

impl ColumnOptions {
    /// All names, usual where none is given.
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
