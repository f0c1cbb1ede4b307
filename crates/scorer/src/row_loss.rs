//! The loss of one example, in double precision. `adaplace_arithmetic` computes the same losses of whole batches.

use adaplace_arithmetic::{TargetValues, Targets};
use adaplace_task::{Examples, Labels, TokenLabel};

/// The targets of the predictions for the examples at `rows`.
pub(crate) fn targets(examples: &Examples, rows: &[usize]) -> Targets {
    let each = rows.iter();
    let tokens = |tokens: &[Vec<TokenLabel>]| {
        let tokens = rows.iter().flat_map(|&row| &tokens[row]);
        TargetValues::Classes(tokens.map(|one| one.class).collect())
    };
    let values = match &examples.labels {
        Labels::Tags { tags, .. } => tokens(tags),
        Labels::Completions(all) => tokens(all),
        Labels::Classes(labels) => TargetValues::Classes(each.map(|&row| labels[row]).collect()),
        Labels::Numbers { numbers, scale } => {
            let each = each.map(|&row| scale.standardise(numbers[row]) as f32);
            TargetValues::Numbers(each.collect())
        }
        Labels::Sets { classes, sets } => {
            let mut members = vec![0.0; rows.len() * classes];
            for (&row, members) in each.zip(members.chunks_exact_mut((*classes).max(1))) {
                for &class in &sets[row] {
                    members[class as usize] = 1.0;
                }
            }
            TargetValues::Sets {
                classes: *classes,
                members,
            }
        }
    };
    let weights = examples.weights_at(rows);
    Targets { values, weights }
}

/// The loss of the example at `index` with these logits, which are replaced by the loss's gradient with respect to them. The
/// labels are those of single predictions.
pub(crate) fn loss(labels: &Labels, index: usize, logits: &mut [f64]) -> f64 {
    match labels {
        Labels::Classes(labels) => cross_entropy(labels[index] as usize, logits),
        Labels::Numbers { numbers, scale } => {
            let difference = logits[0] - scale.standardise(numbers[index]);
            logits[0] = 2.0 * difference;
            difference * difference
        }
        Labels::Sets { sets, .. } => binary_cross_entropy(&sets[index], logits),
        Labels::Tags { .. } | Labels::Completions(_) => {
            unreachable!("tokens are labelled by their classes")
        }
    }
}

/// The cross-entropy of the softmax of single-precision logits.
pub(crate) fn log_loss(logits: &[f32], label: usize) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shares = logits.iter().map(|&logit| f64::from(logit - largest).exp());
    let sum: f64 = shares.sum();
    sum.ln() + f64::from(largest - logits[label])
}

fn cross_entropy(label: usize, logits: &mut [f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let chosen = logits[label];
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|share| *share /= sum);
    logits[label] -= 1.0;
    largest + sum.ln() - chosen
}

/// The mean over the classes of `max(x, 0) - x y + ln(1 + exp(-|x|))`, with y = 1 for the classes of `set` and 0 for the
/// others.
fn binary_cross_entropy(set: &[u32], logits: &mut [f64]) -> f64 {
    let classes = logits.len() as f64;
    let mut sum = 0.0;
    for logit in logits.iter() {
        sum += logit.max(0.0) + (-logit.abs()).exp().ln_1p();
    }
    for &class in set {
        sum -= logits[class as usize];
    }
    // max(NaN, 0) is 0, but a loss that is not a number stays one.
    if logits.iter().any(|logit| logit.is_nan()) {
        sum = f64::NAN;
    }
    logits
        .iter_mut()
        .for_each(|logit| *logit = 1.0 / (1.0 + (-*logit).exp()) / classes);
    for &class in set {
        logits[class as usize] -= 1.0 / classes;
    }
    sum / classes
}

#[cfg(test)]
mod tests {
    use adaplace_task::Scale;

    use super::*;

    /// The losses of double precision are those of a batch of the arithmetic, weights included.
    #[test]
    fn both_precisions_agree() {
        use adaplace_arithmetic::{Arithmetic, Cpu};
        let scale = Scale {
            mean: 0.0,
            deviation: 1.0,
        };
        let kinds = [
            (Labels::Classes(vec![2, 0]), 3),
            (
                Labels::Numbers {
                    numbers: vec![0.25, -2.0],
                    scale,
                },
                1,
            ),
            (
                Labels::Sets {
                    classes: 3,
                    sets: vec![vec![0, 2], vec![]],
                },
                3,
            ),
        ];
        for (labels, outputs) in kinds {
            let logits = [0.5, -1.5, 2.0, 3.0, 0.25, -0.75];
            let logits = &logits[..2 * outputs];
            // The examples have the classes 2 and 0.
            let weighted = labels.classes().is_some();
            let examples = Examples {
                inputs: adaplace_task::Inputs::Text(adaplace_task::Texts { texts: Vec::new() }),
                labels,
                class_weights: weighted.then(|| vec![3.0, 1.0, 0.5]),
            };
            let cpu = Cpu::default();
            let batch = cpu.targets(targets(&examples, &[1, 0])).unwrap();
            let mut single: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
            let found = cpu.loss(&batch, 1, 0.25, &mut single).unwrap()[0];
            let mut double = logits.to_vec();
            let mut expected = 0.0;
            for (logits, row) in double.chunks_exact_mut(outputs).zip([1, 0]) {
                let weight = if weighted { [0.5, 3.0][row] } else { 1.0 };
                expected += weight * loss(&examples.labels, row, logits);
                logits.iter_mut().for_each(|slope| *slope *= 0.25 * weight);
            }
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
            for (x, y) in single.iter().zip(&double) {
                assert!((f64::from(*x) - y).abs() < 1e-6, "{single:?} {double:?}");
            }
        }
    }

    #[test]
    fn a_set_without_numbers_has_no_loss() {
        let labels = Labels::Sets {
            classes: 2,
            sets: vec![vec![1]],
        };
        assert!(loss(&labels, 0, &mut [f64::NAN, 0.0]).is_nan());
    }
}
