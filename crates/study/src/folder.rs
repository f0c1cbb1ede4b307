use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use adaplace_search_space::write_atomically;

use crate::differences::differences;
use crate::{Journal, Record, StudyConfiguration, StudyError};

pub(crate) const CONFIGURATION: &str = "study.toml";
pub(crate) const JOURNAL: &str = "journal.jsonl";
pub(crate) const GRADIENT_MAP: &str = "gradient-map.json";
pub(crate) const RANKING: &str = "ranking.json";
const REPORT: &str = "report.html";
const PLACEMENTS: &str = "placements";

/// The folder of a study, opened by this process alone.
#[derive(Debug)]
pub struct StudyFolder {
    path: PathBuf,
}

impl StudyFolder {
    /// Opens the study at `path` for `configuration`, or makes it; gives its journal and the trainings done so far.
    ///
    /// # Errors
    /// If the folder holds something else, or a study with another configuration, which is left as it is.
    pub fn open(
        path: &Path,
        configuration: &StudyConfiguration,
    ) -> Result<(Self, Journal, Vec<Record>), StudyError> {
        let folder = Self {
            path: path.to_owned(),
        };
        let text = configuration.to_toml()?;
        let stored = path.join(CONFIGURATION);
        let exists = stored.is_file();
        if exists {
            folder.compare(&stored, configuration)?;
        } else {
            folder.check_empty()?;
        }
        std::fs::create_dir_all(path.join(PLACEMENTS)).map_err(folder.writing(path))?;
        if !exists {
            folder.write(CONFIGURATION, text.as_bytes())?;
        }
        let (journal, records) = Journal::open(&path.join(JOURNAL))?;
        Ok((folder, journal, records))
    }

    /// Checks, before anything expensive is done, that `path` could hold a study of this configuration.
    ///
    /// # Errors
    /// As [`Self::open`], without making or locking anything.
    pub fn check(path: &Path, configuration: &StudyConfiguration) -> Result<(), StudyError> {
        let folder = Self {
            path: path.to_owned(),
        };
        let stored = path.join(CONFIGURATION);
        if stored.is_file() {
            folder.compare(&stored, configuration)
        } else {
            folder.check_empty()
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the gradient map stands.
    #[must_use]
    pub fn gradient_map(&self) -> PathBuf {
        self.path.join(GRADIENT_MAP)
    }

    /// Where the journal stands.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// Where the ranking stands.
    #[must_use]
    pub fn ranking(&self) -> PathBuf {
        self.path.join(RANKING)
    }

    /// Where the report of the study in the folder at `path` stands.
    #[must_use]
    pub fn report(path: &Path) -> PathBuf {
        path.join(REPORT)
    }

    /// Where the placement of the finalist on `place`, from 1, stands.
    #[must_use]
    pub fn placement(&self, place: usize) -> PathBuf {
        self.path.join(PLACEMENTS).join(format!("{place}.toml"))
    }

    pub(crate) fn write_ranking(&self, content: &[u8]) -> Result<(), StudyError> {
        self.write(RANKING, content)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StudyError> {
        let path = self.path.join(name);
        write_atomically(&path, content).map_err(self.writing(&path))
    }

    /// Where backbone and task stand makes no difference: their hashes say whether they are the same.
    fn compare(&self, stored: &Path, wanted: &StudyConfiguration) -> Result<(), StudyError> {
        let mut existing = StudyConfiguration::read(stored)?;
        existing.backbone.folder.clone_from(&wanted.backbone.folder);
        existing.task.folder.clone_from(&wanted.task.folder);
        let table = |configuration: &StudyConfiguration| -> Result<toml::Table, StudyError> {
            Ok(toml::from_str(&configuration.to_toml()?).unwrap_or_default())
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

    /// What a process leaves that was killed at the very start does not count: hidden files, and an empty folder for
    /// the placements.
    fn check_empty(&self) -> Result<(), StudyError> {
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
