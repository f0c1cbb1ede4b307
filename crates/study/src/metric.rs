//! What trials are ranked by.

use adaplace_scorer::Score;
use adaplace_search_space::Fidelity;
use adaplace_strategy::Merit;
use serde::{Deserialize, Serialize};

/// What trials are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Validation accuracy, ties by validation loss.
    Accuracy,
    /// Validation loss, ties by validation accuracy.
    Loss,
    /// Validation accuracy - validation loss / 2, ties by validation loss. On all six tables of sets in `results/sets` one
    /// training ranks placements by it more like the accuracies of their other trainings than by the accuracy itself.
    #[default]
    Combined,
}

/// accuracy - loss / 2, with the loss in nats: larger is better.
///
/// From chance to certainty a classifier of C classes gains 1 - 1/C of accuracy and loses ln C nats: an exchange rate of
/// 0.72 for two classes, 0.54 for four, 0.39 for ten. At 1/2 both count for about as much; the loss, which every example
/// changes a little, steadies the accuracy, which jumps by whole examples.
fn combined(accuracy: f64, loss: f64) -> f64 {
    accuracy - loss / 2.0
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 3] = [Self::Accuracy, Self::Loss, Self::Combined];

    /// The score's merit: larger is better.
    #[must_use]
    pub fn merit(self, fidelity: Fidelity, score: &Score) -> Option<Merit> {
        let tie_break = match self {
            Self::Accuracy | Self::Combined => -score.validation_loss,
            Self::Loss => score.validation_accuracy,
        };
        Merit::new(fidelity, self.signed(self.value(score)), tie_break)
    }

    /// The metric itself, as people read it.
    #[must_use]
    pub fn value(self, score: &Score) -> f64 {
        self.of(score.validation_accuracy, score.validation_loss)
    }

    /// The metric of these two numbers.
    #[must_use]
    pub fn of(self, accuracy: f64, loss: f64) -> f64 {
        match self {
            Self::Accuracy => accuracy,
            Self::Loss => loss,
            Self::Combined => combined(accuracy, loss),
        }
    }

    /// A value of the metric such that larger is better.
    #[must_use]
    pub fn signed(self, value: f64) -> f64 {
        match self {
            Self::Accuracy | Self::Combined => value,
            Self::Loss => -value,
        }
    }

    /// Its name among the options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
            Self::Combined => "combined",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_by_hand() {
        let fidelity = Fidelity::new(3).unwrap();
        let merit = |accuracy, loss| {
            let score = Score {
                train_loss: 0.0,
                validation_loss: loss,
                validation_accuracy: accuracy,
            };
            Metric::Combined.merit(fidelity, &score).unwrap()
        };
        assert_eq!(merit(0.75, 0.5).objective, 0.5);
        // Ten points of accuracy are 0.2 nats.
        assert!(merit(0.75, 0.5) > merit(0.625, 0.375));
        // Equal, and so by loss.
        assert!(merit(0.75, 0.5) > merit(0.875, 0.75));
        assert!(merit(0.75, 0.5) < merit(0.75, 0.25));
    }
}
