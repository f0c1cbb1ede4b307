//! What a comparison says.

use adaplace_analysis::{bootstrap, signed_rank_p};
use adaplace_search_space::{Cost, Placement};
use serde::{Deserialize, Serialize};

use super::finals::Final;
use crate::{Measured, Metric};

pub(super) const FORMAT: &str = "adaplace.comparison-result/1";

/// The content of `comparison.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// `adaplace.comparison-result/1`
    pub format: String,
    /// What was chosen by on the validation part.
    pub metric: Metric,
    /// Optimiser steps of each strategy with each seed.
    pub budget_steps: u64,
    /// Hidden states of the backbone.
    pub hidden_states: u16,
    /// Best first, by mean test accuracy.
    pub competitors: Vec<Competed>,
}

/// One competitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Competed {
    /// Its name.
    pub name: String,
    /// Seed by seed.
    pub seeds: Vec<SeedResult>,
    /// Mean test accuracy with its 95 % bootstrap interval over the seeds; none if a final training failed.
    pub test_accuracy: Option<Measured>,
    /// Likewise, in nats.
    pub test_loss: Option<Measured>,
    /// To `random`, where it takes part and is another one.
    pub against_random: Option<Difference>,
}

/// What a competitor came to with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedResult {
    /// The seed, from 1.
    pub seed: u32,
    /// The placement that it chose.
    pub placement: Placement,
    /// What the placement costs.
    pub cost: Cost,
    /// Optimiser steps of its trials.
    pub steps: u64,
    /// Whenever it found a better complete placement, in order.
    pub curve: Vec<Improvement>,
    /// The final training; none if it failed.
    pub last: Option<Final>,
}

/// A point of a best-so-far curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Improvement {
    /// Optimiser steps spent, this trial's included.
    pub steps: u64,
    /// Validation accuracy or loss, by the metric.
    pub value: f64,
}

/// Paired differences of test accuracy, competitor minus `random`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The mean with its 95 % bootstrap interval.
    pub mean: Measured,
    /// Two-sided p-value of the Wilcoxon signed-rank test. With n seeds it is never below 2^(1 - n).
    pub p_value: f64,
}

impl Competed {
    /// Means and intervals of the seeds; the intervals follow from `seed`.
    pub(super) fn new(name: String, seeds: Vec<SeedResult>, seed: u64) -> Self {
        let of = |value: fn(&Final) -> f64| {
            let values: Option<Vec<f64>> = seeds
                .iter()
                .map(|result| result.last.as_ref().map(value))
                .collect();
            mean(&values?, seed)
        };
        Self {
            name,
            test_accuracy: of(|last| last.test.accuracy),
            test_loss: of(|last| last.test.loss),
            against_random: None,
            seeds,
        }
    }

    /// Compares with `random`, seed by seed.
    pub(super) fn compare_with(&mut self, random: &[SeedResult], seed: u64) {
        let accuracy = |result: &SeedResult| Some(result.last.as_ref()?.test.accuracy);
        let pairs = self.seeds.iter().zip(random);
        let differences: Option<Vec<f64>> = pairs
            .map(|(own, random)| Some(accuracy(own)? - accuracy(random)?))
            .collect();
        self.against_random =
            differences.and_then(|differences| Difference::of(&differences, seed));
    }
}

impl Difference {
    /// Of paired differences; none without any.
    #[must_use]
    pub fn of(differences: &[f64], seed: u64) -> Option<Self> {
        Some(Self {
            mean: mean(differences, seed)?,
            p_value: signed_rank_p(differences),
        })
    }
}

fn mean(values: &[f64], seed: u64) -> Option<Measured> {
    let of = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, count) =
            values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    let whole = of(&mut values.iter().copied())?;
    let interval = bootstrap(values.len(), seed, |drawn| {
        of(&mut drawn.iter().map(|&index| values[index]))
    });
    Some(Measured::new(whole, interval))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn differences_by_hand() {
        let difference = Difference::of(&[0.02, 0.04, 0.03, 0.01, 0.05, 0.06], 0).unwrap();
        assert!((difference.mean.value - 0.035).abs() < 1e-12);
        assert!(difference.mean.low.unwrap() > 0.0 && difference.mean.high.unwrap() < 0.06);
        // All six of a sign: 2 of 64 patterns.
        assert!((difference.p_value - 2.0 / 64.0).abs() < 1e-12);
        assert_eq!(Difference::of(&[], 0), None);
    }

    /// Accuracies of 500 test examples that differ by chance alone: of 200 comparisons few may look like a difference.
    #[test]
    fn noise_is_seldom_called_a_difference() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for seeds in [6, 10, 20] {
            let mut accuracy = || {
                let right = (0..500).filter(|_| random.random_bool(0.85)).count();
                right as f64 / 500.0
            };
            let significant = (0..200).filter(|&seed| {
                let differences: Vec<f64> = (0..seeds).map(|_| accuracy() - accuracy()).collect();
                Difference::of(&differences, seed).unwrap().p_value < 0.05
            });
            let share = significant.count() as f64 / 200.0;
            assert!(
                share <= 0.07,
                "{share} of the comparisons with {seeds} seeds"
            );
        }
    }
}
