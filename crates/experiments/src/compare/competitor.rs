use std::fmt;

use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::StrategyDescription;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use super::rules::{after_each_block, every_sublayer, everywhere, of_equal_parameters};

/// What strategies are compared with.
///
/// Those of equal parameters have as many as the space's most adapters of its largest rank, and lower ranks for it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The frozen model with its linear head.
    LinearProbe,
    /// An adapter in parallel at every sublayer.
    ParallelEverywhere,
    /// An adapter in sequence behind every sublayer.
    SequentialEverywhere,
    /// As [`Self::ParallelEverywhere`], at equal parameters.
    ParallelEverywhereEqual,
    /// As [`Self::SequentialEverywhere`], at equal parameters.
    SequentialEverywhereEqual,
    /// An adapter in sequence behind every block with a learned scale per channel, as Adapter+, at equal parameters.
    AdapterPlus,
    /// The connections with the largest squared gradients, as SPT chooses.
    LargestGradients,
    /// The best of some random placements of parallel connections alone.
    BestRandomParallel,
    /// The best of some random placements of the whole space.
    BestRandom,
}

impl Baseline {
    /// All baselines.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The placement of one at fixed places; `None` for any other, and where its parameters do not suffice for a rank of 1 at
    /// each of its places.
    pub(super) fn fixed(self, space: &SearchSpace) -> Option<Placement> {
        let width = space.shape().width;
        match self {
            Self::LinearProbe => Some(Placement::new()),
            Self::ParallelEverywhere => Some(everywhere(space, 0)),
            Self::SequentialEverywhere => Some(everywhere(space, 1)),
            Self::ParallelEverywhereEqual => {
                of_equal_parameters(space, every_sublayer(space, 0), 0)
            }
            Self::SequentialEverywhereEqual => {
                of_equal_parameters(space, every_sublayer(space, 1), 0)
            }
            Self::AdapterPlus => of_equal_parameters(space, after_each_block(space), width),
            Self::LargestGradients | Self::BestRandomParallel | Self::BestRandom => None,
        }
    }
}

/// What takes part in a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Competitor {
    /// A baseline; random ones try so many placements.
    Baseline(Baseline, usize),
    /// A strategy, on the whole space and budget.
    Strategy(StrategyDescription),
}

impl Competitor {
    /// Whether its adapters are trained with a learned scale per channel.
    pub(super) fn learned_scale(&self) -> bool {
        matches!(self, Self::Baseline(Baseline::AdapterPlus, _))
    }
}

impl fmt::Display for Competitor {
    /// Its name in files.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strategy(description) => formatter.write_str(description.name()),
            Self::Baseline(Baseline::BestRandomParallel, count) => {
                write!(formatter, "best-of-{count}-random-parallel")
            }
            Self::Baseline(Baseline::BestRandom, count) => {
                write!(formatter, "best-of-{count}-random")
            }
            Self::Baseline(baseline, _) => formatter.write_str(baseline.into()),
        }
    }
}
