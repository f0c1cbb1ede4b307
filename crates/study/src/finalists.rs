//! Repeated trainings, of the best placements and of the baseline.

use adaplace_scorer::Score;
use adaplace_search_space::{Cost, Placement, SearchSpace};
use serde::{Deserialize, Serialize};

use crate::comparison::everywhere;
use crate::{Metric, TrialResult};

/// A placement trained several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// The placement.
    pub placement: Placement,
    /// What it costs.
    pub cost: Cost,
    /// The repetitions in their order.
    pub results: Vec<TrialResult>,
    /// Over the repetitions that went through; `None` if none did.
    pub validation_accuracy: Option<Estimate>,
    /// Likewise.
    pub validation_loss: Option<Estimate>,
}

/// A mean and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error, s / sqrt(n) with the sample deviation s; unknown from a single value.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// Of the mean of `values`; `None` of none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        Some(Self {
            mean,
            standard_error,
        })
    }
}

impl Repeated {
    pub(crate) fn new(placement: Placement, cost: Cost, results: Vec<TrialResult>) -> Self {
        let estimate = |value: fn(&Score) -> f64| {
            let values: Vec<f64> = results
                .iter()
                .filter_map(TrialResult::score)
                .map(value)
                .collect();
            Estimate::of(&values)
        };
        Self {
            validation_accuracy: estimate(|score| score.validation_accuracy),
            validation_loss: estimate(|score| score.validation_loss),
            placement,
            cost,
            results,
        }
    }

    /// The metric over the repetitions that went through; `None` if none did.
    #[must_use]
    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        let scores = self.results.iter().filter_map(TrialResult::score);
        let values: Vec<f64> = scores.map(|score| metric.value(score)).collect();
        Estimate::of(&values)
    }

    /// Repetitions that failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failed = self
            .results
            .iter()
            .filter(|result| result.score().is_none());
        failed.count()
    }
}

/// The baseline of every study: an adapter in parallel at every sublayer, of the largest rank of the space.
#[must_use]
pub fn parallel_baseline(space: &SearchSpace) -> Placement {
    everywhere(space, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_of_two_and_four() {
        // Mean 3, sample variance 2, standard error sqrt(2 / 2).
        let estimate = Estimate::of(&[2.0, 4.0]).unwrap();
        assert_eq!((estimate.mean, estimate.standard_error), (3.0, Some(1.0)));
        assert_eq!(Estimate::of(&[5.0]).unwrap().standard_error, None);
        assert!(Estimate::of(&[]).is_none());
    }
}
