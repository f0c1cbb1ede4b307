//! The losses of logits and their gradients.

use crate::{TargetValues, Targets};

/// The sum of the losses of all examples, each times its weight. `logits` are replaced by the gradient of `factor` times
/// this sum.
pub(crate) fn loss(targets: &Targets, factor: f32, logits: &mut [f32]) -> f64 {
    let outputs = (logits.len() / targets.len().max(1)).max(1);
    let mut sum = 0.0;
    for (example, logits) in logits.chunks_exact_mut(outputs).enumerate() {
        let weight = match &targets.weights {
            Some(weights) => f64::from(weights[example]),
            None => 1.0,
        };
        let factor = weight * f64::from(factor);
        sum += weight
            * match &targets.values {
                TargetValues::Classes(labels) => {
                    cross_entropy(labels[example] as usize, factor, logits)
                }
                TargetValues::Numbers(numbers) => {
                    squared_error(numbers[example], factor, &mut logits[0])
                }
                TargetValues::Sets { members, .. } => {
                    let members = &members[example * outputs..][..outputs];
                    binary_cross_entropy(members, factor, logits)
                }
            };
    }
    sum
}

fn cross_entropy(label: usize, factor: f64, logits: &mut [f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let chosen = f64::from(logits[label]);
    let shares = logits.iter().map(|&logit| f64::from(logit - largest).exp());
    let sum: f64 = shares.sum();
    for (class, logit) in logits.iter_mut().enumerate() {
        let share = f64::from(*logit - largest).exp() / sum;
        let slope = share - f64::from(u8::from(class == label));
        *logit = (slope * factor) as f32;
    }
    f64::from(largest) + sum.ln() - chosen
}

fn squared_error(number: f32, factor: f64, logit: &mut f32) -> f64 {
    let difference = f64::from(*logit) - f64::from(number);
    *logit = (2.0 * difference * factor) as f32;
    difference * difference
}

/// With y 0 or 1 the loss of a logit x is `max(x, 0) - x y + ln(1 + exp(-|x|))`, and its slope is `sigmoid(x) - y`.
fn binary_cross_entropy(members: &[f32], factor: f64, logits: &mut [f32]) -> f64 {
    let classes = logits.len() as f64;
    let mut sum = 0.0;
    for (logit, &member) in logits.iter_mut().zip(members) {
        let (x, y) = (f64::from(*logit), f64::from(member));
        sum += x.max(0.0) - x * y + (-x.abs()).exp().ln_1p();
        let slope = 1.0 / (1.0 + (-x).exp()) - y;
        *logit = (slope * factor / classes) as f32;
    }
    sum / classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: TargetValues, factor: f32, logits: &mut [f32]) -> f64 {
        loss(&values.into(), factor, logits)
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (x, y) in found.iter().zip(expected) {
            assert!((x - y).abs() < 1e-6, "{found:?} is not {expected:?}");
        }
    }

    /// The shares are 1/4 and 3/4, and the gradient is the shares minus one at the label.
    #[test]
    fn cross_entropy_by_hand() {
        let mut logits = [0.0, 3.0_f32.ln(), 1.0, 1.0];
        let loss = of(TargetValues::Classes(vec![1, 0]), 2.0, &mut logits);
        assert!((loss - (4.0_f64 / 3.0).ln() - 2.0_f64.ln()).abs() < 1e-7);
        assert_close(&logits, &[0.5, -0.5, -1.0, 1.0]);
    }

    #[test]
    fn squares_by_hand() {
        let mut logits = [1.5, -2.0];
        let loss = of(TargetValues::Numbers(vec![1.0, 1.0]), 0.5, &mut logits);
        assert_eq!((loss, logits), (9.25, [0.5, -3.0]));
    }

    /// The logistic function of ln 3 is 3/4. The last logit is so large that its exponential is not finite.
    #[test]
    fn binary_cross_entropy_by_hand() {
        let members = vec![1.0, 0.0, 0.0, 1.0];
        let mut logits = [3.0_f32.ln(), 3.0_f32.ln(), 0.0, -1000.0];
        let targets = TargetValues::Sets {
            classes: 2,
            members,
        };
        let loss = of(targets, 2.0, &mut logits);
        let first = f64::midpoint((4.0_f64 / 3.0).ln(), 4.0_f64.ln());
        let expected = first + f64::midpoint(2.0_f64.ln(), 1000.0);
        assert!((loss - expected).abs() < 1e-6, "{loss} is not {expected}");
        assert_close(&logits, &[-0.25, 0.75, 0.5, -1.0]);
    }

    #[test]
    fn a_weight_counts_like_copies() {
        let targets = Targets {
            values: TargetValues::Classes(vec![1, 0]),
            weights: Some(vec![3.0, 0.5]),
        };
        assert_eq!((targets.len(), targets.total()), (2, 3.5));
        let logits = [0.25, -1.0, 2.0, 0.5];
        let mut weighted = logits;
        let found = loss(&targets, 2.0, &mut weighted);
        let (mut first, mut second) = ([0.25, -1.0], [2.0, 0.5]);
        let first_loss = of(TargetValues::Classes(vec![1]), 6.0, &mut first);
        let second_loss = of(TargetValues::Classes(vec![0]), 1.0, &mut second);
        assert!((found - 3.0 * first_loss - 0.5 * second_loss).abs() < 1e-12);
        assert_close(&weighted, &[first, second].concat());
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        let kinds = [
            TargetValues::Classes(vec![0]),
            TargetValues::Sets {
                classes: 2,
                members: vec![0.0, 1.0],
            },
        ];
        for targets in kinds {
            let mut logits = [f32::NAN, f32::NAN];
            assert!(of(targets, 1.0, &mut logits).is_nan());
            assert!(logits.iter().all(|g| g.is_nan()));
        }
        let mut logits = [f32::NAN];
        assert!(of(TargetValues::Numbers(vec![0.0]), 1.0, &mut logits).is_nan());
        assert!(logits[0].is_nan());
    }
}
