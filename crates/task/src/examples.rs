//! Encoded examples and their batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Labels;

/// Encoded examples with their labels, in the order of the task folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// The inputs that the backbone reads.
    pub inputs: Inputs,
    /// The label of each example.
    pub labels: Labels,
    /// The factor of the loss of each class, or `None` if every prediction counts once.
    pub class_weights: Option<Vec<f32>>,
}

/// The inputs of examples, one per label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Inputs {
    /// Texts or pairs of texts.
    Text(Texts),
    /// Pictures.
    Images(Images),
}

/// Tokenized texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The texts, one entry per example.
    pub texts: Vec<EncodedText>,
}

/// A text, or a pair of texts, as tokens without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedText {
    /// The token ids, including special tokens.
    pub ids: Vec<u32>,
    /// The token types, 0 for tokens of the first text and 1 for those of the second. There are as many as `ids`.
    pub type_ids: Vec<u32>,
    /// Whether tokens were cut off at the maximum length.
    #[serde(default)]
    pub cut: bool,
}

/// Pictures of one size, before rescaling and normalisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Images {
    pub(crate) count: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// The RGB levels, interleaved, rows from the top: (count, height, width, 3).
    pub(crate) pixels: Vec<u8>,
    /// The value of each of the 256 levels in each channel.
    #[serde(with = "levels")]
    pub(crate) levels: Arc<[[f32; 256]; 3]>,
}

/// Serialises the table of levels as a list, because serde does not support arrays of this length.
mod levels {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    type Levels = Arc<[[f32; 256]; 3]>;

    pub(super) fn serialize<S: Serializer>(levels: &Levels, to: S) -> Result<S::Ok, S::Error> {
        levels.as_flattened().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Levels, D::Error> {
        let values = Vec::<f32>::deserialize(from)?;
        let mut levels = [[0.0; 256]; 3];
        if values.len() != levels.as_flattened().len() {
            return Err(de::Error::invalid_length(values.len(), &"3 x 256 levels"));
        }
        levels.as_flattened_mut().copy_from_slice(&values);
        Ok(Arc::new(levels))
    }
}

impl Images {
    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The RGB bytes of one picture, (height, width, 3), before rescaling and normalisation.
    ///
    /// # Panics
    /// If there are fewer pictures.
    pub fn picture(&self, index: usize) -> &[u8] {
        let size = self.height * self.width * 3;
        &self.pixels[index * size..(index + 1) * size]
    }
}

/// A batch of examples for the backbone.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The inputs that the backbone reads.
    pub inputs: BatchInputs,
    /// The label of each row.
    pub labels: Labels,
    /// The factor of each prediction's loss.
    pub weights: Option<Vec<f32>>,
}

/// The inputs of a batch, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchInputs {
    /// The tokens of one text after those of the other.
    Text {
        /// The number of tokens of each text.
        lengths: Vec<usize>,
        /// The token ids.
        ids: Vec<u32>,
        /// The token types.
        type_ids: Vec<u32>,
    },
    /// Rescaled and normalised pictures.
    Images {
        /// The number of pictures, the number of channels, 3, and the height and the width in pixels.
        shape: [usize; 4],
        /// The normalised values, (pictures, channels, height, width).
        pixels: Vec<f32>,
    },
}

impl Examples {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of tokens of each example, including special tokens. It is 1 for every picture, since all have the
    /// same number of patches.
    pub fn lengths(&self) -> Vec<usize> {
        match &self.inputs {
            Inputs::Text(texts) => texts.texts.iter().map(|text| text.ids.len()).collect(),
            Inputs::Images(_) => vec![1; self.len()],
        }
    }

    /// The number of tokens of the example at `index`, as in [`Examples::lengths`].
    ///
    /// # Panics
    /// If there is no such example.
    pub fn length(&self, index: usize) -> usize {
        match &self.inputs {
            Inputs::Text(texts) => texts.texts[index].ids.len(),
            Inputs::Images(_) => 1,
        }
    }

    /// The number of distinct inputs, whatever their labels.
    pub fn distinct(&self) -> usize {
        match &self.inputs {
            Inputs::Text(texts) => {
                let inputs = texts.texts.iter().map(|text| (&text.ids, &text.type_ids));
                inputs.collect::<BTreeSet<_>>().len()
            }
            Inputs::Images(images) => {
                let pictures = (0..images.len()).map(|index| images.picture(index));
                pictures.collect::<BTreeSet<_>>().len()
            }
        }
    }

    /// The mean of [`Examples::lengths`], or 0 if there are no examples.
    pub fn mean_length(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        self.lengths().iter().sum::<usize>() as f64 / self.len() as f64
    }

    /// The examples at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below [`Examples::len`].
    pub fn select(&self, indices: &[usize]) -> Examples {
        let inputs = match &self.inputs {
            Inputs::Text(texts) => Inputs::Text(Texts {
                texts: indices
                    .iter()
                    .map(|&index| texts.texts[index].clone())
                    .collect(),
            }),
            Inputs::Images(images) => {
                let mut pixels = Vec::new();
                for &index in indices {
                    pixels.extend_from_slice(images.picture(index));
                }
                Inputs::Images(Images {
                    count: indices.len(),
                    pixels,
                    levels: Arc::clone(&images.levels),
                    ..*images
                })
            }
        };
        Examples {
            inputs,
            labels: self.labels.select(indices),
            class_weights: self.class_weights.clone(),
        }
    }

    /// The sum of the weights of the predictions for the examples at `rows`, which is their number if each counts once.
    ///
    /// # Panics
    /// If an index is not below [`Examples::len`].
    #[must_use]
    pub fn total_weight(&self, rows: &[usize]) -> f64 {
        match self.weights_at(rows) {
            Some(weights) => weights.into_iter().map(f64::from).sum(),
            None => self.predictions(rows) as f64,
        }
    }

    /// The number of predictions for the examples at `rows`.
    ///
    /// # Panics
    /// If an index is not below [`Examples::len`].
    #[must_use]
    pub fn predictions(&self, rows: &[usize]) -> usize {
        let each = rows.iter().map(|&row| self.labels.predictions(row));
        each.sum()
    }

    /// The weights of the predictions for the examples at `indices`, one after the other.
    ///
    /// # Panics
    /// If an index is not below [`Examples::len`].
    #[must_use]
    pub fn weights_at(&self, indices: &[usize]) -> Option<Vec<f32>> {
        let of_classes = self.class_weights.as_ref()?;
        let labels = self.labels.select(indices);
        let labels = labels.of_predictions();
        let weights = labels.classes()?.iter();
        Some(weights.map(|&class| of_classes[class as usize]).collect())
    }

    /// At most `count` examples, evenly spread over all of them.
    pub fn spread(&self, count: usize) -> Examples {
        let count = count.min(self.len());
        let indices: Vec<usize> = (0..count).map(|index| index * self.len() / count).collect();
        self.select(&indices)
    }

    /// The batch of the examples at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below [`Examples::len`].
    pub fn batch(&self, indices: &[usize]) -> Batch {
        let inputs = match &self.inputs {
            Inputs::Text(texts) => text_batch(texts, indices),
            Inputs::Images(images) => image_batch(images, indices),
        };
        Batch {
            inputs,
            labels: self.labels.select(indices),
            weights: self.weights_at(indices),
        }
    }
}

fn text_batch(texts: &Texts, indices: &[usize]) -> BatchInputs {
    let texts: Vec<&EncodedText> = indices.iter().map(|&index| &texts.texts[index]).collect();
    BatchInputs::Text {
        lengths: texts.iter().map(|text| text.ids.len()).collect(),
        ids: texts.iter().flat_map(|text| &text.ids).copied().collect(),
        type_ids: texts
            .iter()
            .flat_map(|text| &text.type_ids)
            .copied()
            .collect(),
    }
}

fn image_batch(images: &Images, indices: &[usize]) -> BatchInputs {
    let mut pixels = Vec::with_capacity(indices.len() * 3 * images.height * images.width);
    for &index in indices {
        let picture = images.picture(index);
        for (channel, levels) in images.levels.iter().enumerate() {
            let values = picture.iter().skip(channel).step_by(3);
            pixels.extend(values.map(|&level| levels[usize::from(level)]));
        }
    }
    BatchInputs::Images {
        shape: [indices.len(), 3, images.height, images.width],
        pixels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Examples {
        let text = |ids: &[u32], type_ids: &[u32]| EncodedText {
            ids: ids.to_vec(),
            type_ids: type_ids.to_vec(),
            cut: false,
        };
        Examples {
            inputs: Inputs::Text(Texts {
                texts: vec![
                    text(&[2, 8, 3], &[0, 0, 0]),
                    text(&[2, 8, 3, 9, 3], &[0, 0, 0, 1, 1]),
                    text(&[2, 3], &[0, 0]),
                ],
            }),
            labels: Labels::Classes(vec![0, 1, 2]),
            class_weights: Some(vec![1.0, 0.5, 2.0]),
        }
    }

    #[test]
    fn texts_follow_each_other_without_padding() {
        let batch = texts().batch(&[2, 0]);
        assert_eq!(batch.labels, Labels::Classes(vec![2, 0]));
        assert_eq!(batch.weights, Some(vec![2.0, 1.0]));
        let expected = BatchInputs::Text {
            lengths: vec![2, 3],
            ids: vec![2, 3, 2, 8, 3],
            type_ids: vec![0; 5],
        };
        assert_eq!(batch.inputs, expected);
    }

    #[test]
    fn a_selection_batches_like_its_source() {
        let selected = texts().select(&[1, 2]);
        assert_eq!(selected.lengths(), [5, 2]);
        assert_eq!(selected.mean_length(), 3.5);
        assert_eq!(selected.batch(&[1, 0]), texts().batch(&[2, 1]));
    }

    #[test]
    fn a_spread_takes_from_everywhere() {
        let of = |indices: &[usize]| texts().select(indices);
        let seven = of(&[0, 1, 2, 0, 1, 2, 0]);
        assert_eq!((seven.distinct(), of(&[]).distinct()), (3, 0));
        assert_eq!(seven.spread(3), seven.select(&[0, 2, 4]));
        assert_eq!(seven.spread(1), of(&[0]));
        assert_eq!(seven.spread(7), seven);
        assert_eq!(seven.spread(100), seven);
    }

    #[test]
    fn pictures_become_normalised_planes() {
        let levels =
            [1.0, 10.0, 100.0].map(|factor| std::array::from_fn(|level| level as f32 * factor));
        let examples = Examples {
            inputs: Inputs::Images(Images {
                count: 2,
                height: 1,
                width: 2,
                pixels: vec![0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6],
                levels: Arc::new(levels),
            }),
            labels: Labels::Classes(vec![0, 1]),
            class_weights: None,
        };
        let BatchInputs::Images { pixels, .. } = examples.batch(&[1]).inputs else {
            panic!("pictures make a batch of pictures");
        };
        assert_eq!(pixels, [1.0, 4.0, 20.0, 50.0, 300.0, 600.0]);
        assert_eq!(examples.select(&[1]).batch(&[0]), examples.batch(&[1]));
    }
}
