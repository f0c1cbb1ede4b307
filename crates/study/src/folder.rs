use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use adaplace_files::write_atomically;

use crate::differences::differences;
use crate::{Configuration, Journal, Record, StudyError};

pub(crate) const GRADIENT_MAP: &str = "gradient-map.json";
pub(crate) const RANKING: &str = "ranking.json";
const IMPORTANCES: &str = "importances.jsonl";
const REPORT: &str = "report.html";
const PLACEMENTS: &str = "placements";

/// An open folder of results with its journal, locked by this process.
#[derive(Debug)]
pub struct Opened {
    /// The folder.
    pub folder: StudyFolder,
    /// The journal.
    pub journal: Journal,
    /// The trainings that the journal held when it was opened.
    pub records: Vec<Record>,
}

/// The folder of a study or a comparison, locked by this process.
#[derive(Debug, Clone)]
pub struct StudyFolder {
    path: PathBuf,
    grown: bool,
}

impl StudyFolder {
    /// Name of the journal.
    pub const JOURNAL: &str = "journal.jsonl";

    /// Opens the study at `path` for `configuration`, or creates it. Returns its journal and the trainings done so far.
    ///
    /// # Errors
    /// If the folder holds something else or a study with another configuration. The folder is then left unchanged.
    pub fn open<C: Configuration>(path: &Path, configuration: &C) -> Result<Opened, StudyError> {
        let mut folder = Self {
            path: path.to_owned(),
            grown: false,
        };
        let stored = path.join(C::FILE);
        let exists = stored.is_file();
        if exists {
            folder.compare(&stored, configuration)?;
        } else {
            folder.check_empty(C::FILE)?;
        }
        std::fs::create_dir_all(path.join(PLACEMENTS)).map_err(folder.writing(path))?;
        if !exists {
            folder.write(C::FILE, configuration.to_toml()?.as_bytes())?;
        }
        let (journal, records) = Journal::open(&path.join(Self::JOURNAL))?;
        if exists {
            // The journal is locked by now.
            let before = C::read(&stored)?;
            let grown = before.growing_as(configuration);
            if grown.to_toml()? != before.to_toml()? {
                folder.write(C::FILE, grown.to_toml()?.as_bytes())?;
                if grown.has_grown() {
                    folder.remove(RANKING)?;
                }
            }
            folder.grown = grown.has_grown();
        }
        Ok(Opened {
            folder,
            journal,
            records,
        })
    }

    /// Checks that `path` could hold a study of this configuration, before any expensive work.
    ///
    /// # Errors
    /// See [`Self::open`]. Nothing is created or locked.
    pub fn check<C: Configuration>(path: &Path, configuration: &C) -> Result<(), StudyError> {
        let folder = Self {
            path: path.to_owned(),
            grown: false,
        };
        let stored = path.join(C::FILE);
        if stored.is_file() {
            folder.compare(&stored, configuration)
        } else {
            folder.check_empty(C::FILE)
        }
    }

    /// See [`Configuration::has_grown`].
    pub(crate) fn has_grown(&self) -> bool {
        self.grown
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the gradient map.
    #[must_use]
    pub fn gradient_map(&self) -> PathBuf {
        self.path.join(GRADIENT_MAP)
    }

    /// Path of the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(Self::JOURNAL)
    }

    /// Path of the importances of adapters that were trained together.
    #[must_use]
    pub fn importances(&self) -> PathBuf {
        self.path.join(IMPORTANCES)
    }

    /// Path of the ranking.
    #[must_use]
    pub fn ranking(&self) -> PathBuf {
        self.path.join(RANKING)
    }

    /// Path of the placement with this name.
    #[must_use]
    pub fn placement(&self, name: &str) -> PathBuf {
        self.path.join(PLACEMENTS).join(format!("{name}.toml"))
    }

    /// Path of the report of the study in the folder at `path`.
    #[must_use]
    pub fn report(path: &Path) -> PathBuf {
        path.join(REPORT)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StudyError> {
        let path = self.path.join(name);
        write_atomically(&path, content).map_err(self.writing(&path))
    }

    /// Removes a result that the configuration no longer leads to, if it exists.
    fn remove(&self, name: &str) -> Result<(), StudyError> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.writing(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Compares the stored configuration with the wanted one, except for the paths of backbone and task and for
    /// settings that may change between runs.
    fn compare<C: Configuration>(&self, stored: &Path, wanted: &C) -> Result<(), StudyError> {
        let existing = C::read(stored)?.at_the_places_of(wanted).growing_as(wanted);
        let table = |configuration: &C| -> Result<toml::Table, StudyError> {
            let mut table: toml::Table =
                toml::from_str(&configuration.to_toml()?).unwrap_or_default();
            if let Some(toml::Value::Table(search)) = table.get_mut("search") {
                // This records the folder's history, not what the user asked for.
                search.remove("grown");
            }
            Ok(table)
        };
        let differences = differences(&table(&existing)?, &table(wanted)?);
        if differences.is_empty() {
            return Ok(());
        }
        Err(StudyError::OtherConfiguration {
            path: self.path.clone(),
            differences,
        })
    }

    /// Ignores the leftovers of a process that was killed at the start: hidden files and an empty folder for the
    /// placements.
    fn check_empty(&self, file: &'static str) -> Result<(), StudyError> {
        let reading = |source| StudyError::Read {
            path: self.path.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(StudyError::NotAStudy {
                    path: self.path.clone(),
                    file,
                });
            }
            Err(error) => return Err(reading(error)),
        };
        for entry in entries {
            let entry = entry.map_err(reading)?;
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let unused = name == PLACEMENTS && is_empty_folder(&entry.path());
            if !hidden && !unused {
                return Err(StudyError::NotAStudy {
                    path: self.path.clone(),
                    file,
                });
            }
        }
        Ok(())
    }

    fn writing(&self, path: &Path) -> impl Fn(std::io::Error) -> StudyError + use<> {
        let path = path.to_owned();
        move |source| StudyError::Write {
            path: path.clone(),
            source,
        }
    }
}

fn is_empty_folder(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}
