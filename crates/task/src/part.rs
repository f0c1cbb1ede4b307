//! The parts of a task.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// A part of a task.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The part on which adapters and heads are trained.
    Train,
    /// The part on which placements are compared.
    Validation,
    /// The part that a search never sees.
    Test,
}

impl Part {
    /// All parts of a task.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The names that files and folders of each part may have, in upper or lower case: those that the library
    /// `datasets` recognises.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Part::Train => &["train", "training"],
            Part::Validation => &["validation", "valid", "val", "dev"],
            Part::Test => &["test", "testing", "eval", "evaluation"],
        }
    }

    /// The part to which a file (without its ending) or folder of this name belongs.
    pub(crate) fn called(name: &str) -> Option<Self> {
        let of = |part: &Part| {
            part.names()
                .iter()
                .any(|one| one.eq_ignore_ascii_case(name))
        };
        Part::ALL.iter().copied().find(of)
    }

    /// The standard name in file and folder names: `train`, `validation` or `test`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
