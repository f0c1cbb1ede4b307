use std::collections::BTreeMap;
use std::path::Path;

use adaplace_files::{Document, Layout, read_json, write_json};
use adaplace_scorer::{Evaluation, GradientMap, GradientMapSettings, LinearProbe, Statistic};
use adaplace_search_space::{BackboneReference, ConnectionTable};
use serde::{Deserialize, Serialize};

use crate::StudyError;

/// The gradient map of a frozen model as a JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientMapFile {
    /// `adaplace.gradient-map/1`
    pub format: String,
    /// The frozen model.
    pub backbone: BackboneReference,
    /// Name of the task.
    pub task: String,
    /// Number of examples.
    pub examples: usize,
    /// Thresholds and batch size.
    pub settings: GradientMapSettings,
    /// The linear probe whose loss is differentiated.
    pub probe: ProbeQuality,
    /// A table for each statistic of the map, all with the same connections.
    pub statistics: BTreeMap<Statistic, ConnectionTable>,
}

/// The quality of a linear probe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeQuality {
    /// Strength of its regularisation.
    pub l2: f64,
    /// Evaluation on the training examples.
    pub train: Evaluation,
    /// Evaluation on the validation part.
    pub validation: Evaluation,
}

impl From<&LinearProbe> for ProbeQuality {
    fn from(probe: &LinearProbe) -> Self {
        Self {
            l2: probe.l2,
            train: probe.train,
            validation: probe.validation,
        }
    }
}

impl GradientMapFile {
    /// The file with all statistics of `map`.
    #[must_use]
    pub fn new(
        map: &GradientMap,
        probe: &LinearProbe,
        backbone: BackboneReference,
        task: &str,
    ) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            backbone,
            task: task.to_owned(),
            examples: map.examples(),
            settings: *map.settings(),
            probe: probe.into(),
            statistics: Statistic::ALL
                .iter()
                .copied()
                .filter_map(|statistic| Some((statistic, map.table(statistic)?)))
                .collect(),
        }
    }

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is damaged; the message names it.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        Ok(read_json(path)?)
    }

    /// Writes the file atomically. On failure an earlier file is unchanged.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), StudyError> {
        Ok(write_json(path, self, Layout::Compact)?)
    }
}

impl Document for GradientMapFile {
    const FORMAT: &'static str = "adaplace.gradient-map/1";

    fn check(&self) -> Result<(), String> {
        let states = usize::from(self.backbone.hidden_states);
        let mut tables = self.statistics.iter();
        match tables.find(|(_, table)| table.hidden_states() != states) {
            Some((statistic, _)) => Err(format!(
                "the table of the {statistic} is not {states} x {states}, the number of hidden states"
            )),
            None => Ok(()),
        }
    }
}
