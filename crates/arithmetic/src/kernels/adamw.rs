//! The optimiser.

use std::ops::Range;

use crate::OptimiserPlan;

/// AdamW (Loshchilov and Hutter, 2019) over values in one vector, with the usual decay rates 0.9 and 0.999 and epsilon
/// 1e-8.
///
/// With gradient g at step t, counted from 1, m = 0.9 m + 0.1 g and v = 0.999 v + 0.001 g^2, and the value x becomes x
/// (1 - rate * decay) - rate * m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8).
#[derive(Debug, Clone)]
pub struct AdamW {
    weight_decay: f64,
    steps: i32,
    means: Vec<f32>,
    squares: Vec<f32>,
}

pub(crate) const MEAN_DECAY: f64 = 0.9;
pub(crate) const SQUARE_DECAY: f64 = 0.999;
pub(crate) const EPSILON: f32 = 1e-8;

impl AdamW {
    /// An optimiser for `count` values, whose `weight_decay` is a share of the learning rate.
    #[must_use]
    pub fn new(count: usize, weight_decay: f64) -> Self {
        Self {
            weight_decay,
            steps: 0,
            means: vec![0.0; count],
            squares: vec![0.0; count],
        }
    }

    /// Makes one step. Neighbouring values may learn at different rates: each of `rates` is a learning rate and the
    /// number of values to which it applies, starting with the first value.
    ///
    /// # Panics
    /// If the number of values, gradients or rates differs from that of this optimiser.
    pub fn step(&mut self, values: &mut [f32], gradients: &[f32], rates: &[(f64, usize)]) {
        let count = self.means.len();
        let rated: usize = rates.iter().map(|(_, count)| count).sum();
        assert_eq!(
            (values.len(), gradients.len(), rated),
            (count, count, count)
        );
        self.steps += 1;
        let mean_scale = (1.0 / (1.0 - MEAN_DECAY.powi(self.steps))) as f32;
        let square_scale = (1.0 / (1.0 - SQUARE_DECAY.powi(self.steps))) as f32;
        let (mean_decay, square_decay) = (MEAN_DECAY as f32, SQUARE_DECAY as f32);
        let (mean_share, square_share) = (1.0 - MEAN_DECAY as f32, 1.0 - SQUARE_DECAY as f32);
        let mut begin = 0;
        for &(rate, count) in rates {
            let range = begin..begin + count;
            begin = range.end;
            let keep = (1.0 - rate * self.weight_decay) as f32;
            let rate = rate as f32;
            let moments = self.means[range.clone()]
                .iter_mut()
                .zip(&mut self.squares[range.clone()]);
            let values = values[range.clone()].iter_mut().zip(&gradients[range]);
            for ((value, &g), (mean, square)) in values.zip(moments) {
                *mean = mean_decay * *mean + mean_share * g;
                *square = square_decay * *square + square_share * g * g;
                let deviation = (*square * square_scale).sqrt() + EPSILON;
                *value = *value * keep - rate * (*mean * mean_scale) / deviation;
            }
        }
    }
}

/// AdamW on gradients that are shortened before, over the values of several models.
#[derive(Debug, Clone)]
pub struct ClippedAdamW {
    plan: OptimiserPlan,
    optimiser: AdamW,
    /// The learning rates of the step.
    rates: Vec<(f64, usize)>,
}

impl ClippedAdamW {
    pub(crate) fn new(plan: OptimiserPlan) -> Self {
        let count = plan.rates.iter().map(|(_, count)| count).sum();
        Self {
            optimiser: AdamW::new(count, plan.weight_decay),
            rates: Vec::with_capacity(plan.rates.len()),
            plan,
        }
    }

    /// Makes one step at `factor` times the highest rates, and returns the norm of each model's gradients.
    pub(crate) fn step(
        &mut self,
        factor: f64,
        values: &mut [f32],
        gradients: &mut [f32],
    ) -> Vec<f64> {
        let Self {
            plan,
            optimiser,
            rates,
        } = self;
        let norms = plan
            .models
            .iter()
            .map(|ranges| clip(plan.clip, ranges, gradients))
            .collect();
        rates.clear();
        rates.extend(
            plan.rates
                .iter()
                .map(|&(rate, count)| (factor * rate, count)),
        );
        optimiser.step(values, gradients, rates);
        norms
    }
}

/// Shortens the gradients in `ranges` together to the norm `clip`, and returns their norm before.
fn clip(clip: f64, ranges: &[Range<usize>], gradients: &mut [f32]) -> f64 {
    let own = ranges.iter().flat_map(|range| &gradients[range.clone()]);
    let squares = own.map(|&g| f64::from(g) * f64::from(g));
    let norm = squares.sum::<f64>().sqrt();
    if norm > clip {
        let factor = (clip / norm) as f32;
        for range in ranges {
            gradients[range.clone()]
                .iter_mut()
                .for_each(|g| *g *= factor);
        }
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corrected moments of a constant gradient g are g and g^2 at every step, so each step moves the value by its
    /// rate.
    #[test]
    fn a_constant_gradient_moves_by_the_rate() {
        let mut optimiser = AdamW::new(3, 0.0);
        let mut values = [1.0, 1.0, 1.0];
        for _ in 0..5 {
            optimiser.step(&mut values, &[0.5, -2.0, 0.5], &[(0.01, 2), (0.1, 1)]);
        }
        for (found, expected) in values.iter().zip([0.95, 1.05, 0.5]) {
            assert!((found - expected).abs() < 1e-5, "{values:?}");
        }
    }

    /// All gradients of a model are one except for a two, so their norm follows from their number. Those of the other
    /// model are short and stay as they are.
    #[test]
    fn the_gradients_of_each_model_are_shortened_together() {
        let mut optimiser = ClippedAdamW::new(OptimiserPlan {
            rates: vec![(0.1, 8)],
            models: vec![vec![0..2, 5..8], vec![2..5]],
            weight_decay: 0.0,
            clip: 1.5,
        });
        let mut gradients = [1.0, 2.0, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0];
        let norms = optimiser.step(1.0, &mut [0.0; 8], &mut gradients);
        let norm = 8.0_f64.sqrt();
        assert!((norms[0] - norm).abs() < 1e-6 && (norms[1] - 0.03_f64.sqrt()).abs() < 1e-6);
        let factor = (1.5 / norm) as f32;
        let expected = [1.0, 2.0, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0];
        for (index, (found, expected)) in gradients.iter().zip(expected).enumerate() {
            let expected = if (2..5).contains(&index) {
                expected
            } else {
                factor * expected
            };
            assert!((found - expected).abs() < 1e-6, "{gradients:?}");
        }
        let norms = optimiser.step(1.0, &mut [0.0; 8], &mut [f32::NAN; 8]);
        assert!(norms.iter().all(|norm| norm.is_nan()));
    }

    /// Without a gradient only the decay is left: (1 - 0.1 * 0.5)^2.
    #[test]
    fn weights_decay() {
        let mut optimiser = AdamW::new(1, 0.5);
        let mut values = [2.0];
        optimiser.step(&mut values, &[0.0], &[(0.1, 1)]);
        optimiser.step(&mut values, &[0.0], &[(0.1, 1)]);
        assert!((values[0] - 2.0 * 0.95 * 0.95).abs() < 1e-6);
    }
}
