//! How reliable a single training of a study is, and what improves it.

use adaplace_analysis::reliability;
use adaplace_scorer::Score;
use adaplace_task::ProblemKind;
use serde::{Deserialize, Serialize};

use crate::{Metric, TrialResult};

/// The fewest degrees of freedom of a deviation. With three its relative standard error is 0.4.
const FEWEST_DEGREES: usize = 3;

/// Below this, single trainings order the best placements mostly by chance.
const LOW_AGREEMENT: f64 = 0.7;

/// How much better two trainings must agree in another metric for it to be advised.
const CLEAR_GAIN: f64 = 0.1;

/// How reliable a single training of a study is, measured by repeated trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// In validation accuracy; none if all trials are equal.
    pub accuracy: Option<Repeatability>,
    /// In validation loss.
    pub loss: Option<Repeatability>,
    /// In [`Metric::Combined`].
    pub combined: Option<Repeatability>,
    /// In mean recall of the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balanced_accuracy: Option<Repeatability>,
    /// In mean F1 of the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<Repeatability>,
    /// In Matthews correlation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matthews: Option<Repeatability>,
    /// The repeatability of Pearson's correlation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pearson: Option<Repeatability>,
    /// The repeatability of Spearman's correlation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spearman: Option<Repeatability>,
    /// The repeatability of the share of the labels' variance that is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r2: Option<Repeatability>,
    /// The repeatability of F1 over all examples and classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_f1: Option<Repeatability>,
    /// The repeatability of the mean average precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_average_precision: Option<Repeatability>,
    /// The repeatability of the share of exact matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_match: Option<Repeatability>,
    /// The repeatability of F1 of entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_f1: Option<Repeatability>,
    /// The repeatability of the precision of entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_precision: Option<Repeatability>,
    /// The repeatability of the recall of entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_recall: Option<Repeatability>,
    /// The repeatability of the accuracy of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_accuracy: Option<Repeatability>,
    /// The repeatability of the perplexity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<Repeatability>,
    /// Standard error of an accuracy that comes from the number of validation examples alone: sqrt(p (1 - p) / n), with
    /// p the mean accuracy of the trials. It is 0 if they have no accuracy.
    pub sampling_error: f64,
}

/// How reliable a single training is in one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeatability {
    /// The expected correlation between two trainings of the placements tried: 1 - (variance between trainings of the
    /// same placement) / (variance of the trials of complete placements with all their steps), 0 to 1.
    pub agreement: f64,
    /// Standard deviation between trainings of the same placement, without the effect that an order of the examples has
    /// on all.
    pub deviation: f64,
    /// Differences between two trainings below this mean nothing: 2 sqrt(2) times the deviation.
    pub least_difference: f64,
    /// Degrees of freedom of the deviation.
    pub degrees: usize,
}

/// What helps where single trainings are unreliable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// More validation examples: the small validation part explains the deviation.
    MoreValidationExamples,
    /// Longer trainings.
    MoreSteps,
    /// Another metric, in which two trainings agree clearly better.
    OtherMetric(Metric),
}

impl Noise {
    /// Estimates the noise from `trials`, which share one order of the examples, and from tables of repeated trainings:
    /// a row for each placement, a column for each order. None with too few repetitions.
    pub(crate) fn of(
        trials: &[&Score],
        tables: &[Vec<Vec<TrialResult>>],
        validation_examples: usize,
    ) -> Option<Self> {
        let in_metric = |metric: Metric| {
            let single: Vec<f64> = trials.iter().map(|score| metric.value(score)).collect();
            let tables: Vec<Vec<Vec<f64>>> =
                tables.iter().map(|table| values(metric, table)).collect();
            if single.iter().any(|value| value.is_nan()) {
                return None;
            }
            let found = reliability(&single, &tables)?;
            (found.degrees >= FEWEST_DEGREES).then(|| Repeatability {
                agreement: found.agreement,
                deviation: found.deviation,
                least_difference: found.least_difference(),
                degrees: found.degrees,
            })
        };
        let accuracies = trials
            .iter()
            .map(|score| score.measures.accuracy().unwrap_or(0.0));
        let mean = accuracies.sum::<f64>() / trials.len() as f64;
        let variance = (mean * (1.0 - mean)).max(0.0) / validation_examples.max(1) as f64;
        let noise = Self {
            accuracy: in_metric(Metric::Accuracy),
            loss: in_metric(Metric::Loss),
            combined: in_metric(Metric::Combined),
            balanced_accuracy: in_metric(Metric::BalancedAccuracy),
            macro_f1: in_metric(Metric::MacroF1),
            matthews: in_metric(Metric::Matthews),
            pearson: in_metric(Metric::Pearson),
            spearman: in_metric(Metric::Spearman),
            r2: in_metric(Metric::R2),
            micro_f1: in_metric(Metric::MicroF1),
            mean_average_precision: in_metric(Metric::MeanAveragePrecision),
            exact_match: in_metric(Metric::ExactMatch),
            entity_f1: in_metric(Metric::EntityF1),
            entity_precision: in_metric(Metric::EntityPrecision),
            entity_recall: in_metric(Metric::EntityRecall),
            token_accuracy: in_metric(Metric::TokenAccuracy),
            perplexity: in_metric(Metric::Perplexity),
            sampling_error: variance.sqrt(),
        };
        Metric::ALL
            .iter()
            .any(|&metric| noise.of_metric(metric).is_some())
            .then_some(noise)
    }

    /// The repeatability in this metric.
    #[must_use]
    pub fn of_metric(&self, metric: Metric) -> Option<Repeatability> {
        match metric {
            Metric::Accuracy => self.accuracy,
            Metric::Loss => self.loss,
            Metric::Combined => self.combined,
            Metric::BalancedAccuracy => self.balanced_accuracy,
            Metric::MacroF1 => self.macro_f1,
            Metric::Matthews => self.matthews,
            Metric::Pearson => self.pearson,
            Metric::Spearman => self.spearman,
            Metric::R2 => self.r2,
            Metric::MicroF1 => self.micro_f1,
            Metric::MeanAveragePrecision => self.mean_average_precision,
            Metric::ExactMatch => self.exact_match,
            Metric::EntityF1 => self.entity_f1,
            Metric::EntityPrecision => self.entity_precision,
            Metric::EntityRecall => self.entity_recall,
            Metric::TokenAccuracy => self.token_accuracy,
            Metric::Perplexity => self.perplexity,
        }
    }

    /// What helps a study that ranks by `metric`; empty if two trainings agree well.
    ///
    /// Accuracies of the same placement differ by chance in the validation examples that it is unsure of. If they
    /// differ by much more than the size of the validation part explains, more examples do not help.
    #[must_use]
    pub fn advice(&self, metric: Metric) -> Vec<Advice> {
        let Some(own) = self.of_metric(metric) else {
            return Vec::new();
        };
        if own.agreement >= LOW_AGREEMENT {
            return Vec::new();
        }
        let mut advice = Vec::new();
        let explained = self
            .accuracy
            .is_some_and(|accuracy| accuracy.deviation <= 1.5 * self.sampling_error);
        if explained {
            advice.push(Advice::MoreValidationExamples);
        }
        advice.push(Advice::MoreSteps);
        let of_two = |metric: Metric| {
            let mut problems = ProblemKind::ALL.iter();
            problems.any(|&problem| metric.is_of_two(problem))
        };
        let of_two = Metric::ALL.iter().filter(|&&metric| of_two(metric));
        let others = of_two.filter_map(|&other| {
            let agreement = self.of_metric(other)?.agreement;
            (agreement >= own.agreement + CLEAR_GAIN).then_some((other, agreement))
        });
        let best = others.max_by(|(_, a), (_, b)| a.total_cmp(b));
        advice.extend(best.map(|(other, _)| Advice::OtherMetric(other)));
        advice
    }

    /// A sentence or two about the noise of `metric`; none if it was not measured.
    #[must_use]
    pub fn describe(&self, metric: Metric, problem: ProblemKind) -> Option<String> {
        let own = self.of_metric(metric)?;
        let least = metric.show_difference(own.least_difference, problem);
        let mut text = format!(
            "Two trainings of the same placement agree at {:.2}: differences below {least} mean nothing.",
            own.agreement
        );
        let advice = self.advice(metric);
        if !advice.is_empty() {
            let parts: Vec<String> = advice.iter().map(ToString::to_string).collect();
            text.push_str(&format!(" What helps: {}.", parts.join(", ")));
        }
        Some(text)
    }
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MoreValidationExamples => f.write_str("more validation examples"),
            Self::MoreSteps => f.write_str("more steps"),
            Self::OtherMetric(metric) => write!(f, "`--metric {}`", metric.name()),
        }
    }
}

/// The rows without a failure.
fn values(metric: Metric, table: &[Vec<TrialResult>]) -> Vec<Vec<f64>> {
    let row = |results: &Vec<TrialResult>| -> Option<Vec<f64>> {
        let scores = results.iter().map(TrialResult::score);
        scores.map(|score| Some(metric.value(score?))).collect()
    };
    table.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::Measures;

    use super::*;

    fn scores(accuracies: &[f64], losses: &[f64]) -> Vec<Score> {
        let pairs = accuracies.iter().zip(losses);
        let score = |(&accuracy, &loss): (&f64, &f64)| Score {
            train_loss: 0.0,
            validation_loss: loss,
            measures: Measures::of_accuracy(accuracy),
        };
        pairs.map(score).collect()
    }

    /// Three tables of one degree each, with contrasts a - b - c + d of 0.2 in accuracy and 0.04 in loss, the last with
    /// a third row that failed once: variances 0.2^2 / 4 and 0.04^2 / 4. The trials have variances 0.04 and 0.01.
    fn noise(validation_examples: usize) -> Noise {
        let trials = scores(&[0.3, 0.5, 0.7], &[0.9, 1.0, 1.1]);
        let rows = |accuracies: [f64; 2], losses: [f64; 2]| -> Vec<TrialResult> {
            let scores = scores(&accuracies, &losses).into_iter();
            scores.map(TrialResult::Score).collect()
        };
        let table = vec![rows([0.5, 0.6], [1.0, 1.02]), rows([0.6, 0.5], [1.0, 0.98])];
        let mut failed = table.clone();
        failed.push(vec![
            table[0][0].clone(),
            TrialResult::Failed("why".to_owned()),
        ]);
        let trials: Vec<&Score> = trials.iter().collect();
        Noise::of(
            &trials,
            &[table.clone(), table, failed],
            validation_examples,
        )
        .unwrap()
    }

    #[test]
    fn repeatability_by_hand() {
        let noise = noise(100);
        let accuracy = noise.accuracy.unwrap();
        assert_eq!(accuracy.degrees, 3);
        assert!((accuracy.deviation - 0.1).abs() < 1e-12);
        assert!((accuracy.agreement - (1.0 - 0.01 / 0.04)).abs() < 1e-12);
        assert!((accuracy.least_difference - 0.08_f64.sqrt()).abs() < 1e-12);
        let loss = noise.loss.unwrap();
        assert!((loss.deviation - 0.02).abs() < 1e-12);
        assert!((loss.agreement - (1.0 - 0.0004 / 0.01)).abs() < 1e-12);
        // The mean accuracy of the trials is 0.5.
        assert!((noise.sampling_error - 0.05).abs() < 1e-12);
    }

    #[test]
    fn too_little_repeated_says_nothing() {
        let trials = scores(&[0.3, 0.5], &[1.0, 0.9]);
        let trials: Vec<&Score> = trials.iter().collect();
        assert_eq!(Noise::of(&trials, &[], 100), None);
        assert_eq!(Noise::of(&[], &[], 100), None);
    }

    #[test]
    fn advice_is_given_where_trainings_agree_badly() {
        let agreeing = noise(100);
        assert!(agreeing.advice(Metric::Accuracy).is_empty());
        assert_eq!(
            agreeing
                .describe(Metric::Accuracy, ProblemKind::Classification)
                .unwrap(),
            "Two trainings of the same placement agree at 0.75: differences below 28.3 points mean nothing."
        );
        let with = |agreement: f64, examples: usize| {
            let mut noise = noise(examples);
            let accuracy = noise.accuracy.unwrap();
            noise.accuracy = Some(Repeatability {
                agreement,
                ..accuracy
            });
            noise.combined = None;
            noise
        };
        // Deviation 0.1, of which 40 examples explain 0.079 and 100 only 0.05.
        let (loss, steps) = (Advice::OtherMetric(Metric::Loss), Advice::MoreSteps);
        let examples = Advice::MoreValidationExamples;
        assert_eq!(
            with(0.4, 40).advice(Metric::Accuracy),
            [examples, steps, loss]
        );
        assert_eq!(with(0.4, 100).advice(Metric::Accuracy), [steps, loss]);
        let described = with(0.4, 40)
            .describe(Metric::Accuracy, ProblemKind::Classification)
            .unwrap();
        let help = " What helps: more validation examples, more steps, `--metric loss`.";
        assert!(described.ends_with(help), "{described}");
        assert!(with(0.4, 40).advice(Metric::Loss).is_empty());
        assert_eq!(
            with(0.4, 40).describe(Metric::Combined, ProblemKind::Classification),
            None
        );
    }
}
