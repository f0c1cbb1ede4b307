use std::path::Path;

use super::outcome::FORMAT;
use super::{Comparison, ComparisonConfiguration};
use crate::folder::{COMPARISON, Configuration};
use crate::gradient_map_file::read_json;
use crate::{StudyError, stored};

/// What the folder of a finished comparison holds, read and not touched.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredComparison {
    /// Name of the folder.
    pub name: String,
    /// The content of `comparison.toml`.
    pub configuration: ComparisonConfiguration,
    /// The content of `comparison.json`.
    pub comparison: Comparison,
}

impl StoredComparison {
    /// Whether `folder` holds a comparison, finished or not.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(ComparisonConfiguration::FILE).is_file()
    }

    /// Reads the comparison in `folder`.
    ///
    /// # Errors
    /// [`StudyError::Unfinished`] without a result, else an error that names the file which is damaged.
    pub fn read(folder: &Path) -> Result<Self, StudyError> {
        let configuration =
            ComparisonConfiguration::read(&folder.join(ComparisonConfiguration::FILE))?;
        let path = folder.join(COMPARISON);
        if !path.is_file() {
            return Err(StudyError::Unfinished {
                path: folder.to_owned(),
            });
        }
        let comparison: Comparison = read_json(&path)?;
        if comparison.format != FORMAT {
            return Err(StudyError::Damaged {
                path,
                reason: format!(
                    "its format is `{}`, this version reads `{FORMAT}`",
                    comparison.format
                ),
            });
        }
        Ok(Self {
            name: stored::name(folder),
            configuration,
            comparison,
        })
    }
}
