//! The metric that trials are ranked by.

use adaplace_scorer::{Evaluation, Measures, Score};
use adaplace_search_space::Fidelity;
use adaplace_strategy::Merit;
use adaplace_task::ProblemKind;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::StudyError;

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
    /// Validation loss, ties by the headline measure.
    Loss,
    /// Headline measure - validation loss / 2, ties by validation loss. On all six tables in `results/sets`, which are
    /// classifications, a ranking by this metric of one training predicts the accuracies of other trainings better than
    /// a ranking by accuracy.
    #[default]
    Combined,
    /// Mean recall of the classes on the validation part, ties by validation loss.
    BalancedAccuracy,
    /// Mean F1 of the classes, ties by validation loss.
    MacroF1,
    /// Matthews correlation, ties by validation loss.
    Matthews,
    /// Pearson's correlation of predicted numbers and labels, ties by validation loss.
    Pearson,
    /// Spearman's correlation of predicted numbers and labels, ties by validation loss.
    Spearman,
    /// The share of the labels' variance that predicted numbers explain, ties by validation loss.
    R2,
    /// F1 over all examples and classes, ties by validation loss.
    MicroF1,
    /// Mean of the classes' average precision, ties by validation loss.
    MeanAveragePrecision,
    /// The share of the examples whose classes are all right, ties by validation loss.
    ExactMatch,
    /// F1 of the entities that tags mark, ties by validation loss.
    EntityF1,
    /// The share of the predicted entities that are right, ties by validation loss.
    EntityPrecision,
    /// The share of the labelled entities that are predicted, ties by validation loss.
    EntityRecall,
    /// The share of the words with the right tag, or of the tokens of completions that are predicted, ties by validation
    /// loss.
    TokenAccuracy,
    /// exp of the validation loss of a token, ties by token accuracy.
    Perplexity,
}

/// headline - loss / 2: larger is better.
///
/// From chance to certainty a classifier of C classes gains 1 - 1/C of accuracy and loses ln C nats: an exchange rate
/// of 0.72 for two classes, 0.54 for four, 0.39 for ten. At 1/2 both count for about as much; the loss, which depends
/// smoothly on every example, steadies the accuracy, which jumps by whole examples. A regression gains 1 of Pearson's
/// correlation and loses 1, the variance of its labels.
fn combined(headline: f64, loss: f64) -> f64 {
    headline - loss / 2.0
}

impl Metric {
    /// All metrics.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The metrics of a kind of problem.
    #[must_use]
    pub fn of_problem(problem: ProblemKind) -> &'static [Self] {
        use Metric::{
            Accuracy, BalancedAccuracy, Combined, EntityF1, EntityPrecision, EntityRecall,
            ExactMatch, Loss, MacroF1, Matthews, MeanAveragePrecision, MicroF1, Pearson,
            Perplexity, R2, Spearman, TokenAccuracy,
        };
        match problem {
            ProblemKind::Classification => &[
                Accuracy,
                Loss,
                Combined,
                BalancedAccuracy,
                MacroF1,
                Matthews,
            ],
            ProblemKind::Regression => &[Pearson, Loss, Combined, Spearman, R2],
            ProblemKind::MultiLabel => &[
                MicroF1,
                Loss,
                Combined,
                MacroF1,
                MeanAveragePrecision,
                ExactMatch,
            ],
            ProblemKind::TokenClassification => &[
                EntityF1,
                Loss,
                Combined,
                EntityPrecision,
                EntityRecall,
                TokenAccuracy,
                MacroF1,
            ],
            ProblemKind::LanguageModelling => &[TokenAccuracy, Loss, Combined, Perplexity],
        }
    }

    /// Checks that a task of this kind has the metric.
    ///
    /// # Errors
    /// [`StudyError::MetricOfOther`] with those that it has.
    pub fn check(self, problem: ProblemKind) -> Result<(), StudyError> {
        let metric = self;
        match Self::of_problem(problem).contains(&metric) {
            true => Ok(()),
            false => Err(StudyError::MetricOfOther { metric, problem }),
        }
    }

    /// The metric that a reader looks at first: that of [`Measures::headline`].
    #[must_use]
    pub fn headline(problem: ProblemKind) -> Self {
        Self::of_problem(problem)[0]
    }

    /// The metrics that follow from the headline measure and the loss.
    #[must_use]
    pub fn of_two(problem: ProblemKind) -> [Self; 3] {
        [Self::headline(problem), Self::Loss, Self::Combined]
    }

    /// The merit of a score: larger is better.
    #[must_use]
    pub fn merit(self, fidelity: Fidelity, score: &Score) -> Option<Merit> {
        let tie_break = match self {
            Self::Loss | Self::Perplexity => score.measures.headline(),
            _ => -score.validation_loss,
        };
        Merit::new(fidelity, self.signed(self.value(score)), tie_break)
    }

    /// The metric with its usual sign; NaN if the score does not contain it.
    #[must_use]
    pub fn value(self, score: &Score) -> f64 {
        self.of(&score.measures, score.validation_loss)
    }

    /// The metric of an evaluation; NaN if the evaluation does not contain it.
    #[must_use]
    pub fn of_evaluation(self, evaluation: &Evaluation) -> f64 {
        self.of(&evaluation.measures, evaluation.loss)
    }

    /// The metric of these numbers; NaN if they do not determine it.
    #[must_use]
    pub fn of(self, measures: &Measures, loss: f64) -> f64 {
        let found = match (self, measures) {
            (Self::Loss, _) => Some(loss),
            (Self::Combined, _) => Some(combined(measures.headline(), loss)),
            (Self::Accuracy, Measures::Classes { accuracy, .. }) => Some(*accuracy),
            (Self::BalancedAccuracy, Measures::Classes { by_class, .. }) => {
                by_class.map(|of| of.balanced_accuracy)
            }
            (Self::MacroF1, Measures::Classes { by_class, .. }) => by_class.map(|of| of.macro_f1),
            (Self::Matthews, Measures::Classes { by_class, .. }) => by_class.map(|of| of.matthews),
            (Self::Pearson, Measures::Numbers(of)) => Some(of.pearson),
            (Self::Spearman, Measures::Numbers(of)) => Some(of.spearman),
            (Self::R2, Measures::Numbers(of)) => Some(of.r2),
            (Self::MicroF1, Measures::Sets(of)) => Some(of.micro_f1),
            (Self::MacroF1, Measures::Sets(of)) => Some(of.macro_f1),
            (Self::MeanAveragePrecision, Measures::Sets(of)) => Some(of.mean_average_precision),
            (Self::ExactMatch, Measures::Sets(of)) => Some(of.exact_match),
            (Self::EntityF1, Measures::Tags(of)) => Some(of.entity_f1),
            (Self::EntityPrecision, Measures::Tags(of)) => Some(of.entity_precision),
            (Self::EntityRecall, Measures::Tags(of)) => Some(of.entity_recall),
            (Self::TokenAccuracy, Measures::Tags(of)) => Some(of.token_accuracy),
            (Self::MacroF1, Measures::Tags(of)) => Some(of.macro_f1),
            (Self::TokenAccuracy, Measures::Language(of)) => Some(of.token_accuracy),
            (Self::Perplexity, Measures::Language(of)) => Some(of.perplexity),
            _ => None,
        };
        found.unwrap_or(f64::NAN)
    }

    /// Whether it follows from the headline measure and the loss, which every table has.
    #[must_use]
    pub fn is_of_two(self, problem: ProblemKind) -> bool {
        Self::of_two(problem).contains(&self)
    }

    /// Whether it is a share, shown in percent.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(
            self,
            Self::Accuracy
                | Self::BalancedAccuracy
                | Self::MacroF1
                | Self::MicroF1
                | Self::MeanAveragePrecision
                | Self::ExactMatch
                | Self::EntityF1
                | Self::EntityPrecision
                | Self::EntityRecall
                | Self::TokenAccuracy
        )
    }

    /// A value of the metric, with its sign changed if smaller is better.
    #[must_use]
    pub fn signed(self, value: f64) -> f64 {
        match self {
            Self::Loss | Self::Perplexity => -value,
            _ => value,
        }
    }

    /// Its name in prose.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
            Self::Combined => "headline - loss / 2",
            Self::BalancedAccuracy => "balanced accuracy",
            Self::MacroF1 => "macro F1",
            Self::Matthews => "Matthews correlation",
            Self::Pearson => "Pearson correlation",
            Self::Spearman => "Spearman correlation",
            Self::R2 => "R2",
            Self::MicroF1 => "micro F1",
            Self::MeanAveragePrecision => "mean average precision",
            Self::ExactMatch => "exact match",
            Self::EntityF1 => "entity F1",
            Self::EntityPrecision => "entity precision",
            Self::EntityRecall => "entity recall",
            Self::TokenAccuracy => "token accuracy",
            Self::Perplexity => "perplexity",
        }
    }

    /// Its name in prose for a kind of problem, which decides what [`Self::Combined`] combines.
    #[must_use]
    pub fn words_for(self, problem: ProblemKind) -> &'static str {
        match (self, problem) {
            (Self::Combined, ProblemKind::Classification) => "accuracy - loss / 2",
            (Self::Combined, ProblemKind::Regression) => "Pearson correlation - loss / 2",
            (Self::Combined, ProblemKind::MultiLabel) => "micro F1 - loss / 2",
            (Self::Combined, ProblemKind::TokenClassification) => "entity F1 - loss / 2",
            (Self::Combined, ProblemKind::LanguageModelling) => "token accuracy - loss / 2",
            _ => self.words(),
        }
    }

    /// A formatted difference of the metric.
    #[must_use]
    pub fn show_difference(self, difference: f64, problem: ProblemKind) -> String {
        let words = self.words_for(problem);
        match self {
            Self::Accuracy => format!("{:.1} points", 100.0 * difference),
            _ if self.is_share() => format!("{:.1} points of {words}", 100.0 * difference),
            _ => format!("{difference:.3} in {words}"),
        }
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::{ByClass, OfLanguage, OfNumbers, OfSets, OfTags};

    use super::*;

    #[test]
    fn combined_by_hand() {
        let fidelity = Fidelity::of(3);
        let merit = |accuracy, loss| {
            let score = Score {
                train_loss: 0.0,
                validation_loss: loss,
                measures: Measures::of_accuracy(accuracy),
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
        let of = ByClass {
            balanced_accuracy: 0.5,
            macro_f1: 0.25,
            matthews: -0.5,
        };
        let fidelity = Fidelity::of(3);
        for (metric, expected) in [
            (Metric::BalancedAccuracy, 0.5),
            (Metric::MacroF1, 0.25),
            (Metric::Matthews, -0.5),
        ] {
            let merit = |by_class| {
                let accuracy = 0.75;
                let measures = Measures::Classes { accuracy, by_class };
                metric.merit(fidelity, &score(measures))
            };
            assert_eq!(merit(Some(of)).unwrap().objective, expected);
            assert_eq!(merit(None), None);
            assert!(!metric.is_of_two(ProblemKind::Classification));
        }
    }

    fn score(measures: Measures) -> Score {
        Score {
            train_loss: 0.0,
            validation_loss: 0.25,
            measures,
        }
    }

    #[test]
    fn a_metric_of_another_problem_is_refused_with_those_there_are() {
        assert!(Metric::Loss.check(ProblemKind::Regression).is_ok());
        let refused = Metric::Accuracy.check(ProblemKind::Regression).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`accuracy` is not a metric of a regression; choose `pearson`, `loss`, `combined`, `spearman` or `r2`"
        );
    }

    #[test]
    fn every_problem_has_its_metrics() {
        let numbers = Measures::Numbers(OfNumbers {
            pearson: 0.875,
            spearman: 0.75,
            r2: 0.5,
            root_mean_squared_error: 2.0,
        });
        let sets = Measures::Sets(OfSets {
            micro_f1: 0.875,
            macro_f1: 0.75,
            mean_average_precision: 0.5,
            exact_match: 0.125,
        });
        let tags = Measures::Tags(OfTags {
            entity_f1: 0.6,
            entity_precision: 0.75,
            entity_recall: 0.5,
            token_accuracy: 0.875,
            macro_f1: 0.625,
        });
        let language = Measures::Language(OfLanguage {
            token_accuracy: 0.5,
            perplexity: 8.0,
        });
        let of = |measures: Measures| -> Vec<f64> {
            let metrics = Metric::of_problem(measures.problem());
            metrics
                .iter()
                .map(|metric| metric.value(&score(measures)))
                .collect()
        };
        assert_eq!(of(numbers), [0.875, 0.25, 0.75, 0.75, 0.5]);
        assert_eq!(of(sets), [0.875, 0.25, 0.75, 0.75, 0.5, 0.125]);
        assert_eq!(of(tags), [0.6, 0.25, 0.475, 0.75, 0.5, 0.875, 0.625]);
        assert_eq!(of(language), [0.5, 0.25, 0.375, 8.0]);
        let smaller = |perplexity| {
            let token_accuracy = 0.5;
            Measures::Language(OfLanguage {
                token_accuracy,
                perplexity,
            })
        };
        let merit =
            |perplexity| Metric::Perplexity.merit(Fidelity::of(3), &score(smaller(perplexity)));
        assert!(merit(4.0) > merit(8.0));
        assert!(Metric::Accuracy.value(&score(numbers)).is_nan());
        for &problem in ProblemKind::ALL {
            let headline = Metric::headline(problem);
            assert!(
                Metric::of_two(problem)
                    .iter()
                    .all(|one| one.is_of_two(problem))
            );
            assert_eq!(headline.words_for(problem), headline.words());
        }
    }
}
