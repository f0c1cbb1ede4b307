//! The parts of a task.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What adapters and heads are trained on.
    Train,
    /// What placements are compared on.
    Validation,
    /// What a search never sees.
    Test,
}

impl Part {
    /// The name in file and folder names: `train`, `validation` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
