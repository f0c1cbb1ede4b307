//! What gradient maps at placed adapters promised: they take minutes, and a study that goes on asks for them again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use adaplace_search_space::{Connection, Placement, PlacementHash};
use serde::{Deserialize, Serialize};

use crate::folder::IMPORTANCES;
use crate::importances::Importances;
use crate::journal::{Journal, Line, check_hash};
use crate::{StudyError, StudyFolder};

/// The promise of every connection, rows are sources, columns targets.
type Table = Vec<Vec<f64>>;

/// A line of `promises.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promised {
    /// The hash of `given`.
    hash: PlacementHash,
    /// The adapters that stood already.
    given: Placement,
    promise: Table,
}

impl Line for Promised {
    fn check(&self, _before: usize) -> Result<(), String> {
        check_hash(self.hash, &self.given)?;
        let states = self.promise.len();
        match self.promise.iter().all(|row| row.len() == states) {
            true => Ok(()),
            false => Err("its table is not square".to_owned()),
        }
    }
}

/// The promises that were made at placed adapters, and the importances of adapters trained together, each made once in a study.
#[derive(Debug)]
pub struct Promises {
    path: PathBuf,
    importances: Importances,
    /// Opened when the first is asked for: most strategies ask for none.
    opened: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    journal: Journal<Promised>,
    known: BTreeMap<PlacementHash, Table>,
}

impl Promises {
    /// Those that the folder holds. It must be open for the configuration that they were made with.
    #[must_use]
    pub fn of(folder: &StudyFolder) -> Self {
        Self::at(folder.promises())
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            importances: Importances::at(path.with_file_name(IMPORTANCES)),
            path,
            opened: Mutex::new(None),
        }
    }

    /// The importances of adapters trained together.
    pub(crate) fn importances(&self) -> &Importances {
        &self.importances
    }

    /// What `connections` promise beside the adapters `given`, by what is known or else by what `make` gives.
    pub(crate) fn promise<E: From<StudyError>>(
        &self,
        given: &Placement,
        connections: &[Connection],
        make: impl FnOnce() -> Result<Table, E>,
    ) -> Result<Vec<f64>, E> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match &mut *opened {
            Some(opened) => opened,
            none => none.insert(Opened::new(&self.path)?),
        };
        let hash = given.hash();
        if !opened.known.contains_key(&hash) {
            let promise = make()?;
            opened.journal.append(&Promised {
                hash,
                given: given.clone(),
                promise: promise.clone(),
            })?;
            opened.known.insert(hash, promise);
        }
        let table = &opened.known[&hash];
        let of = |connection: &Connection| {
            let row = table.get(usize::from(connection.source))?;
            row.get(usize::from(connection.target)).copied()
        };
        let promises: Option<_> = connections.iter().map(of).collect();
        promises.ok_or_else(|| {
            StudyError::Damaged {
                path: self.path.clone(),
                reason: format!("the table of {given} has too few hidden states"),
            }
            .into()
        })
    }
}

impl Opened {
    fn new(path: &Path) -> Result<Self, StudyError> {
        let (journal, lines) = Journal::open(path)?;
        let known = lines
            .into_iter()
            .map(|line: Promised| (line.hash, line.promise));
        Ok(Self {
            journal,
            known: known.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use adaplace_search_space::AdapterSpec;

    use super::*;

    const TABLE: [[f64; 2]; 2] = [[0.1, 0.2], [1.0 / 3.0, -4e-300]];

    fn given() -> Placement {
        let adapter = AdapterSpec::new(2, 1.0).unwrap();
        Placement::new().with(Connection::new(0, 1), adapter)
    }

    fn promise(promises: &Promises, made: &Cell<u32>) -> Result<Vec<f64>, StudyError> {
        let connections = [Connection::new(1, 1), Connection::new(1, 0)];
        promises.promise(&given(), &connections, || {
            made.set(made.get() + 1);
            Ok(TABLE.map(Vec::from).into())
        })
    }

    #[test]
    fn each_is_made_once_also_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promises.jsonl");
        let made = Cell::new(0);
        for _ in 0..2 {
            let promises = Promises::at(path.clone());
            for _ in 0..2 {
                let found = promise(&promises, &made).unwrap();
                assert_eq!(found, [TABLE[1][1], TABLE[1][0]]);
            }
        }
        assert_eq!(made.get(), 1);

        // Killed while it wrote.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert!(promise(&Promises::at(path.clone()), &made).is_ok());
        assert_eq!(made.get(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn nothing_is_written_before_one_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promises.jsonl");
        let promises = Promises::at(path.clone());
        assert!(!path.exists());
        let failed = promises.promise(&given(), &[], || {
            let path = path.clone();
            let reason = "a gradient is no number".to_owned();
            Err(StudyError::Damaged { path, reason })
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn damaged_lines_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promises.jsonl");
        let made = Cell::new(0);
        promise(&Promises::at(path.clone()), &made).unwrap();
        let line = std::fs::read_to_string(&path).unwrap();
        let refused = |text: String, expected: &str| {
            std::fs::write(&path, &text).unwrap();
            let error = promise(&Promises::at(path.clone()), &made).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("promises.jsonl"), "{message}");
            assert!(message.contains(expected), "{message}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        };
        let hash = given().hash().to_string();
        refused(line.replace(&hash, "0123456789abcdef"), "hash");
        refused(line.replace("[0.1,0.2]", "[0.1]"), "square");
        refused(line.replace("[0.1,0.2],", ""), "square");
        refused(format!("{{}}\n{line}"), "line 1");
        refused(
            line.replace("[[0.1,0.2],[", "[[").replace(",-4e-300", ""),
            "too few hidden states",
        );
    }
}
