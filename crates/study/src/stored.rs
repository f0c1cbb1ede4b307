//! A study read from its folder, finished or not.

use std::path::Path;

use adaplace_files::folder_name;
use adaplace_search_space::{Connection, Placement};

use crate::error::if_there;
use crate::folder::{GRADIENT_MAP, RANKING};
use crate::journal::read_lines;
use crate::ranking::ranked;
use crate::{
    Configuration, GradientMapFile, Metric, Ranking, Record, StudyConfiguration, StudyError,
    StudyFolder,
};

/// The content of a study's folder. Reading changes nothing, as another process may be running the study.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredStudy {
    /// Name of the folder.
    pub name: String,
    /// The content of `study.toml`.
    pub configuration: StudyConfiguration,
    /// All finished trainings, without a torn last line.
    pub records: Vec<Record>,
    /// The gradient map; none before the search starts.
    pub gradient_map: Option<GradientMapFile>,
    /// The ranking of a finished study.
    pub ranking: Option<Ranking>,
}

impl StoredStudy {
    /// Reads the study in `folder` and checks that its files belong together.
    ///
    /// # Errors
    /// [`StudyError::NoStudy`] if there is no study, or an error that names the damaged file.
    pub fn read(folder: &Path) -> Result<Self, StudyError> {
        let configuration = folder.join(StudyConfiguration::FILE);
        if !configuration.is_file() {
            return Err(StudyError::NoStudy {
                path: folder.to_owned(),
            });
        }
        let configuration = StudyConfiguration::read(&configuration)?;
        // Read the ranking before the journal: a running search may write it in between, and both would disagree.
        let ranking_path = folder.join(RANKING);
        let ranking = if_there(&ranking_path, Ranking::read)?;
        let gradient_map = if_there(&folder.join(GRADIENT_MAP), GradientMapFile::read)?;
        let journal = folder.join(StudyFolder::JOURNAL);
        let records = if_there(&journal, read_lines)?.unwrap_or_default();
        if let Some(map) = &gradient_map {
            check_connections(&journal, &records, map.backbone.hidden_states)?;
        }
        if let Some(ranking) = &ranking {
            let metric = configuration.search.metric;
            check_ranking(&ranking_path, ranking, metric, &records)?;
        }
        Ok(Self {
            name: folder_name(folder),
            configuration,
            records,
            gradient_map,
            ranking,
        })
    }

    /// The trials of the search, best first, in the order of [`Ranking::trials`].
    #[must_use]
    pub fn ranked(&self) -> Vec<&Record> {
        ranked(self.configuration.search.metric, &self.records)
    }

    /// Whether the placement has as many adapters as the space requires.
    #[must_use]
    pub fn is_complete(&self, placement: &Placement) -> bool {
        let budget = &self.configuration.space.budget;
        let fewest = budget.min_adapters.unwrap_or(budget.adapters);
        placement.len() >= usize::from(fewest)
    }

    /// Number of hidden states: that of the gradient map or, without a map, enough for all connections that were tried.
    #[must_use]
    pub fn hidden_states(&self) -> u16 {
        let tried = || {
            let connections = self.records.iter().flat_map(|record| {
                let connections = record.placement.connections();
                connections.map(|Connection { source, target }| source.max(target))
            });
            connections.max().map_or(0, |last| last.saturating_add(1))
        };
        match &self.gradient_map {
            Some(map) => map.backbone.hidden_states,
            None => tried(),
        }
    }
}

fn check_connections(
    journal: &Path,
    records: &[Record],
    hidden_states: u16,
) -> Result<(), StudyError> {
    for (index, record) in records.iter().enumerate() {
        let mut connections = record.placement.connections();
        let outside = connections.find(|connection| {
            connection.source >= hidden_states || connection.target >= hidden_states
        });
        if let Some(connection) = outside {
            return Err(StudyError::Journal {
                path: journal.to_owned(),
                line: index + 1,
                reason: format!(
                    "its connection `{connection}` leaves the backbone, which has {hidden_states} hidden states"
                ),
            });
        }
    }
    Ok(())
}

/// Checks that the ranking has the same trials as the journal.
fn check_ranking(
    path: &Path,
    ranking: &Ranking,
    metric: Metric,
    records: &[Record],
) -> Result<(), StudyError> {
    let searched = ranked(metric, records);
    let same = ranking.metric == metric
        && searched.len() == ranking.trials.len()
        && searched.iter().zip(&ranking.trials).all(|(record, trial)| {
            (record.trial, record.hash, record.steps) == (trial.trial, trial.hash, trial.steps)
                && record.result == trial.result
        });
    if same {
        return Ok(());
    }
    Err(StudyError::Damaged {
        path: path.to_owned(),
        reason: "its trials are not those of the journal in the same folder".to_owned(),
    })
}
