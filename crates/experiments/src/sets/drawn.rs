//! Mean results of placements by how they were drawn.

use std::collections::BTreeMap;

use adaplace_analysis::Estimate;
use adaplace_search_space::{Placement, Spacing};
use adaplace_strategy::{Sample, StrategyDescription};
use serde::{Deserialize, Serialize};

use super::repeated::{Trained, means};
use crate::ExperimentError;
use crate::PlacementBench;

/// How a sample draws a placement. The ways alternate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetDraw {
    /// Uniformly.
    Random,
    /// With connections close together.
    Near,
    /// With connections far apart.
    Spread,
}

impl SetDraw {
    /// All of them, in the order of the sample.
    pub const ALL: [Self; 3] = [Self::Random, Self::Near, Self::Spread];

    /// The name used in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Near => "near",
            Self::Spread => "spread",
        }
    }
}

impl From<Option<Spacing>> for SetDraw {
    fn from(spacing: Option<Spacing>) -> Self {
        match spacing {
            None => Self::Random,
            Some(Spacing::Near) => Self::Near,
            Some(Spacing::Spread) => Self::Spread,
        }
    }
}

/// The placements of one draw.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnSets {
    /// How they were drawn.
    pub draw: SetDraw,
    /// Number of placements.
    pub placements: usize,
    /// Mean of their mean accuracies, with the standard error over placements.
    pub accuracy: Estimate,
    /// Mean of their mean losses, with the standard error over placements.
    pub loss: Estimate,
}

/// The means by draw; empty if the bench is not a sample.
pub(super) fn draws(
    bench: &PlacementBench,
    trained: &Trained,
) -> Result<Vec<DrawnSets>, ExperimentError> {
    if !matches!(bench.configuration.strategy, StrategyDescription::Sample {}) {
        return Ok(Vec::new());
    }
    let search = &bench.configuration.search;
    let drawn = Sample::drawn(&bench.space()?, search.seed.get(), search.trials.get());
    let spacings: BTreeMap<Placement, SetDraw> = drawn
        .into_iter()
        .map(|(placement, spacing)| (placement, spacing.into()))
        .collect();
    let (accuracy, loss) = (means(&trained.accuracy), means(&trained.loss));
    let of = |draw: SetDraw| {
        let own: Vec<usize> = (0..accuracy.len())
            .filter(|&index| spacings.get(&trained.placements[index]) == Some(&draw))
            .collect();
        let accuracies: Vec<f64> = own.iter().map(|&index| accuracy[index]).collect();
        let losses: Vec<f64> = own.iter().map(|&index| -loss[index]).collect();
        Some(DrawnSets {
            draw,
            placements: own.len(),
            accuracy: Estimate::of(&accuracies)?,
            loss: Estimate::of(&losses)?,
        })
    };
    Ok(SetDraw::ALL.into_iter().filter_map(of).collect())
}
