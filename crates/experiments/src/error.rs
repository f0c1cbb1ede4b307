use std::path::PathBuf;

use adaplace_files::FileError;
use adaplace_scorer::ScoreError;
use adaplace_search_space::SpaceError;
use adaplace_strategy::StrategyError;
use adaplace_study::StudyError;

/// Errors of an experiment.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// A strategy is named twice.
    #[error("the strategy `{strategy}` is named twice; name each once")]
    NamedTwice {
        /// The strategy.
        strategy: &'static str,
    },
    /// Too few connections for an audit.
    #[error(
        "only {trained} single connections were trained, an audit needs at least {fewest}; sample more of them"
    )]
    TooFewConnections {
        /// Number of connections that were trained alone, with all steps.
        trained: usize,
        /// The required number.
        fewest: usize,
    },
    /// Too few placements for an audit.
    #[error(
        "only {trained} placements of the bench were trained as often as the others, an audit needs at least {fewest}; train more"
    )]
    TooFewPlacements {
        /// Number of placements with all repetitions.
        trained: usize,
        /// The required number.
        fewest: usize,
    },
    /// A placement that a bench does not have.
    #[error(
        "the placement bench has no placement `{placement}`; use a bench of the space that is searched"
    )]
    NotInBench {
        /// The placement.
        placement: String,
    },
    /// A bench with more than one rank.
    #[error("a placement bench has one rank, and the space has {ranks:?}; name one in `ranks`")]
    SeveralAdapters {
        /// The ranks of the space.
        ranks: Vec<u16>,
    },
    /// A placement bench that cannot be used.
    #[error("`{path}` is not a placement bench: {reason}")]
    Bench {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A placement bench of something else.
    #[error(
        "`{path}` was made with another {what}: its hash is {expected}, not {found}; use the {what} that the bench was made with"
    )]
    OtherBench {
        /// `backbone` or `task`.
        what: &'static str,
        /// The bench.
        path: PathBuf,
        /// The bench's hash.
        expected: String,
        /// The hash that was found.
        found: String,
    },
    /// From a study.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// From the search space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// From the strategy.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    /// From the scorer.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl From<FileError> for ExperimentError {
    fn from(error: FileError) -> Self {
        Self::Study(error.into())
    }
}
