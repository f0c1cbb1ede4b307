use std::fmt;

use adaplace_search_space::{AdapterSpec, Connection, Placement, SearchSpace};
use adaplace_strategy::StrategyDescription;

/// What takes part in a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Competitor {
    /// The frozen model with its linear head.
    LinearProbe,
    /// An adapter in parallel at every sublayer.
    Parallel,
    /// An adapter in sequence behind every sublayer.
    Sequential,
    /// The best of so many random placements of parallel connections alone.
    RandomParallel(usize),
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
            Self::RandomParallel(count) => write!(formatter, "best-of-{count}-random-parallel"),
            Self::Strategy(description) => formatter.write_str(description.name()),
        }
    }
}

impl Competitor {
    /// The placement of a baseline that needs no search.
    pub(super) fn fixed(&self, space: &SearchSpace) -> Option<Placement> {
        match self {
            Self::LinearProbe => Some(Placement::new()),
            Self::Parallel => Some(everywhere(space, 0)),
            Self::Sequential => Some(everywhere(space, 1)),
            Self::RandomParallel(_) | Self::Strategy(_) => None,
        }
    }
}

/// An adapter of the space's largest rank at every sublayer, reading the state `offset` behind its input.
pub(crate) fn everywhere(space: &SearchSpace, offset: u16) -> Placement {
    let largest = space.adapters().iter().max_by_key(|adapter| adapter.rank);
    let sublayers = space.shape().hidden_states - 1;
    (0..sublayers)
        .zip(largest.into_iter().cycle())
        .map(|(sublayer, &adapter): (u16, &AdapterSpec)| {
            (Connection::new(sublayer + offset, sublayer + 1), adapter)
        })
        .collect()
}
