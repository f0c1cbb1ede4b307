use std::path::Path;

use adaplace_files::{folder_name, read_json};
use adaplace_study::{Configuration, Record, StudyError, StudyFolder, if_there, read_lines};

use super::{Comparison, ComparisonConfiguration, FinalRecord};

/// The content of a comparison's folder. Reading changes nothing, as another process may be running the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredComparison {
    /// Name of the folder.
    pub name: String,
    /// The content of `comparison.toml`.
    pub configuration: ComparisonConfiguration,
    /// The trainings of the searches so far.
    pub trials: Vec<Record>,
    /// The final trainings so far.
    pub finals: Vec<FinalRecord>,
    /// The content of `comparison.json`; none before the end, or if it is older than an extension of the comparison.
    pub comparison: Option<Comparison>,
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
    /// An error that names the damaged file.
    pub fn read(folder: &Path) -> Result<Self, StudyError> {
        let configuration =
            ComparisonConfiguration::read(&folder.join(ComparisonConfiguration::FILE))?;
        let comparison = if_there(&folder.join(Comparison::FILE), |path| Ok(read_json(path)?))?;
        Ok(Self {
            name: folder_name(folder),
            comparison: comparison.filter(|comparison| is_of(comparison, &configuration)),
            configuration,
            trials: if_there(&folder.join(StudyFolder::JOURNAL), read_lines)?.unwrap_or_default(),
            finals: if_there(&folder.join(FinalRecord::FILE), read_lines)?.unwrap_or_default(),
        })
    }
}

/// Whether the result has all competitors and seeds of the configuration.
fn is_of(comparison: &Comparison, configuration: &ComparisonConfiguration) -> bool {
    let seeds = configuration.comparison.seeds as usize;
    let mut competitors = comparison.competitors.iter();
    let took_part = |name: &str| comparison.competitors.iter().any(|one| one.name == name);
    let mut strategies = configuration.strategies.iter();
    competitors.all(|one| one.seeds.len() == seeds)
        && strategies.all(|strategy| took_part(strategy.name()))
}
