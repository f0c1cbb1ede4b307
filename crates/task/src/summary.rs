//! A summary of a task, to be inspected before anything is trained on it.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;

use crate::{Examples, Inputs, Labels, Part, Scale, Task};

/// The contents of the parts of a task, and the inputs that they share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskSummary {
    /// The training, the validation and, if it was read, the test part.
    pub parts: Vec<PartSummary>,
    /// The pairs of parts that have inputs in common.
    pub shared: Vec<Shared>,
}

/// The contents of one part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartSummary {
    /// The part that is summarised.
    pub part: Part,
    /// The number of examples.
    pub examples: usize,
    /// The number of words or of tokens of completions that are predicted, if that is not one for each example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<usize>,
    /// The number of examples, or of words, of each class, in the order of [`Task::classes`].
    pub classes: Vec<usize>,
    /// What the labels are if they are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<NumberSummary>,
    /// The number of texts whose tokens were cut off at the maximum length.
    pub cut: usize,
    /// The number of examples with the same input as an earlier one.
    pub repeated: usize,
    /// The number of repeated examples whose label differs from that of the earlier one.
    pub contradicting: usize,
}

/// The labels of a part that are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NumberSummary {
    /// The smallest one.
    pub least: f64,
    /// Their mean.
    pub mean: f64,
    /// The standard deviation, the square root of the mean squared difference from the mean.
    pub deviation: f64,
    /// The largest one.
    pub greatest: f64,
}

impl NumberSummary {
    /// The summary of numbers that vary, as those of every part do.
    fn of(numbers: &[f64]) -> Option<Self> {
        let Scale { mean, deviation } = Scale::of(numbers)?;
        Some(NumberSummary {
            least: numbers.iter().copied().fold(f64::INFINITY, f64::min),
            mean,
            deviation,
            greatest: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// A leak between two parts: examples of the second also occur in the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// The two parts.
    pub parts: [Part; 2],
    /// The number of examples of the second part whose input, as the backbone reads it, also occurs in the first.
    pub examples: usize,
}

impl Task {
    /// A summary of what was read.
    #[must_use]
    pub fn summary(&self) -> TaskSummary {
        let mut parts = vec![
            (Part::Train, &self.train),
            (Part::Validation, &self.validation),
        ];
        parts.extend(self.test.as_ref().map(|test| (Part::Test, test)));
        let mut shared = Vec::new();
        for (index, (part, examples)) in parts.iter().enumerate() {
            for (other, behind) in &parts[index + 1..] {
                let count = in_both(examples, behind);
                if count > 0 {
                    shared.push(Shared {
                        parts: [*part, *other],
                        examples: count,
                    });
                }
            }
        }
        TaskSummary {
            parts: parts
                .into_iter()
                .map(|(part, examples)| self.part_summary(part, examples))
                .collect(),
            shared,
        }
    }

    fn part_summary(&self, part: Part, examples: &Examples) -> PartSummary {
        let mut classes = vec![0; self.classes.len()];
        let mut numbers = None;
        match &examples.labels {
            Labels::Classes(labels) => labels
                .iter()
                .for_each(|&label| classes[label as usize] += 1),
            Labels::Sets { sets, .. } => {
                let labels = sets.iter().flatten();
                labels.for_each(|&label| classes[label as usize] += 1);
            }
            Labels::Tags { tags, .. } => {
                let tags = tags.iter().flatten();
                tags.for_each(|tag| classes[tag.class as usize] += 1);
            }
            Labels::Numbers { numbers: all, .. } => numbers = NumberSummary::of(all),
            Labels::Completions(_) => {}
        }
        let (repeated, contradicting) = match &examples.inputs {
            Inputs::Text(texts) => {
                let inputs = texts.texts.iter().map(|text| (&text.ids, &text.type_ids));
                repetitions(inputs, &examples.labels)
            }
            Inputs::Images(images) => {
                let pictures = (0..images.len()).map(|index| images.picture(index));
                repetitions(pictures, &examples.labels)
            }
        };
        let cut = match &examples.inputs {
            Inputs::Text(texts) => texts.texts.iter().filter(|text| text.cut).count(),
            Inputs::Images(_) => 0,
        };
        let predictions = match &examples.labels {
            Labels::Tags { tags: tokens, .. } | Labels::Completions(tokens) => {
                Some(tokens.iter().map(Vec::len).sum())
            }
            Labels::Classes(_) | Labels::Numbers { .. } | Labels::Sets { .. } => None,
        };
        PartSummary {
            part,
            examples: examples.len(),
            predictions,
            classes,
            numbers,
            cut,
            repeated,
            contradicting,
        }
    }
}

/// The number of inputs that occurred before, and how many of those had another label.
fn repetitions<T: Eq + Hash>(inputs: impl Iterator<Item = T>, labels: &Labels) -> (usize, usize) {
    let mut first: HashMap<T, usize> = HashMap::new();
    let (mut repeated, mut contradicting) = (0, 0);
    for (index, input) in inputs.enumerate() {
        if let Some(&before) = first.get(&input) {
            repeated += 1;
            contradicting += usize::from(!labels.equal(before, index));
        } else {
            first.insert(input, index);
        }
    }
    (repeated, contradicting)
}

/// The number of inputs of `second` that occur in `first`.
fn in_both(first: &Examples, second: &Examples) -> usize {
    fn count<T: Eq + Hash>(
        first: impl Iterator<Item = T>,
        second: impl Iterator<Item = T>,
    ) -> usize {
        let first: std::collections::HashSet<T> = first.collect();
        second.filter(|input| first.contains(input)).count()
    }
    match (&first.inputs, &second.inputs) {
        (Inputs::Text(first), Inputs::Text(second)) => count(
            first.texts.iter().map(|text| (&text.ids, &text.type_ids)),
            second.texts.iter().map(|text| (&text.ids, &text.type_ids)),
        ),
        (Inputs::Images(first), Inputs::Images(second)) => count(
            (0..first.len()).map(|index| first.picture(index)),
            (0..second.len()).map(|index| second.picture(index)),
        ),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncodedText, Texts};

    fn examples(texts: &[(&[u32], bool, u32)]) -> Examples {
        Examples {
            inputs: Inputs::Text(Texts {
                texts: texts
                    .iter()
                    .map(|(ids, cut, _)| EncodedText {
                        ids: ids.to_vec(),
                        type_ids: vec![0; ids.len()],
                        cut: *cut,
                    })
                    .collect(),
            }),
            labels: Labels::Classes(texts.iter().map(|(.., label)| *label).collect()),
            class_weights: None,
        }
    }

    #[test]
    fn parts_and_leaks_by_hand() {
        let task = Task {
            name: "t".to_owned(),
            classes: ["a", "b"].map(str::to_owned).to_vec(),
            train: examples(&[
                (&[1, 2], true, 0),
                (&[1, 2], false, 1),
                (&[1, 2], false, 0),
                (&[3], false, 1),
            ]),
            validation: examples(&[(&[3], false, 1), (&[4], true, 0), (&[3], false, 0)]),
            test: Some(examples(&[(&[4], false, 0), (&[9], false, 1)])),
            fingerprint: String::new(),
        };
        let summary = task.summary();
        let numbers =
            |part: &PartSummary| (part.examples, part.cut, part.repeated, part.contradicting);
        let found: Vec<_> = summary.parts.iter().map(numbers).collect();
        assert_eq!(found, [(4, 1, 2, 1), (3, 1, 1, 1), (2, 0, 0, 0)]);
        assert_eq!(summary.parts[0].classes, [2, 2]);
        let shared = |parts, examples| Shared { parts, examples };
        assert_eq!(
            summary.shared,
            [
                shared([Part::Train, Part::Validation], 2),
                shared([Part::Validation, Part::Test], 1)
            ]
        );
    }
}
