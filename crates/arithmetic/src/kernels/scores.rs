//! What happens to the scores of an attention, row by row.

use super::activation::exponential;
use super::instruction_set::InstructionSet;
use super::rows::{maximum, sum, sum_pairs};

/// Replaces scores s by c tanh(s / c) for the bound c.
pub(super) fn cap(set: InstructionSet, bound: f32, scores: &mut [f32]) {
    let inverse = 1.0 / bound;
    set.run(
        #[inline(always)]
        || {
            for score in scores {
                // tanh(x) = 1 - 2 / (1 + exp(2 x))
                let share = 2.0 / (1.0 + exponential(2.0 * *score * inverse));
                *score = bound - bound * share;
            }
        },
    );
}

/// Replaces the gradient with respect to c tanh(s / c) by the one with respect to s.
pub(super) fn cap_backward(set: InstructionSet, bound: f32, capped: &[f32], gradient: &mut [f32]) {
    let inverse = 1.0 / bound;
    set.run(
        #[inline(always)]
        || {
            for (g, &capped) in gradient.iter_mut().zip(capped) {
                let share = capped * inverse;
                *g *= 1.0 - share * share;
            }
        },
    );
}

/// Computes scores = softmax(scores).
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32]) {
    let largest = maximum(scores);
    for score in scores.iter_mut() {
        *score = exponential(*score - largest);
    }
    let factor = 1.0 / sum(scores);
    for score in scores.iter_mut() {
        *score *= factor;
    }
}

/// Computes gradient = P * (gradient - sum(gradient * P)), in place.
#[inline(always)]
pub(super) fn softmax_backward(gradient: &mut [f32], weights: &[f32]) {
    let projection = sum_pairs(
        gradient,
        weights,
        #[inline(always)]
        |g, p| g * p,
    );
    for (g, &p) in gradient.iter_mut().zip(weights) {
        *g = p * (*g - projection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_logarithms_gives_their_shares() {
        let mut scores = [1.0_f32.ln(), 3.0_f32.ln(), 4.0_f32.ln()];
        softmax(&mut scores);
        for (share, expected) in scores.iter().zip([0.125, 0.375, 0.5]) {
            assert!((share - expected).abs() < 1e-6, "{scores:?}");
        }
    }

    /// c tanh(s / c) with the bound 2, and its slope 1 - tanh^2.
    #[test]
    fn bounded_scores_by_hand() {
        let scores = [0.0_f32, 1.0, -3.0, 40.0];
        for set in InstructionSet::available() {
            let mut bounded = scores;
            cap(set, 2.0, &mut bounded);
            let mut slopes = [1.0; 4];
            cap_backward(set, 2.0, &bounded, &mut slopes);
            for ((score, found), slope) in scores.iter().zip(bounded).zip(slopes) {
                let tanh = (f64::from(*score) / 2.0).tanh();
                assert!((f64::from(found) - 2.0 * tanh).abs() < 1e-6, "{bounded:?}");
                assert!((f64::from(slope) - (1.0 - tanh * tanh)).abs() < 1e-6);
            }
        }
    }
}
