//! The rows that become the examples of a part.

use std::collections::BTreeSet;
use std::path::Path;

use crate::labelling::Labelling;
use crate::rows::{RawPart, Row};
use crate::split::{class_counts, split_validation, stratified_subset};
use crate::{ClassWeights, Labels, Scale, TaskError};

/// The number of groups of similar numbers from which a validation part gets equal shares.
const GROUPS_OF_NUMBERS: usize = 10;

/// Some rows with their labels.
pub(crate) struct Selected<'a, Content> {
    pub(crate) rows: Vec<&'a Row<Content>>,
    pub(crate) labels: Labels,
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
        let (strata, count) = strata(&self.labels, classes);
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
        let (strata, count) = strata(&self.labels, classes);
        self.at(&stratified_subset(&strata, count, size, seed))
    }
}

/// The group of each example and the number of groups. Every choice of examples takes its share of each group. An example
/// is grouped by its class, by the rarest of its classes or tags, or with numbers of similar size.
fn strata(labels: &Labels, classes: usize) -> (Vec<u32>, usize) {
    match labels {
        Labels::Classes(of_examples) => (of_examples.clone(), classes),
        Labels::Numbers { numbers, .. } => {
            let mut order: Vec<usize> = (0..numbers.len()).collect();
            order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
            let mut strata = vec![0; numbers.len()];
            for (place, index) in order.into_iter().enumerate() {
                strata[index] = (place * GROUPS_OF_NUMBERS / numbers.len()) as u32;
            }
            (strata, GROUPS_OF_NUMBERS)
        }
        Labels::Sets { sets, .. } => {
            let mut counts = vec![0_usize; classes];
            for &class in sets.iter().flatten() {
                counts[class as usize] += 1;
            }
            let rarest = |set: &Vec<u32>| {
                let rarest = set.iter().min_by_key(|&&class| counts[class as usize]);
                rarest.copied().unwrap_or(classes as u32)
            };
            (sets.iter().map(rarest).collect(), classes + 1)
        }
        Labels::Tags { tags, .. } => {
            let sets = tags.iter().map(|tags| {
                let classes: BTreeSet<u32> = tags.iter().map(|one| one.class).collect();
                classes.into_iter().collect()
            });
            let sets = sets.collect();
            strata(&Labels::Sets { classes, sets }, classes)
        }
        Labels::Completions(tokens) => (vec![0; tokens.len()], 1),
    }
}

/// What the training examples decide for the labels of all parts.
pub(crate) struct FromTraining {
    /// The scale of numbers.
    scale: Option<Scale>,
    /// The weight of each class.
    pub(crate) class_weights: Option<Vec<f32>>,
}

impl FromTraining {
    pub(crate) fn of(
        train: &Labels,
        classes: usize,
        (folder, weights): (&Path, ClassWeights),
    ) -> Result<Self, TaskError> {
        let folder = folder.to_owned();
        let class_weights = match (weights, train) {
            (ClassWeights::Equal, _) => None,
            (ClassWeights::Balanced, Labels::Classes(_) | Labels::Tags { .. }) => {
                let labels = train.of_predictions();
                let labels = labels.classes().unwrap_or_default();
                Some(balanced(labels, classes))
            }
            (ClassWeights::Balanced, _) => {
                let kind = train.problem().words();
                return Err(TaskError::NoClassesToWeight { folder, kind });
            }
        };
        let scale = match train {
            Labels::Numbers { numbers, .. } => {
                let scale = Scale::of(numbers);
                Some(scale.ok_or(TaskError::NumbersDoNotVary { folder })?)
            }
            _ => None,
        };
        Ok(Self {
            scale,
            class_weights,
        })
    }

    /// The labels, where numbers are on the scale of the training examples.
    pub(crate) fn scaled(&self, labels: Labels) -> Labels {
        match self.scale {
            Some(scale) => labels.rescaled(scale),
            None => labels,
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
