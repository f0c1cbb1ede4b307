//! Cache of the importances of adapters that were trained together. Such a training takes minutes, and a resumed study
//! asks for it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use adaplace_search_space::{Placement, PlacementHash};
use serde::{Deserialize, Serialize};

use crate::error::{StudyError, if_there};
use crate::journal::{Journal, Line, check_hash, read_lines};

/// A line of `importances.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    /// The hash of `together`.
    hash: PlacementHash,
    /// The adapters that were trained.
    together: Placement,
    /// One importance for each adapter, in the placement's order.
    importance: Vec<f64>,
    /// How long the training took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl Line for Measured {
    fn check(&self, _before: usize) -> Result<(), String> {
        check_hash(self.hash, &self.together)?;
        match self.importance.len() == self.together.len() {
            true => Ok(()),
            false => Err("it does not have one importance for each adapter".to_owned()),
        }
    }
}

/// The measured importances of a study, each measured once.
#[derive(Debug)]
pub struct Importances {
    path: PathBuf,
    /// Opened on first use: most strategies need no importances.
    opened: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    journal: Journal<Measured>,
    known: BTreeMap<PlacementHash, Vec<f64>>,
}

impl Importances {
    /// The importances in the file at `path`. The file is created with the first measurement.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            opened: Mutex::new(None),
        }
    }

    /// The duration in seconds of each training in the file at `path`. The file is neither locked nor changed.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn seconds(path: &Path) -> Result<BTreeMap<PlacementHash, f64>, StudyError> {
        let lines: Vec<Measured> = if_there(path, read_lines)?.unwrap_or_default();
        let seconds = lines
            .iter()
            .filter_map(|line| Some((line.hash, line.seconds?)));
        Ok(seconds.collect())
    }

    /// The importances of the adapters of `together`, from the file or else from `measure`.
    pub(crate) fn of<E: From<StudyError>>(
        &self,
        together: &Placement,
        measure: impl FnOnce() -> Result<Vec<f64>, E>,
    ) -> Result<Vec<f64>, E> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match &mut *opened {
            Some(opened) => opened,
            none => none.insert(Opened::new(&self.path)?),
        };
        let hash = together.hash();
        if let Some(known) = opened.known.get(&hash) {
            return Ok(known.clone());
        }
        let start = Instant::now();
        let importance = measure()?;
        opened.journal.append(&Measured {
            hash,
            together: together.clone(),
            importance: importance.clone(),
            seconds: Some(start.elapsed().as_secs_f64()),
        })?;
        opened.known.insert(hash, importance.clone());
        Ok(importance)
    }
}

impl Opened {
    fn new(path: &Path) -> Result<Self, StudyError> {
        let (journal, lines) = Journal::open(path)?;
        let known = lines
            .into_iter()
            .map(|line: Measured| (line.hash, line.importance));
        Ok(Self {
            journal,
            known: known.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use adaplace_search_space::{AdapterSpec, Connection};

    use super::*;

    #[test]
    fn each_is_measured_once_also_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("importances.jsonl");
        let adapter = AdapterSpec::new(2, 1.0).unwrap();
        let together: Placement = [Connection::new(0, 1), Connection::new(3, 2)]
            .map(|connection| (connection, adapter))
            .into_iter()
            .collect();
        let measured = Cell::new(0);
        let ask = |importances: &Importances| {
            importances.of(&together, || {
                measured.set(measured.get() + 1);
                Ok::<_, StudyError>(vec![1.0 / 3.0, 4e-300])
            })
        };
        for _ in 0..2 {
            let importances = Importances::at(path.clone());
            for _ in 0..2 {
                assert_eq!(ask(&importances).unwrap(), [1.0 / 3.0, 4e-300]);
            }
        }
        assert_eq!(measured.get(), 1);

        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(",4e-300]", "]")).unwrap();
        let error = ask(&Importances::at(path)).unwrap_err().to_string();
        assert!(error.contains("importances.jsonl"), "{error}");
        assert!(error.contains("one importance for each"), "{error}");
    }
}
