//! What the logits of examples should be.

use std::ops::Range;

/// The targets of some examples, which decide the loss of their logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// The target of every example.
    pub values: TargetValues,
    /// The factor of each example's loss. Every example counts once if it is `None`.
    pub weights: Option<Vec<f32>>,
}

/// The targets without their weights.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetValues {
    /// One class for each example. The loss is the cross-entropy of the softmax of its logits, in nats.
    Classes(Vec<u32>),
    /// One number for each example, which has one logit. The loss is the square of their difference.
    Numbers(Vec<f32>),
    /// Any of the classes for each example. The loss is the mean over the classes of the binary cross-entropy of the
    /// logistic function of the logit, in nats.
    Sets {
        /// The number of classes.
        classes: usize,
        /// 1 for a class that the example has, else 0, (examples, classes).
        members: Vec<f32>,
    },
}

impl From<TargetValues> for Targets {
    fn from(values: TargetValues) -> Self {
        Self {
            values,
            weights: None,
        }
    }
}

impl Targets {
    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.values {
            TargetValues::Classes(classes) => classes.len(),
            TargetValues::Numbers(numbers) => numbers.len(),
            TargetValues::Sets { classes, members } => members.len() / (*classes).max(1),
        }
    }

    /// Whether there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same targets in blocks of at most `most` examples, with the examples of each.
    ///
    /// # Panics
    /// If `most` is 0.
    #[must_use]
    pub fn blocks(self, most: usize) -> Vec<(Range<usize>, Self)> {
        let count = self.len();
        if count <= most {
            return vec![(0..count, self)];
        }
        let starts = (0..count).step_by(most);
        let block = |start: usize| {
            let range = start..count.min(start + most);
            let values = match &self.values {
                TargetValues::Classes(all) => TargetValues::Classes(all[range.clone()].to_vec()),
                TargetValues::Numbers(all) => TargetValues::Numbers(all[range.clone()].to_vec()),
                TargetValues::Sets { classes, members } => TargetValues::Sets {
                    classes: *classes,
                    members: members[range.start * classes..range.end * classes].to_vec(),
                },
            };
            let weights = self.weights.as_ref();
            let weights = weights.map(|weights| weights[range.clone()].to_vec());
            (range, Self { values, weights })
        };
        starts.map(block).collect()
    }

    /// The sum of the weights, by which a sum of losses becomes a mean.
    #[must_use]
    pub fn total(&self) -> f64 {
        match &self.weights {
            Some(weights) => weights.iter().copied().map(f64::from).sum(),
            None => self.len() as f64,
        }
    }
}
