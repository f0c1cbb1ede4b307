//! Metrics in which large classes do not outweigh small ones.

use serde::{Deserialize, Serialize};

/// Metrics that count every class, computed from predictions and labels as in scikit-learn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByClass {
    /// The mean recall over the classes that occur among the labels, between 0 and 1. Chance is 1 / classes.
    pub balanced_accuracy: f64,
    /// The mean of 2 tp / (2 tp + fp + fn) over the classes that occur among labels or predictions, between 0 and 1.
    pub macro_f1: f64,
    /// The Matthews correlation (Gorodkin 2004, for several classes), between -1 and 1. It is 0 for guessing and for a
    /// single class.
    pub matthews: f64,
}

impl ByClass {
    /// Counts pairs of label and prediction, both below `classes`. A prediction of `None` is always wrong.
    pub(crate) fn of(classes: usize, pairs: impl Iterator<Item = (usize, Option<usize>)>) -> Self {
        let mut labelled = vec![0_u64; classes];
        let mut predicted = vec![0_u64; classes];
        let mut right = vec![0_u64; classes];
        for (label, prediction) in pairs {
            labelled[label] += 1;
            if let Some(prediction) = prediction {
                predicted[prediction] += 1;
                right[label] += u64::from(prediction == label);
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let recalls: Vec<f64> = (0..classes)
            .filter(|&class| labelled[class] > 0)
            .map(|class| right[class] as f64 / labelled[class] as f64)
            .collect();
        let f1: Vec<f64> = (0..classes)
            .map(|class| (right[class], labelled[class] + predicted[class]))
            .filter(|&(_, both)| both > 0)
            .map(|(right, both)| 2.0 * right as f64 / both as f64)
            .collect();
        Self {
            balanced_accuracy: mean(&recalls),
            macro_f1: mean(&f1),
            matthews: matthews(&labelled, &predicted, right.iter().sum()),
        }
    }
}

/// The Matthews correlation (c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2)) for s examples, c of them right,
/// where p and t are the numbers of predictions and labels of each class.
fn matthews(labelled: &[u64], predicted: &[u64], right: u64) -> f64 {
    let examples = labelled.iter().sum::<u64>() as f64;
    let product = |a: &[u64], b: &[u64]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| a as f64 * b as f64).sum()
    };
    let covariance = right as f64 * examples - product(labelled, predicted);
    let spread = |counts: &[u64]| examples * examples - product(counts, counts);
    let scale = (spread(labelled) * spread(predicted)).sqrt();
    match scale > 0.0 {
        true => covariance / scale,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(classes: usize, labels: &[usize], predictions: &[usize]) -> ByClass {
        let predictions = predictions.iter().copied().map(Some);
        ByClass::of(classes, labels.iter().copied().zip(predictions))
    }

    fn assert_close(found: ByClass, balanced_accuracy: f64, macro_f1: f64, matthews: f64) {
        let pairs = [
            (found.balanced_accuracy, balanced_accuracy),
            (found.macro_f1, macro_f1),
            (found.matthews, matthews),
        ];
        for (found, expected) in pairs {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    /// Two classes with tp 2, fn 1, fp 1 and tn 4: the recalls are 2/3 and 4/5, F1 is 4/6 and 8/10, and Matthews is
    /// (2*4 - 1*1) / sqrt(3*3*5*5).
    #[test]
    fn two_classes_by_hand() {
        let found = of(2, &[1, 1, 1, 0, 0, 0, 0, 0], &[1, 1, 0, 0, 0, 0, 0, 1]);
        let mean = |a: f64, b: f64| f64::midpoint(a, b);
        assert_close(
            found,
            mean(2.0 / 3.0, 0.8),
            mean(4.0 / 6.0, 0.8),
            7.0 / 15.0,
        );
    }

    /// All predictions are the majority class, as from a model that learned nothing on CoLA: the balanced accuracy is
    /// one half and there is no correlation. A class that occurs in neither labels nor predictions does not count.
    #[test]
    fn the_majority_class_alone_is_worth_nothing() {
        let found = of(3, &[0, 0, 0, 1], &[0, 0, 0, 0]);
        assert_close(found, 0.5, f64::midpoint(6.0 / 7.0, 0.0), 0.0);
    }

    /// scikit-learn 1.9 computes 0.6111, 0.6111 and 0.4286 for these.
    #[test]
    fn three_classes_by_hand() {
        let found = of(3, &[0, 0, 1, 1, 2, 2, 2, 0], &[0, 1, 1, 2, 2, 2, 0, 0]);
        // The recalls are 2/3, 1/2, 2/3, and F1 is 2 right / (3 labelled + 3 predicted), 1 / (2 + 2), 2 / (3 + 3).
        let recalls = (2.0 / 3.0 + 0.5 + 2.0 / 3.0) / 3.0;
        // With s = 8 and c = 5 this is (40 - (9 + 4 + 9)) / (64 - 22).
        assert_close(found, recalls, recalls, 18.0 / 42.0);
    }

    #[test]
    fn what_is_no_number_is_wrong() {
        let pairs = [(0, None), (0, Some(0)), (1, Some(1))];
        let found = ByClass::of(2, pairs.into_iter());
        assert_close(found, 0.75, f64::midpoint(2.0 / 3.0, 1.0), {
            // With s = 3, c = 2, labels 2 and 1, and predictions 1 and 1 this is (6 - 3) / sqrt((9 - 2) (9 - 5)).
            3.0 / 28.0_f64.sqrt()
        });
    }
}
