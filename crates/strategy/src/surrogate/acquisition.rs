//! The expected improvement of a trial on the best one.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// The expected improvement `E max(0, f - best)` for `f` normal with this mean and standard deviation:
/// `d (z Phi(z) + phi(z))` with `z = (mean - best) / d` (Jones, Schonlau and Welch 1998).
pub(crate) fn expected_improvement(mean: f64, deviation: f64, best: f64) -> f64 {
    let gain = mean - best;
    if deviation <= 0.0 {
        return gain.max(0.0);
    }
    let z = gain / deviation;
    let density = (-0.5 * z * z).exp() / TAU.sqrt();
    let below = 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
    (deviation * (z * below + density)).max(0.0)
}

/// Merit and costs combined into one number to be minimised, with weights that sum to 1: the augmented Tchebycheff
/// function
///
/// `max_i(w_i t_i) + 0.05 sum_i(w_i t_i)`
///
/// where `t_0 = (ideal - f) / width` is what the merit f lacks and the other `t_i` are the costs, each as a share of
/// its range (Knowles 2006, ParEGO). The costs are known; only f is uncertain.
#[derive(Clone, Debug)]
pub(crate) struct Tchebycheff {
    /// The weight w_0 of the merit, which is positive.
    weight: f64,
    ideal: f64,
    width: f64,
    /// The weights of the costs.
    weights: Vec<f64>,
}

impl Tchebycheff {
    const AUGMENTATION: f64 = 0.05;

    /// A function whose `weights` start with the one of the merit. `ideal` is the best merit and `width` the range of
    /// merits.
    pub(crate) fn new(weights: &[f64], ideal: f64, width: f64) -> Self {
        let (weight, costs) = weights.split_first().unwrap_or((&1.0, &[]));
        Tchebycheff {
            weight: weight.max(f64::EPSILON),
            ideal,
            width,
            weights: costs.to_vec(),
        }
    }

    /// The value at merit `f`, where `costs` are the shares t_1, t_2 and so on.
    pub(crate) fn at(&self, f: f64, costs: &[f64]) -> f64 {
        let (largest, sum) = self.of_costs(costs);
        let missing = self.weight * (self.ideal - f) / self.width;
        missing.max(largest) + Self::AUGMENTATION * (missing + sum)
    }

    /// The amount by which the value is expected to fall below `least` if f is normal.
    ///
    /// As a function of f, the fall is made up of two straight lines, the steeper one first, so it is a difference of
    /// two expected improvements.
    pub(crate) fn expected_improvement(
        &self,
        (mean, deviation): (f64, f64),
        costs: &[f64],
        least: f64,
    ) -> f64 {
        let (largest, sum) = self.of_costs(costs);
        let slope = self.weight / self.width;
        let steep = (1.0 + Self::AUGMENTATION) * slope;
        let flat = Self::AUGMENTATION * slope;
        // Here the merit lacks as much as the largest cost.
        let bend = self.ideal - largest / slope;
        let fall_at_bend = least - largest - Self::AUGMENTATION * (largest + sum);
        let beyond = |f: f64| expected_improvement(mean, deviation, f);
        let fall = if fall_at_bend >= 0.0 {
            steep * beyond(bend - fall_at_bend / steep) - slope * beyond(bend)
        } else {
            flat * beyond(bend - fall_at_bend / flat)
        };
        fall.max(0.0)
    }

    /// The largest weighted cost (minus infinity if there are none) and the sum of the weighted costs.
    fn of_costs(&self, costs: &[f64]) -> (f64, f64) {
        let weighted = self.weights.iter().zip(costs).map(|(w, t)| w * t);
        let largest = weighted.clone().max_by(f64::total_cmp);
        (largest.unwrap_or(f64::NEG_INFINITY), weighted.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation of `gain` for a normal variable, by the trapezoidal rule over eight deviations on either side.
    fn integral(mean: f64, deviation: f64, gain: impl Fn(f64) -> f64) -> f64 {
        let steps = 200_000;
        let width = 16.0 / f64::from(steps);
        let term = |step: i32| {
            let z = -8.0 + width * f64::from(step);
            width * (-0.5 * z * z).exp() / TAU.sqrt() * gain(mean + deviation * z)
        };
        (0..=steps).map(term).sum()
    }

    #[test]
    fn expected_improvement_is_the_integral() {
        for (mean, deviation, best) in [
            (0.3, 0.5, 0.2),
            (-1.0, 0.4, 0.1),
            (2.0, 0.1, 1.0),
            (0.0, 3.0, 0.0),
        ] {
            let expected = integral(mean, deviation, |f| (f - best).max(0.0));
            let found = expected_improvement(mean, deviation, best);
            assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        }
        assert_eq!(expected_improvement(1.5, 0.0, 1.0), 0.5);
        assert_eq!(expected_improvement(0.5, 0.0, 1.0), 0.0);
        // Far below the best it is small, but never negative.
        assert!(expected_improvement(-30.0, 1.0, 0.0) >= 0.0);
    }

    #[test]
    fn improvement_with_costs_is_the_integral() {
        let scalar = Tchebycheff::new(&[0.5, 0.3, 0.2], 0.9, 0.4);
        for costs in [[0.1, 0.2], [0.9, 0.4], [0.0, 0.0], [-0.1, 1.2]] {
            for (mean, deviation) in [(0.8, 0.1), (0.95, 0.05), (0.5, 0.3)] {
                for least in [0.05, 0.2, 0.5] {
                    let expected =
                        integral(mean, deviation, |f| (least - scalar.at(f, &costs)).max(0.0));
                    let found = scalar.expected_improvement((mean, deviation), &costs, least);
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
        }
    }
}
