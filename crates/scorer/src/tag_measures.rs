//! How good predicted tags are.

use adaplace_task::{TagScheme, TokenLabel};
use serde::{Deserialize, Serialize};

use crate::ByClass;
use crate::measures::predicted;

/// The measures of predicted tags. Entities count as in `seqeval` by default: one is right if a predicted one has the same
/// words and type. See [`TagScheme`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfTags {
    /// 2 x precision x recall / (precision + recall) over all entities, between 0 and 1. It is 0 if no entity is right.
    pub entity_f1: f64,
    /// The share of the predicted entities that are right. It is 0 if none is predicted.
    pub entity_precision: f64,
    /// The share of the labelled entities that are predicted. It is 0 if there are none.
    pub entity_recall: f64,
    /// The share of the words with the right tag.
    pub token_accuracy: f64,
    /// The mean F1 of the tags over the words, over the tags that are labelled or predicted.
    pub macro_f1: f64,
}

impl OfTags {
    /// The measures of logits, (words of all examples, tags), for the labelled words of each example.
    pub(crate) fn of(logits: &[f64], tags: &[Vec<TokenLabel>], scheme: &TagScheme) -> Self {
        let classes = scheme.classes();
        let mut rows = logits.chunks_exact(classes);
        let mut counts = Counts::default();
        let (mut words, mut right) = (0_usize, 0_usize);
        let mut pairs = Vec::new();
        for of_example in tags {
            let labels: Vec<u32> = of_example.iter().map(|one| one.class).collect();
            let found: Vec<Option<usize>> =
                rows.by_ref().take(labels.len()).map(predicted).collect();
            for (&label, &best) in labels.iter().zip(&found) {
                words += 1;
                right += usize::from(best == Some(label as usize));
                pairs.push((label as usize, best));
            }
            // Logits that are not numbers have no tag, and their loss is not finite.
            let found = found.iter().map(|best| best.unwrap_or_default() as u32);
            counts.add(
                &scheme.entities(labels.into_iter()),
                &scheme.entities(found),
            );
        }
        let share = |of: usize, all: usize| match all {
            0 => 0.0,
            _ => of as f64 / all as f64,
        };
        Self {
            entity_f1: share(2 * counts.right, counts.labelled + counts.predicted),
            entity_precision: share(counts.right, counts.predicted),
            entity_recall: share(counts.right, counts.labelled),
            token_accuracy: share(right, words),
            macro_f1: ByClass::of(classes, pairs.into_iter()).macro_f1,
        }
    }
}

/// The numbers of entities.
#[derive(Default)]
struct Counts {
    labelled: usize,
    predicted: usize,
    right: usize,
}

impl Counts {
    fn add<T: PartialEq>(&mut self, labelled: &[T], predicted: &[T]) {
        self.labelled += labelled.len();
        self.predicted += predicted.len();
        self.right += labelled
            .iter()
            .filter(|one| predicted.contains(one))
            .count();
    }
}
