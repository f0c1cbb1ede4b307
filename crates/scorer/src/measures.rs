//! How good predictions are, in the measures of their kind of problem.

use adaplace_analysis::{pearson, spearman};
use adaplace_task::{Labels, ProblemKind, Scale};
use serde::{Deserialize, Serialize};

use crate::{ByClass, OfTags};

/// The measures of some predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measures {
    /// The measures of a classification.
    Classes {
        /// The share of the examples whose largest logit is that of their class, between 0 and 1.
        accuracy: f64,
        /// The measures that count every class. Earlier versions and other scorers do not know them.
        by_class: Option<ByClass>,
    },
    /// The measures of a regression.
    Numbers(OfNumbers),
    /// The measures of a multi-label problem.
    Sets(OfSets),
    /// The measures of a token classification.
    Tags(OfTags),
    /// The measures of language modelling.
    Language(OfLanguage),
}

/// The measures of predicted numbers, as scipy and scikit-learn compute them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfNumbers {
    /// Pearson's correlation of predictions and labels. It is 0 if all predictions are equal.
    pub pearson: f64,
    /// Spearman's correlation of their ranks, in which ties share their mean. It is 0 if all predictions are equal.
    pub spearman: f64,
    /// 1 - sum of squared errors / sum of squared differences of the labels from their mean.
    pub r2: f64,
    /// The square root of the mean squared error, in the unit of the labels.
    pub root_mean_squared_error: f64,
}

/// The measures of predicted sets of classes, as scikit-learn computes them. An example has a class if the logit of the
/// class is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfSets {
    /// 2 tp / (2 tp + fp + fn), counted over all examples and classes, between 0 and 1. It is 0 if there are neither
    /// labels nor predictions.
    pub micro_f1: f64,
    /// The mean of the same of each class, where a class without labels and predictions counts 0.
    pub macro_f1: f64,
    /// The mean over the classes that occur of the average precision: sum over the ranks of (recall - recall before) x
    /// precision, where examples with equal logits share a rank.
    pub mean_average_precision: f64,
    /// The share of the examples whose whole set is right.
    pub exact_match: f64,
}

/// The measures of predicted completions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfLanguage {
    /// The share of the tokens whose logit is the largest of the vocabulary, given those before them, between 0 and 1.
    pub token_accuracy: f64,
    /// exp of the mean loss of a token in nats.
    pub perplexity: f64,
}

/// The measures in files, each in its own place.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) accuracy: Option<f64>,
    pub(crate) by_class: Option<ByClass>,
    pub(crate) numbers: Option<OfNumbers>,
    pub(crate) sets: Option<OfSets>,
    pub(crate) tags: Option<OfTags>,
    pub(crate) language: Option<OfLanguage>,
}

impl Measures {
    /// The measures of logits (predictions, outputs) in row-major order.
    pub(crate) fn of(logits: &[f64], labels: &Labels) -> Self {
        let outputs = (logits.len() / labels.of_predictions().len().max(1)).max(1);
        match labels {
            Labels::Tags { tags, scheme } => Self::Tags(OfTags::of(logits, tags, scheme)),
            Labels::Completions(_) => unreachable!("completions are counted without all logits"),
            Labels::Classes(classes) => of_classes(logits, outputs, classes),
            Labels::Numbers { numbers, scale } => {
                Self::Numbers(OfNumbers::of(logits, numbers, *scale))
            }
            Labels::Sets { sets, .. } => Self::Sets(OfSets::of(logits, outputs, sets)),
        }
    }

    /// The measures of a classification, of which only the accuracy is known.
    #[must_use]
    pub fn of_accuracy(accuracy: f64) -> Self {
        Self::Classes {
            accuracy,
            by_class: None,
        }
    }

    /// The measures that files contain, each in its own place.
    pub(crate) fn parts(self) -> Parts {
        let mut parts = Parts::default();
        match self {
            Self::Classes { accuracy, by_class } => {
                (parts.accuracy, parts.by_class) = (Some(accuracy), by_class);
            }
            Self::Numbers(of) => parts.numbers = Some(of),
            Self::Sets(of) => parts.sets = Some(of),
            Self::Tags(of) => parts.tags = Some(of),
            Self::Language(of) => parts.language = Some(of),
        }
        parts
    }

    /// The measures of the only part that a file contains.
    pub(crate) fn of_parts(parts: Parts) -> Result<Self, &'static str> {
        let by_class = parts.by_class;
        let classes = parts
            .accuracy
            .map(|accuracy| Self::Classes { accuracy, by_class });
        let found = [
            classes,
            parts.numbers.map(Self::Numbers),
            parts.sets.map(Self::Sets),
            parts.tags.map(Self::Tags),
            parts.language.map(Self::Language),
        ];
        let mut found = found.into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(only), None) if by_class.is_none() || only.accuracy().is_some() => Ok(only),
            _ => Err("there are not the measures of one kind of problem"),
        }
    }

    /// The kind of problem that they are measures of.
    #[must_use]
    pub fn problem(&self) -> ProblemKind {
        match self {
            Self::Classes { .. } => ProblemKind::Classification,
            Self::Numbers(_) => ProblemKind::Regression,
            Self::Sets(_) => ProblemKind::MultiLabel,
            Self::Tags(_) => ProblemKind::TokenClassification,
            Self::Language(_) => ProblemKind::LanguageModelling,
        }
    }

    /// The measure that a reader looks at first: accuracy, Pearson's correlation, micro F1, F1 of entities or accuracy of
    /// tokens. Larger is better, and 1 is perfect.
    #[must_use]
    pub fn headline(&self) -> f64 {
        match self {
            Self::Classes { accuracy, .. } => *accuracy,
            Self::Numbers(of) => of.pearson,
            Self::Sets(of) => of.micro_f1,
            Self::Tags(of) => of.entity_f1,
            Self::Language(of) => of.token_accuracy,
        }
    }

    /// The accuracy of a classification.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        match self {
            Self::Classes { accuracy, .. } => Some(*accuracy),
            _ => None,
        }
    }

    /// The measures of a classification that count every class.
    #[must_use]
    pub fn by_class(&self) -> Option<ByClass> {
        match self {
            Self::Classes { by_class, .. } => *by_class,
            _ => None,
        }
    }
}

/// The class with the largest logit, or the first of them. `None` if no logit is a number.
pub(crate) fn predicted(logits: &[f64]) -> Option<usize> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter().position(|&logit| logit == largest)
}

fn of_classes(logits: &[f64], outputs: usize, labels: &[u32]) -> Measures {
    let mut correct = 0_usize;
    let mut pairs = Vec::with_capacity(labels.len());
    for (row, &label) in logits.chunks_exact(outputs).zip(labels) {
        // A tie counts as wrong unless the label comes first, as with argmax.
        let best = predicted(row);
        correct += usize::from(best == Some(label as usize));
        pairs.push((label as usize, best));
    }
    Measures::Classes {
        accuracy: correct as f64 / labels.len() as f64,
        by_class: Some(ByClass::of(outputs, pairs.into_iter())),
    }
}

impl OfNumbers {
    /// The measures of standardised predictions of `numbers`.
    fn of(logits: &[f64], numbers: &[f64], scale: Scale) -> Self {
        let labels: Vec<f64> = numbers.iter().map(|&x| scale.standardise(x)).collect();
        let count = labels.len() as f64;
        let mean = labels.iter().sum::<f64>() / count;
        let squares = |a: &mut dyn Iterator<Item = f64>| a.map(|x| x * x).sum::<f64>();
        let errors = squares(&mut logits.iter().zip(&labels).map(|(x, y)| x - y));
        let spread = squares(&mut labels.iter().map(|y| y - mean));
        Self {
            pearson: pearson(logits, &labels).unwrap_or(0.0),
            spearman: spearman(logits, &labels).unwrap_or(0.0),
            r2: 1.0 - errors / spread,
            root_mean_squared_error: scale.deviation * (errors / count).sqrt(),
        }
    }
}

impl OfSets {
    fn of(logits: &[f64], classes: usize, sets: &[Vec<u32>]) -> Self {
        let mut counts = vec![Counts::default(); classes];
        let mut members = vec![false; logits.len()];
        let mut exact = 0_usize;
        let rows = logits.chunks_exact(classes).zip(sets);
        for ((logits, set), members) in rows.zip(members.chunks_exact_mut(classes)) {
            set.iter().for_each(|&class| members[class as usize] = true);
            let mut right = true;
            for ((&logit, &member), count) in logits.iter().zip(&*members).zip(&mut counts) {
                let predicted = logit > 0.0;
                count.add(member, predicted);
                right &= member == predicted;
            }
            exact += usize::from(right);
        }
        let mut all = Counts::default();
        for count in &counts {
            all.right += count.right;
            all.wrong += count.wrong;
        }
        let precisions: Vec<f64> = (0..classes)
            .filter_map(|class| {
                let column = (class..logits.len()).step_by(classes);
                average_precision(column.map(|at| (logits[at], members[at])).collect())
            })
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let f1: Vec<f64> = counts.iter().map(Counts::f1).collect();
        Self {
            micro_f1: all.f1(),
            macro_f1: mean(&f1),
            mean_average_precision: mean(&precisions),
            exact_match: exact as f64 / sets.len() as f64,
        }
    }
}

/// The predictions of a class.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// True positives.
    right: u64,
    /// False positives and false negatives.
    wrong: u64,
}

impl Counts {
    fn add(&mut self, member: bool, predicted: bool) {
        self.right += u64::from(member && predicted);
        self.wrong += u64::from(member != predicted);
    }

    fn f1(&self) -> f64 {
        let all = 2 * self.right + self.wrong;
        match all {
            0 => 0.0,
            _ => (2 * self.right) as f64 / all as f64,
        }
    }
}

/// The average precision of logits, each with whether the example has the class. `None` if no example has it.
fn average_precision(mut ranked: Vec<(f64, bool)>) -> Option<f64> {
    let members = ranked.iter().filter(|(_, member)| *member).count();
    if members == 0 {
        return None;
    }
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let (mut sum, mut seen, mut found) = (0.0, 0, 0);
    for tied in ranked.chunk_by(|(a, _), (b, _)| a == b) {
        let new = tied.iter().filter(|(_, member)| *member).count();
        seen += tied.len();
        found += new;
        sum += new as f64 / members as f64 * (found as f64 / seen as f64);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }

    /// The labels are 1, 3, 5 in their unit: mean 3, deviation sqrt(8/3). The predictions are 2, 3, 7.
    #[test]
    fn numbers_by_hand() {
        let scale = Scale::of(&[1.0, 3.0, 5.0]).unwrap();
        let of = |numbers: [f64; 3]| numbers.map(|number| scale.standardise(number));
        let labels = [1.0, 3.0, 5.0];
        let found = OfNumbers::of(&of([2.0, 3.0, 7.0]), &labels, scale);
        // Errors 1, 0, 2; deviations of the predictions from their mean 4: -2, -1, 3.
        close(found.r2, 1.0 - 5.0 / 8.0);
        close(found.root_mean_squared_error, (5.0_f64 / 3.0).sqrt());
        close(found.pearson, 10.0 / (14.0_f64 * 8.0).sqrt());
        assert_eq!(found.spearman, 1.0);
        let constant = OfNumbers::of(&[0.0; 3], &labels, scale);
        assert_eq!((constant.pearson, constant.spearman), (0.0, 0.0));
        close(constant.r2, 0.0);
    }

    /// Three examples and classes. Class 0: one right, one missed, none wrong. Class 1: one right, one wrong. Class 2
    /// neither occurs nor is predicted.
    #[test]
    fn sets_by_hand() {
        let sets = [vec![0, 1], vec![0], vec![]];
        let logits = [1.0, 2.0, -1.0, -1.0, 0.5, -2.0, -2.0, -1.0, -3.0];
        let found = OfSets::of(&logits, 3, &sets);
        close(found.micro_f1, 4.0 / 6.0);
        close(found.macro_f1, (2.0 / 3.0 + 2.0 / 3.0 + 0.0) / 3.0);
        // Both of class 0 come first, and the one of class 1 comes first.
        close(found.mean_average_precision, 1.0);
        close(found.exact_match, 2.0 / 3.0);
    }

    /// The ranks are a tie of a member and another example, then a member: recall 1/2 at precision 1/2, recall 1 at
    /// precision 2/3.
    #[test]
    fn average_precision_with_ties_by_hand() {
        let found = average_precision(vec![(0.5, true), (1.0, false), (1.0, true)]);
        close(found.unwrap(), 0.5 * 0.5 + 0.5 * 2.0 / 3.0);
        assert_eq!(average_precision(vec![(1.0, false)]), None);
    }

    #[test]
    fn a_tie_is_wrong_unless_the_label_comes_first() {
        let found = of_classes(&[1.0, 1.0, 1.0, 1.0], 2, &[0, 1]);
        assert_eq!(found.accuracy(), Some(0.5));
    }
}
