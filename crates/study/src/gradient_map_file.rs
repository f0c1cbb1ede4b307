use std::collections::BTreeMap;
use std::path::Path;

use adaplace_scorer::{Evaluation, GradientMap, GradientMapSettings, LinearProbe, Statistic};
use adaplace_search_space::{BackboneReference, write_atomically};
use serde::{Deserialize, Serialize};

use crate::StudyError;

const FORMAT: &str = "adaplace.gradient-map/1";

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
    /// The linear probe whose loss the gradient is of.
    pub probe: ProbeQuality,
    /// For each statistic that the map holds a square table: rows are sources, columns targets.
    pub statistics: BTreeMap<Statistic, Vec<Vec<f64>>>,
}

/// How good a linear probe is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeQuality {
    /// Strength of its regularisation.
    pub l2: f64,
    /// On the training examples.
    pub train: Evaluation,
    /// On the validation part.
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
    /// All statistics that `map` holds.
    #[must_use]
    pub fn new(
        map: &GradientMap,
        probe: &LinearProbe,
        backbone: BackboneReference,
        task: &str,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            backbone,
            task: task.to_owned(),
            examples: map.examples(),
            settings: *map.settings(),
            probe: probe.into(),
            statistics: Statistic::ALL
                .into_iter()
                .filter_map(|statistic| Some((statistic, map.table(statistic)?)))
                .collect(),
        }
    }

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is damaged; the message names it.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let map: Self = read_json(path)?;
        let damaged = |reason: String| StudyError::Damaged {
            path: path.to_owned(),
            reason,
        };
        if map.format != FORMAT {
            let found = &map.format;
            return Err(damaged(format!(
                "its format is `{found}`, this version reads `{FORMAT}`"
            )));
        }
        let states = usize::from(map.backbone.hidden_states);
        for (statistic, table) in &map.statistics {
            let square = table.len() == states && table.iter().all(|row| row.len() == states);
            if !square {
                return Err(damaged(format!(
                    "the table of the {statistic} is not {states} x {states}, as the hidden states are"
                )));
            }
        }
        Ok(map)
    }

    /// Writes the file, or leaves an earlier one as it was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), StudyError> {
        let failed = |source| StudyError::Write {
            path: path.to_owned(),
            source,
        };
        let mut text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        write_atomically(path, &text).map_err(failed)
    }
}

/// The content of a file of JSON. Only what an unsound disk or a person changed can be wrong with it.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, StudyError> {
    let bytes = std::fs::read(path).map_err(|source| StudyError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| StudyError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
