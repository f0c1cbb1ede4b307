//! The rows that become the examples of a part.

use std::path::Path;

use crate::labelling::{Labelling, Read};
use crate::rows::{RawPart, Row};
use crate::split::{class_counts, split_validation, stratified_subset};
use crate::{ClassWeights, ProblemKind, Scale, TaskError};

/// Some rows with their labels.
pub(crate) struct Selected<'a, Content> {
    pub(crate) rows: Vec<&'a Row<Content>>,
    pub(crate) labels: Read,
}

impl<'a, Content> Selected<'a, Content> {
    /// All rows of a part.
    pub(crate) fn of(part: &'a RawPart<Content>, labelling: &Labelling) -> Result<Self, TaskError> {
        Ok(Self {
            labels: labelling.read(part)?,
            rows: part.rows.iter().collect(),
        })
    }

    fn at(&self, indices: &[usize]) -> Self {
        Self {
            rows: indices.iter().map(|&index| self.rows[index]).collect(),
            labels: self.labels.select(indices),
        }
    }

    /// What is left to train on, and a validation part.
    pub(crate) fn split(self, folder: &Path, classes: usize) -> Result<(Self, Self), TaskError> {
        let (strata, count) = self.labels.strata(classes);
        let (kept, split_off) = split_validation(&strata, count);
        let (train, validation) = (self.at(&kept), self.at(&split_off));
        if !validation.labels.varies() || !train.labels.varies() {
            let folder = folder.to_owned();
            return Err(TaskError::TooSmallToSplit { folder });
        }
        tracing::info!(
            "`{}` has no validation part, so {} of {} training examples are used as one",
            folder.display(),
            split_off.len(),
            self.rows.len()
        );
        Ok((train, validation))
    }

    /// A stratified subset of this size.
    pub(crate) fn subset(self, classes: usize, size: usize, seed: u64) -> Self {
        let (strata, count) = self.labels.strata(classes);
        self.at(&stratified_subset(&strata, count, size, seed))
    }
}

/// What the training examples decide for the labels of all parts.
pub(crate) struct FromTraining {
    /// The scale of numbers.
    pub(crate) scale: Option<Scale>,
    /// The weight of each class.
    of_classes: Option<Vec<f32>>,
}

impl FromTraining {
    pub(crate) fn of(
        train: &Read,
        classes: usize,
        (folder, weights): (&Path, ClassWeights),
    ) -> Result<Self, TaskError> {
        let refused = |kind: ProblemKind| TaskError::NoClassesToWeight {
            folder: folder.to_owned(),
            kind: kind.words(),
        };
        let scale = match train {
            Read::Numbers(numbers) => {
                let scale = Scale::of(numbers);
                let folder = folder.to_owned();
                Some(scale.ok_or(TaskError::NumbersDoNotVary { folder })?)
            }
            Read::Classes(_) | Read::Sets(_) => None,
        };
        let of_classes = match (weights, train) {
            (ClassWeights::Equal, _) => None,
            (ClassWeights::Balanced, Read::Classes(labels)) => Some(balanced(labels, classes)),
            (ClassWeights::Balanced, Read::Numbers(_)) => {
                return Err(refused(ProblemKind::Regression));
            }
            (ClassWeights::Balanced, Read::Sets(_)) => {
                return Err(refused(ProblemKind::MultiLabel));
            }
        };
        Ok(Self { scale, of_classes })
    }

    /// The weight of each example, if classes are weighted.
    pub(crate) fn weights(&self, labels: &Read) -> Option<Vec<f32>> {
        match (&self.of_classes, labels) {
            (Some(of_classes), Read::Classes(labels)) => {
                let each = labels.iter().map(|&label| of_classes[label as usize]);
                Some(each.collect())
            }
            _ => None,
        }
    }
}

/// The weight of each class, n / (C n_c) for n examples, n_c of which have one of the C classes, so that all classes
/// count the same. These are the weights of scikit-learn with `class_weight="balanced"`.
fn balanced(labels: &[u32], classes: usize) -> Vec<f32> {
    let counts = class_counts(labels, classes);
    let present = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => 1.0,
        _ => (labels.len() as f64 / (present * count) as f64) as f32,
    };
    counts.iter().map(weight).collect()
}
