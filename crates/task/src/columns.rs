//! What the columns of rows are called.

use serde::{Deserialize, Serialize};

/// Names of the columns, or keys, of a task of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The text.
    pub text: String,
    /// The second text of a pair. Under its usual name the column may be missing.
    pub pair: String,
    /// The class.
    pub label: String,
    /// The encoded picture, in Parquet files. Under its usual name it may be another if that is the only one of pictures.
    #[serde(default = "image")]
    pub image: String,
}

/// The usual name of the second text's column.
const PAIR: &str = "text_pair";

/// The usual name of the pictures' column.
const IMAGE: &str = "image";

fn image() -> String {
    IMAGE.to_owned()
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            text: "text".to_owned(),
            pair: PAIR.to_owned(),
            label: "label".to_owned(),
            image: image(),
        }
    }
}

impl Columns {
    /// Whether they are called as usual: `text`, `text_pair`, `label` and `image`.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether every row must have a second text.
    pub(crate) fn needs_pair(&self) -> bool {
        self.pair != PAIR
    }

    /// Whether the pictures may stand in a column of any name.
    pub(crate) fn any_image(&self) -> bool {
        self.image == IMAGE
    }
}
