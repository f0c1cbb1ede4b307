//! Repeated trainings of the best placements and of the baseline.

use adaplace_analysis::Estimate;
use adaplace_scorer::Score;
use adaplace_search_space::{Connection, Cost, Placement, PlacementHash, SearchSpace};
use serde::{Deserialize, Serialize};

use crate::{Metric, TrialResult};

/// One of the best placements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finalist {
    /// Place, from 1. The race decides it, with trainings other than the repetitions. Without a race the mean of the
    /// repetitions does, and a finalist with a failed repetition comes after those without.
    pub place: usize,
    /// The trial that made it a finalist.
    pub trial: usize,
    /// The placement's hash.
    pub hash: PlacementHash,
    /// Its repetitions.
    pub repeated: Repeated,
    /// The coupling of every two of its connections, -1 to 1, in the order of the placement: how similarly they change
    /// the losses of the training examples ([`adaplace_scorer::JointJudgement::coupling`]). None without a gradient map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupling: Option<Vec<Vec<f64>>>,
}

/// A placement trained several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// The placement.
    pub placement: Placement,
    /// What it costs.
    pub cost: Cost,
    /// Results of the repetitions, in order.
    pub results: Vec<TrialResult>,
    /// Validation accuracy over the successful repetitions; `None` if all failed or the task is not a classification.
    pub validation_accuracy: Option<Estimate>,
    /// Validation loss over the successful repetitions; `None` if all failed.
    pub validation_loss: Option<Estimate>,
}

impl Repeated {
    pub(crate) fn new(placement: Placement, cost: Cost, results: Vec<TrialResult>) -> Self {
        let estimate = |value: fn(&Score) -> Option<f64>| {
            let scores = results.iter().filter_map(TrialResult::score);
            let values: Vec<f64> = scores.filter_map(value).collect();
            Estimate::of(&values)
        };
        Self {
            validation_accuracy: estimate(|score| score.measures.accuracy()),
            validation_loss: estimate(|score| Some(score.validation_loss)),
            placement,
            cost,
            results,
        }
    }

    /// The metric over the successful repetitions; `None` if all failed.
    #[must_use]
    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        let scores = self.results.iter().filter_map(TrialResult::score);
        let values: Vec<f64> = scores.map(|score| metric.value(score)).collect();
        Estimate::of(&values)
    }

    /// The measure that is looked at first over the successful repetitions; `None` if all failed.
    #[must_use]
    pub fn headline(&self) -> Option<Estimate> {
        let scores = self.results.iter().filter_map(TrialResult::score);
        let values: Vec<f64> = scores.map(|score| score.measures.headline()).collect();
        Estimate::of(&values)
    }

    /// Number of failed repetitions.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failed = self
            .results
            .iter()
            .filter(|result| result.score().is_none());
        failed.count()
    }
}

/// The baseline of every study: a parallel adapter at every sublayer, with the largest rank of the space.
#[must_use]
pub fn parallel_baseline(space: &SearchSpace) -> Placement {
    let largest = space.adapters().last();
    let adapters = largest.into_iter().cycle().copied();
    let sublayers = 0..space.shape().hidden_states - 1;
    sublayers
        .map(|sublayer| Connection::new(sublayer, sublayer + 1))
        .zip(adapters)
        .collect()
}
