//! How rows are read.

use serde::{Deserialize, Serialize};

use crate::{ClassWeights, ProblemKind};

/// How the rows of a task are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The names of the columns. They do not apply to pictures in folders.
    pub columns: Columns,
    /// The kind of problem. If it is `None`, the `task.toml` in the folder says it, or else the rows: completions of prompts
    /// are for language modelling, lists beside lists of words for a token classification and others for a multi-label
    /// problem, and numbers of which at least one has a fraction for a regression.
    pub problem: Option<ProblemKind>,
    /// The weights of the classes in the loss.
    pub class_weights: ClassWeights,
}

/// The names of the columns, or keys, of a task of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The name of the column with the text, or with a list of its words. If it has its default name and is missing,
    /// `tokens` takes its place.
    pub text: String,
    /// The name of the column with the second text of a pair. The column may be missing if it has its default name.
    pub pair: String,
    /// The name of the column with the label, or with a list of them. If it has its default name and is missing, `tags`
    /// takes its place for words, and `spans` for a text.
    pub label: String,
    /// The name of the column with the encoded picture in Parquet files. If this is the default name, another column
    /// may take its place if it is the only one with pictures.
    #[serde(default = "image")]
    pub image: String,
}

/// The default name of the column with the second text.
const PAIR: &str = "text_pair";

/// The default name of the column with the pictures.
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
    /// Whether all columns have their default names: `text`, `text_pair`, `label` and `image`.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether every row must have a second text.
    pub(crate) fn needs_pair(&self) -> bool {
        self.pair != PAIR
    }

    /// Whether the pictures may be in a column of any name.
    pub(crate) fn any_image(&self) -> bool {
        self.image == IMAGE
    }
}
