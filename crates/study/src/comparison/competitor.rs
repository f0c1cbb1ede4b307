use std::fmt;

use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::StrategyDescription;

use super::rules::{after_each_block, every_sublayer, everywhere, of_equal_parameters};

/// What takes part in a comparison.
///
/// Those of equal parameters have as many as the space's most adapters of its largest rank, and lower ranks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Competitor {
    /// The frozen model with its linear head.
    LinearProbe,
    /// An adapter in parallel at every sublayer.
    Parallel,
    /// An adapter in sequence behind every sublayer.
    Sequential,
    /// As [`Self::Parallel`], at equal parameters.
    ParallelEqual,
    /// As [`Self::Sequential`], at equal parameters.
    SequentialEqual,
    /// An adapter in sequence behind every block, the places of Adapter+, at equal parameters.
    AfterEachBlockEqual,
    /// The connections with the largest squared gradients, as SPT chooses.
    LargestGradients,
    /// The best of so many random placements of parallel connections alone.
    RandomParallel(usize),
    /// The best of so many random placements of the whole space.
    Random(usize),
    /// A strategy, on the whole space and budget.
    Strategy(StrategyDescription),
}

impl fmt::Display for Competitor {
    /// Its name in files.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinearProbe => formatter.write_str("linear-probe"),
            Self::Parallel => formatter.write_str("parallel-everywhere"),
            Self::Sequential => formatter.write_str("sequential-everywhere"),
            Self::ParallelEqual => formatter.write_str("parallel-everywhere-equal"),
            Self::SequentialEqual => formatter.write_str("sequential-everywhere-equal"),
            Self::AfterEachBlockEqual => formatter.write_str("after-each-block-equal"),
            Self::LargestGradients => formatter.write_str("largest-gradients"),
            Self::RandomParallel(count) => write!(formatter, "best-of-{count}-random-parallel"),
            Self::Random(count) => write!(formatter, "best-of-{count}-random"),
            Self::Strategy(description) => formatter.write_str(description.name()),
        }
    }
}

impl Competitor {
    /// The placement of a baseline at fixed places; `None` for any other, and where its parameters do not suffice for a
    /// rank of 1 at each of its places.
    pub(super) fn fixed(&self, space: &SearchSpace) -> Option<Placement> {
        match self {
            Self::LinearProbe => Some(Placement::new()),
            Self::Parallel => Some(everywhere(space, 0)),
            Self::Sequential => Some(everywhere(space, 1)),
            Self::ParallelEqual => of_equal_parameters(space, every_sublayer(space, 0)),
            Self::SequentialEqual => of_equal_parameters(space, every_sublayer(space, 1)),
            Self::AfterEachBlockEqual => of_equal_parameters(space, after_each_block(space)),
            Self::LargestGradients
            | Self::RandomParallel(_)
            | Self::Random(_)
            | Self::Strategy(_) => None,
        }
    }
}
