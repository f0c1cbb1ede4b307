use std::fmt;

use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::StrategyDescription;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use super::rules::{after_each_block, every_sublayer, everywhere, of_equal_parameters};

/// A baseline that strategies are compared with.
///
/// Baselines at equal parameters have as many parameters as the largest number of adapters of the space at its largest
/// rank, and lower ranks instead.
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
    /// The linear probe of the frozen model.
    LinearProbe,
    /// A parallel adapter at every sublayer.
    ParallelEverywhere,
    /// A sequential adapter after every sublayer.
    SequentialEverywhere,
    /// Like parallel-everywhere, with the rank lowered to the parameters of the other placements.
    ParallelEverywhereEqual,
    /// Like sequential-everywhere, with the rank lowered to the parameters of the other placements.
    SequentialEverywhereEqual,
    /// Like Adapter+: a sequential adapter with a learned scale per channel after every block, at equal parameters.
    AdapterPlus,
    /// The connections with the largest squared gradients, the criterion of SPT.
    LargestGradients,
    /// The best of several random placements with parallel connections only.
    BestRandomParallel,
    /// The best of several random placements of the whole space.
    BestRandom,
}

impl Baseline {
    /// All baselines.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The placement of a baseline with fixed connections; `None` for other baselines, and if the parameters do not
    /// suffice for rank 1 at each connection.
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

/// A competitor of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Competitor {
    /// A baseline, with the number of placements that a random one tries.
    Baseline(Baseline, usize),
    /// A strategy, with the whole space and budget.
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
