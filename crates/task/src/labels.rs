//! The labels of examples.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::text::Read;
use crate::{EncodedText, Inputs, TagScheme};

/// What is predicted for an example.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
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
pub enum ProblemKind {
    /// One class: the loss is the cross-entropy of the softmax.
    Classification,
    /// A number: the loss is the squared error.
    Regression,
    /// Any number of the classes: the loss is the binary cross-entropy of each class.
    MultiLabel,
    /// A class for each word of a text, its tag: the loss is the cross-entropy of the softmax at the word's first token.
    TokenClassification,
    /// The text that follows a prompt: the loss is the cross-entropy of the softmax over the vocabulary at each of its
    /// tokens.
    LanguageModelling,
}

impl ProblemKind {
    /// All kinds.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its name in prose.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::MultiLabel => "multi-label classification",
            Self::TokenClassification => "token classification",
            Self::LanguageModelling => "language modelling",
        }
    }

    /// What every training starts from, in prose: a head that is fitted to the frozen model, or the frozen model as it is,
    /// which predicts tokens by itself.
    #[must_use]
    pub fn start(self) -> &'static str {
        match self {
            Self::LanguageModelling => "frozen model",
            _ => "linear probe",
        }
    }
}

/// The labels of some examples, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Labels {
    /// The class of each example, as an index into [`crate::Task::classes`].
    Classes(Vec<u32>),
    /// The number of each example.
    Numbers {
        /// The numbers, in their own unit.
        numbers: Vec<f64>,
        /// What they are standardised by, so that trainings do not depend on the unit.
        scale: Scale,
    },
    /// Any of the classes for each example.
    Sets {
        /// The number of classes.
        classes: usize,
        /// The classes of each example, as ascending indices into [`crate::Task::classes`].
        sets: Vec<Vec<u32>>,
    },
    /// A tag for each word of each example.
    Tags {
        /// The labelled tokens of each example: the first one of every word.
        tags: Vec<Vec<TokenLabel>>,
        /// What the tags mark.
        scheme: TagScheme,
    },
    /// The tokens of each example that are predicted: those of its completion. The class of a token is the id of the one
    /// behind it.
    Completions(Vec<Vec<TokenLabel>>),
}

/// A token of an example at which something is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLabel {
    /// The position of the token in its example.
    pub token: u32,
    /// The class that it has.
    pub class: u32,
}

/// One class for each example.
impl From<Vec<u32>> for Labels {
    fn from(classes: Vec<u32>) -> Self {
        Labels::Classes(classes)
    }
}

/// The mean and the standard deviation of the numbers of a training part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The mean.
    pub mean: f64,
    /// The square root of the mean squared difference from the mean, which is not 0.
    pub deviation: f64,
}

impl Scale {
    /// The scale that changes nothing.
    pub(crate) const UNIT: Self = Scale {
        mean: 0.0,
        deviation: 1.0,
    };

    /// The scale of `numbers`. `None` if there are none, or if all are equal.
    #[must_use]
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
        let deviation = (squares / count).sqrt();
        let varies = numbers.iter().any(|x| *x != numbers[0]) && deviation > 0.0;
        (varies && deviation.is_finite()).then_some(Scale { mean, deviation })
    }

    /// `(number - mean) / deviation`.
    #[must_use]
    pub fn standardise(self, number: f64) -> f64 {
        (number - self.mean) / self.deviation
    }
}

impl Labels {
    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Labels::Classes(classes) => classes.len(),
            Labels::Numbers { numbers, .. } => numbers.len(),
            Labels::Sets { sets, .. } => sets.len(),
            Labels::Tags { tags: tokens, .. } | Labels::Completions(tokens) => tokens.len(),
        }
    }

    /// The number of predictions for the example at `index`: one for each of its labelled tokens, or a single one.
    ///
    /// # Panics
    /// If there is no such example.
    #[must_use]
    pub fn predictions(&self, index: usize) -> usize {
        self.tokens(index).map_or(1, <[TokenLabel]>::len)
    }

    /// The labelled tokens of the example at `index`. `None` if examples are labelled as a whole.
    ///
    /// # Panics
    /// If there is no such example.
    #[must_use]
    pub fn tokens(&self, index: usize) -> Option<&[TokenLabel]> {
        match self {
            Labels::Tags { tags: tokens, .. } | Labels::Completions(tokens) => Some(&tokens[index]),
            Labels::Classes(_) | Labels::Numbers { .. } | Labels::Sets { .. } => None,
        }
    }

    /// The labels of all predictions, one after the other: those of tokens become classes.
    #[must_use]
    pub fn of_predictions(&self) -> Cow<'_, Self> {
        match self {
            Labels::Tags { tags: tokens, .. } | Labels::Completions(tokens) => {
                let classes = tokens.iter().flatten().map(|one| one.class);
                Cow::Owned(Labels::Classes(classes.collect()))
            }
            Labels::Classes(_) | Labels::Numbers { .. } | Labels::Sets { .. } => {
                Cow::Borrowed(self)
            }
        }
    }

    /// Whether there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind of problem that they belong to.
    #[must_use]
    pub fn problem(&self) -> ProblemKind {
        match self {
            Labels::Classes(_) => ProblemKind::Classification,
            Labels::Numbers { .. } => ProblemKind::Regression,
            Labels::Sets { .. } => ProblemKind::MultiLabel,
            Labels::Tags { .. } => ProblemKind::TokenClassification,
            Labels::Completions(_) => ProblemKind::LanguageModelling,
        }
    }

    /// The labels of the examples at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below [`Labels::len`].
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let indices = indices.iter();
        match self {
            Labels::Classes(classes) => {
                Labels::Classes(indices.map(|&index| classes[index]).collect())
            }
            Labels::Numbers { numbers, scale } => Labels::Numbers {
                numbers: indices.map(|&index| numbers[index]).collect(),
                scale: *scale,
            },
            Labels::Sets { classes, sets } => Labels::Sets {
                classes: *classes,
                sets: indices.map(|&index| sets[index].clone()).collect(),
            },
            Labels::Tags { tags, scheme } => Labels::Tags {
                tags: indices.map(|&index| tags[index].clone()).collect(),
                scheme: scheme.clone(),
            },
            Labels::Completions(tokens) => {
                Labels::Completions(indices.map(|&index| tokens[index].clone()).collect())
            }
        }
    }

    /// The class of each example. `None` if examples do not have one class each.
    #[must_use]
    pub fn classes(&self) -> Option<&[u32]> {
        match self {
            Labels::Classes(classes) => Some(classes),
            _ => None,
        }
    }

    /// The same labels, where numbers are standardised by another scale.
    #[must_use]
    pub fn rescaled(self, to: Scale) -> Self {
        match self {
            Labels::Numbers { numbers, .. } => Labels::Numbers { numbers, scale: to },
            other => other,
        }
    }

    /// Whether two of the labels differ. Completions always do.
    pub(crate) fn varies(&self) -> bool {
        match self {
            Labels::Tags { tags, .. } => {
                let mut classes = tags.iter().flatten().map(|one| one.class);
                let first = classes.next();
                classes.any(|class| Some(class) != first)
            }
            Labels::Completions(_) => true,
            _ => (1..self.len()).any(|index| !self.equal(0, index)),
        }
    }

    /// The labels of the examples that were read like this. The tokens of tags were their words before.
    pub(crate) fn placed(self, inputs: &Inputs, read: &[Read]) -> Self {
        match self {
            Labels::Tags { tags, scheme } => Labels::Tags {
                tags: tags.into_iter().zip(read).map(at_first_tokens).collect(),
                scheme,
            },
            Labels::Completions(_) => {
                let Inputs::Text(texts) = inputs else {
                    return Labels::Completions(Vec::new());
                };
                let completed = texts.texts.iter().zip(read);
                Labels::Completions(
                    completed
                        .map(|(text, read)| next_tokens(text, read))
                        .collect(),
                )
            }
            other => other,
        }
    }

    /// Whether the examples `a` and `b` have the same label.
    pub(crate) fn equal(&self, a: usize, b: usize) -> bool {
        match self {
            Labels::Classes(classes) => classes[a] == classes[b],
            Labels::Numbers { numbers, .. } => numbers[a] == numbers[b],
            Labels::Sets { sets, .. } => sets[a] == sets[b],
            Labels::Tags { tags: tokens, .. } | Labels::Completions(tokens) => {
                tokens[a] == tokens[b]
            }
        }
    }
}

/// The tags of words that were not cut off, at the first token of each.
fn at_first_tokens((tags, read): (Vec<TokenLabel>, &Read)) -> Vec<TokenLabel> {
    let Read::Words(first) = read else {
        return Vec::new();
    };
    let placed = tags.into_iter().zip(first).filter_map(|(tag, token)| {
        let token = (*token)?;
        Some(TokenLabel { token, ..tag })
    });
    placed.collect()
}

/// The tokens of a completion, each at the one before it.
fn next_tokens(text: &EncodedText, read: &Read) -> Vec<TokenLabel> {
    let Read::From(start) = *read else {
        return Vec::new();
    };
    let predicted = (start.max(1)..).zip(&text.ids[start.max(1) as usize..]);
    let predicted = predicted.map(|(position, &class)| TokenLabel {
        token: position - 1,
        class,
    });
    predicted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_by_hand() {
        let scale = Scale::of(&[1.0, 3.0, 1.0, 3.0]).unwrap();
        assert_eq!((scale.mean, scale.deviation), (2.0, 1.0));
        assert_eq!(scale.standardise(4.5), 2.5);
        assert_eq!(Scale::of(&[0.1, 0.1, 0.1]), None);
        assert_eq!(Scale::of(&[]), None);
    }

    #[test]
    fn labels_are_selected_and_compared() {
        let numbers = Labels::Numbers {
            numbers: vec![0.5, -1.0, 0.5],
            scale: Scale {
                mean: 0.0,
                deviation: 1.0,
            },
        };
        let sets = Labels::Sets {
            classes: 3,
            sets: vec![vec![0, 2], vec![], vec![0, 2]],
        };
        for labels in [Labels::Classes(vec![3, 1, 3]), numbers, sets] {
            assert_eq!(labels.len(), 3);
            let selected = labels.select(&[2, 1]);
            assert_eq!(selected.problem(), labels.problem());
            assert_eq!(selected.select(&[1, 0]), labels.select(&[1, 2]));
            assert!(labels.equal(0, 2) && !labels.equal(0, 1));
        }
    }
}
