use std::path::{Path, PathBuf};

use adaplace_backbone::BackboneError;
use adaplace_files::FileError;
use adaplace_scorer::ScoreError;
use adaplace_search_space::SpaceError;
use adaplace_strategy::StrategyError;
use adaplace_task::{ProblemKind, TaskError};

use crate::Metric;

/// Errors of a study.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A file could not be read.
    #[error("cannot read `{path}`: {source}; check that it exists and is readable")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(
        "cannot write `{path}`: {source}; check the free space and the permissions, then run the same command again: finished trainings are kept"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A configuration that cannot be understood.
    #[error("`{path}` is not a study configuration: {reason}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A metric that does not exist for the task.
    #[error(
        "`{metric}` is not a metric of a {}; choose {}", problem.words(), choices(*problem)
    )]
    MetricOfOther {
        /// The metric.
        metric: Metric,
        /// The kind of problem that the task is.
        problem: ProblemKind,
    },
    /// A setting out of its range.
    #[error("`{setting}` is {value}; it must be {range}")]
    OutOfRange {
        /// The setting, as the configuration names it.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        range: &'static str,
    },
    /// The backbone's preprocessing makes images that it cannot read.
    #[error(
        "`{path}` makes pictures of {made} x {made} pixels, which the backbone cannot read in patches of {patch_size}; correct `size` or `crop_size` there"
    )]
    PictureSize {
        /// The preprocessing.
        path: PathBuf,
        /// Height and width of its images.
        made: usize,
        /// Height and width of a patch.
        patch_size: usize,
    },
    /// The output folder holds something other than a study.
    #[error(
        "`{path}` is not a study: it is not empty and holds no `{file}`; choose another output folder"
    )]
    NotAStudy {
        /// The folder.
        path: PathBuf,
        /// Name of the missing configuration file.
        file: &'static str,
    },
    /// The folder to read holds no study.
    #[error(
        "`{path}` is not a study: it holds no `study.toml`; give the folder that a search wrote"
    )]
    NoStudy {
        /// The folder.
        path: PathBuf,
    },
    /// A file that was derived from the journal is damaged.
    #[error("`{path}` is damaged: {reason}; run the search again, which writes it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The output folder holds a study with another configuration.
    #[error(
        "`{path}` holds a study with another configuration: {}; choose another output folder to run this one",
        differences.join(", ")
    )]
    OtherConfiguration {
        /// The folder.
        path: PathBuf,
        /// One phrase for each setting that differs.
        differences: Vec<String>,
    },
    /// Another process runs the study.
    #[error(
        "`{path}` is being run by another process; wait for it or choose another output folder"
    )]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The journal is damaged.
    #[error(
        "`{path}` is damaged in line {line}: {reason}; restore the file, or choose another output folder to start again"
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The backbone or the task is not the one of the configuration.
    #[error(
        "the {what} in `{path}` is not the one of the study: its hash is {found}, the study was made with {expected}; restore it, or start a new study"
    )]
    Changed {
        /// `backbone` or `task`.
        what: &'static str,
        /// Its folder.
        path: PathBuf,
        /// The hash in the configuration.
        expected: String,
        /// The hash of the folder.
        found: String,
    },
    /// A result for a trial that is not open.
    #[error(
        "trial {trial} was not asked for, or already has a result; tell the result of each trial from `ask` once"
    )]
    NotAsked {
        /// Its number.
        trial: usize,
    },
    /// A score that is not finite.
    #[error(
        "the {quantity} of trial {trial} is {value}; tell a finite number, or report a failure with its reason"
    )]
    NotFinite {
        /// The number of the trial.
        trial: usize,
        /// The quantity that is not finite.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
    /// The study is scored by an external objective.
    #[error(
        "`{path}` is scored by the objective `{objective}`, which is not available here; resume it from Python with that objective"
    )]
    OwnObjective {
        /// The study.
        path: PathBuf,
        /// The name of the objective.
        objective: String,
    },
    /// No trial gave a score.
    #[error(
        "all {trials} trials failed; the first failure: {reason}; if trainings diverge, choose a lower learning rate"
    )]
    NothingScored {
        /// Number of trials.
        trials: usize,
        /// The reason of the first failure.
        reason: String,
    },
    /// The strategy finished without a complete placement.
    #[error(
        "the strategy `{strategy}` proposed no complete placement within {trials} trials; allow more trials"
    )]
    NothingComplete {
        /// The strategy.
        strategy: String,
        /// Number of trials it was allowed.
        trials: usize,
    },
    /// The workers could not be started.
    #[error("cannot start {workers} workers: {reason}")]
    Workers {
        /// Number of workers.
        workers: usize,
        /// The system's error.
        reason: String,
    },
    /// From the search space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// From the backbone.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// From the task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// From the strategy.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    /// From the scorer.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl From<FileError> for StudyError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read { path, source } => Self::Read { path, source },
            FileError::Write { path, source } => Self::Write { path, source },
            FileError::Content { path, problem } => Self::Damaged {
                path,
                reason: problem.to_string(),
            },
        }
    }
}

fn choices(problem: ProblemKind) -> String {
    let names = Metric::of_problem(problem).iter();
    let names: Vec<String> = names.map(|metric| format!("`{metric}`")).collect();
    let (last, others) = names.split_last().expect("every problem has metrics");
    format!("{} or {last}", others.join(", "))
}

/// The file as parsed by `read`; `None` if it does not exist.
///
/// # Errors
/// The errors of `read`, except for a missing file.
pub fn if_there<T>(
    path: &Path,
    read: impl Fn(&Path) -> Result<T, StudyError>,
) -> Result<Option<T>, StudyError> {
    match read(path) {
        Err(StudyError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        other => other.map(Some),
    }
}
