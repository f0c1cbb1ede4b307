//! The metric that trials are ranked by.

use adaplace_scorer::{ByClass, Evaluation, Score};
use adaplace_search_space::Fidelity;
use adaplace_strategy::Merit;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// The metric that trials are ranked by.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Validation accuracy, ties by validation loss.
    Accuracy,
    /// Validation loss, ties by validation accuracy.
    Loss,
    /// Validation accuracy - validation loss / 2, ties by validation loss. On all six tables in `results/sets`, a
    /// ranking by this metric of one training predicts the accuracies of other trainings better than a ranking by
    /// accuracy.
    #[default]
    Combined,
    /// Mean recall of the classes on the validation part, ties by validation loss.
    BalancedAccuracy,
    /// Mean F1 of the classes, ties by validation loss.
    MacroF1,
    /// Matthews correlation, ties by validation loss.
    Matthews,
}

/// accuracy - loss / 2, with the loss in nats: larger is better.
///
/// From chance to certainty a classifier of C classes gains 1 - 1/C of accuracy and loses ln C nats: an exchange rate
/// of 0.72 for two classes, 0.54 for four, 0.39 for ten. At 1/2 both count for about as much; the loss, which depends
/// smoothly on every example, steadies the accuracy, which jumps by whole examples.
fn combined(accuracy: f64, loss: f64) -> f64 {
    accuracy - loss / 2.0
}

impl Metric {
    /// All metrics.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The metrics that follow from accuracy and loss.
    pub const OF_TWO: [Self; 3] = [Self::Accuracy, Self::Loss, Self::Combined];

    /// The merit of a score: larger is better.
    #[must_use]
    pub fn merit(self, fidelity: Fidelity, score: &Score) -> Option<Merit> {
        let tie_break = match self {
            Self::Loss => score.validation_accuracy,
            _ => -score.validation_loss,
        };
        Merit::new(fidelity, self.signed(self.value(score)), tie_break)
    }

    /// The metric with its usual sign; NaN if the score does not contain it.
    #[must_use]
    pub fn value(self, score: &Score) -> f64 {
        self.of(
            score.validation_accuracy,
            score.validation_loss,
            score.by_class,
        )
    }

    /// The metric of an evaluation; NaN if the evaluation does not contain it.
    #[must_use]
    pub fn of_evaluation(self, evaluation: &Evaluation) -> f64 {
        self.of(evaluation.accuracy, evaluation.loss, evaluation.by_class)
    }

    /// The metric of these numbers; NaN if they do not determine it.
    #[must_use]
    pub fn of(self, accuracy: f64, loss: f64, by_class: Option<ByClass>) -> f64 {
        let of_classes = |value: fn(ByClass) -> f64| by_class.map_or(f64::NAN, value);
        match self {
            Self::Accuracy => accuracy,
            Self::Loss => loss,
            Self::Combined => combined(accuracy, loss),
            Self::BalancedAccuracy => of_classes(|all| all.balanced_accuracy),
            Self::MacroF1 => of_classes(|all| all.macro_f1),
            Self::Matthews => of_classes(|all| all.matthews),
        }
    }

    /// Whether it follows from accuracy and loss.
    #[must_use]
    pub fn is_of_two(self) -> bool {
        Self::OF_TWO.contains(&self)
    }

    /// Whether it is a share, shown in percent.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(
            self,
            Self::Accuracy | Self::BalancedAccuracy | Self::MacroF1
        )
    }

    /// A value of the metric, with its sign changed if smaller is better.
    #[must_use]
    pub fn signed(self, value: f64) -> f64 {
        match self {
            Self::Loss => -value,
            _ => value,
        }
    }

    /// Its name in prose.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
            Self::Combined => "accuracy - loss / 2",
            Self::BalancedAccuracy => "balanced accuracy",
            Self::MacroF1 => "macro F1",
            Self::Matthews => "Matthews correlation",
        }
    }

    /// A formatted difference of the metric.
    #[must_use]
    pub fn show_difference(self, difference: f64) -> String {
        match self {
            Self::Accuracy => format!("{:.1} points", 100.0 * difference),
            _ if self.is_share() => format!("{:.1} points of {}", 100.0 * difference, self.words()),
            _ => format!("{difference:.3} in {}", self.words()),
        }
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
            Self::Combined => "combined",
            Self::BalancedAccuracy => "balanced-accuracy",
            Self::MacroF1 => "macro-f1",
            Self::Matthews => "matthews",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_by_hand() {
        let fidelity = Fidelity::of(3);
        let merit = |accuracy, loss| {
            let score = Score {
                train_loss: 0.0,
                validation_loss: loss,
                validation_accuracy: accuracy,
                by_class: None,
            };
            Metric::Combined.merit(fidelity, &score).unwrap()
        };
        assert_eq!(merit(0.75, 0.5).objective, 0.5);
        // Ten points of accuracy are 0.2 nats.
        assert!(merit(0.75, 0.5) > merit(0.625, 0.375));
        // A tie, broken by the loss.
        assert!(merit(0.75, 0.5) > merit(0.875, 0.75));
        assert!(merit(0.75, 0.5) < merit(0.75, 0.25));
    }

    /// A score without a metric cannot be ranked by it.
    #[test]
    fn metrics_of_classes() {
        let by_class = ByClass {
            balanced_accuracy: 0.5,
            macro_f1: 0.25,
            matthews: -0.5,
        };
        let score = |by_class| Score {
            train_loss: 0.0,
            validation_loss: 1.0,
            validation_accuracy: 0.75,
            by_class,
        };
        let fidelity = Fidelity::of(3);
        for (metric, expected) in [
            (Metric::BalancedAccuracy, 0.5),
            (Metric::MacroF1, 0.25),
            (Metric::Matthews, -0.5),
        ] {
            let merit = metric.merit(fidelity, &score(Some(by_class))).unwrap();
            assert_eq!(merit.objective, expected);
            assert_eq!(metric.merit(fidelity, &score(None)), None);
            assert!(!metric.is_of_two());
        }
    }
}
