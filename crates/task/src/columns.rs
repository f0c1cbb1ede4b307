//! What the columns of rows are called.

use serde::{Deserialize, Serialize};

/// Names of the columns, or keys, of a task of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The text.
    pub text: String,
    /// The second text of a pair. Under its usual name the column may be missing.
    pub pair: String,
    /// The class.
    pub label: String,
}

/// The usual name of the second text's column.
const PAIR: &str = "text_pair";

impl Default for Columns {
    fn default() -> Self {
        Self {
            text: "text".to_owned(),
            pair: PAIR.to_owned(),
            label: "label".to_owned(),
        }
    }
}

impl Columns {
    /// Whether they are called as usual: `text`, `text_pair` and `label`.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether every row must have a second text.
    pub(crate) fn needs_pair(&self) -> bool {
        self.pair != PAIR
    }
}
