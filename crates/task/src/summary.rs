//! What was read of a task, to be looked at before anything is trained on it.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;

use crate::{Examples, Inputs, Part, Task};

/// What the parts of a task hold, and what they share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskSummary {
    /// Train, validation and, if it was read, test.
    pub parts: Vec<PartSummary>,
    /// Parts that have inputs in common; those that have none are left out.
    pub shared: Vec<Shared>,
}

/// What one part holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartSummary {
    /// Which one.
    pub part: Part,
    /// How many examples it has.
    pub examples: usize,
    /// How many of each class, in the order of [`Task::classes`].
    pub classes: Vec<usize>,
    /// Texts of which tokens were left out at the maximum length.
    pub cut: usize,
    /// Examples whose input an earlier one has.
    pub repeated: usize,
    /// Repeated examples whose label differs from the earlier one's.
    pub contradicting: usize,
}

/// A leak: what is learned is what is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// The two parts.
    pub parts: [Part; 2],
    /// Examples of the second one whose input, as the backbone reads it, the first one has.
    pub examples: usize,
}

impl Task {
    /// What was read.
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
        for &label in &examples.labels {
            classes[label as usize] += 1;
        }
        let (repeated, contradicting) = match &examples.inputs {
            Inputs::Text(texts) => {
                let inputs = texts.texts.iter().map(|text| (&text.ids, &text.type_ids));
                repetitions(inputs.zip(&examples.labels))
            }
            Inputs::Images(images) => {
                let pictures = (0..images.len()).map(|index| images.picture(index));
                repetitions(pictures.zip(&examples.labels))
            }
        };
        let cut = match &examples.inputs {
            Inputs::Text(texts) => texts.texts.iter().filter(|text| text.cut).count(),
            Inputs::Images(_) => 0,
        };
        PartSummary {
            part,
            examples: examples.len(),
            classes,
            cut,
            repeated,
            contradicting,
        }
    }
}

/// How many inputs came before, and how many of those with another label.
fn repetitions<'a, T: Eq + Hash>(labelled: impl Iterator<Item = (T, &'a u32)>) -> (usize, usize) {
    let mut first: HashMap<T, u32> = HashMap::new();
    let (mut repeated, mut contradicting) = (0, 0);
    for (input, &label) in labelled {
        if let Some(&before) = first.get(&input) {
            repeated += 1;
            contradicting += usize::from(before != label);
        } else {
            first.insert(input, label);
        }
    }
    (repeated, contradicting)
}

/// How many inputs of `second` stand in `first`.
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
                padding_id: 0,
            }),
            labels: texts.iter().map(|(.., label)| *label).collect(),
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
