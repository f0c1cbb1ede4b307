use std::path::Path;

use adaplace_backbone::{Backbone, InputDescription, Pooling};
use adaplace_search_space::{BackboneReference, ChainShape};
use adaplace_task::{Encoder, Examples, ImageEncoder, Part, Task, TaskOptions, TextEncoder};

use crate::StudyError;

/// Texts are cut to this many tokens where nothing else is asked for and the backbone reads as many.
const MAX_LENGTH: usize = 128;

/// A backbone and a task that it can read.
#[derive(Debug)]
pub struct Setting {
    /// The frozen model.
    pub backbone: Backbone,
    /// The task, encoded.
    pub task: Task,
    /// Texts are cut to this many tokens; images have none.
    pub max_length: Option<usize>,
}

impl Setting {
    /// Reads both folders. `max_length` is that of texts, 128 or the backbone's longest if not given.
    ///
    /// # Errors
    /// If one of them is missing or damaged, or the backbone cannot read the task.
    pub fn load(
        backbone: (&Path, Option<Pooling>),
        task: &Path,
        max_length: Option<usize>,
        options: &TaskOptions<'_>,
    ) -> Result<Self, StudyError> {
        let (folder, pooling) = backbone;
        let backbone = Backbone::load(folder, pooling)?;
        let (encoder, max_length) = encoder(folder, &backbone, max_length)?;
        Ok(Self {
            backbone,
            task: Task::load(task, &encoder, options)?,
            max_length,
        })
    }

    /// As [`Self::load`], with the parts that a search may see: never the test part.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn for_search(
        backbone: (&Path, Option<Pooling>),
        task: &Path,
        max_length: Option<usize>,
        train_examples: Option<usize>,
        seed: u64,
    ) -> Result<Self, StudyError> {
        let options = TaskOptions {
            parts: &[Part::Train, Part::Validation],
            train_examples,
            seed,
        };
        Self::load(backbone, task, max_length, &options)
    }
}

/// The encoder that comes with a backbone, and the length that texts are cut to.
///
/// # Errors
/// If tokenizer or preprocessing is missing or does not fit the backbone.
pub fn encoder(
    folder: &Path,
    backbone: &Backbone,
    max_length: Option<usize>,
) -> Result<(Encoder, Option<usize>), StudyError> {
    match backbone.description().input {
        InputDescription::Text {
            vocabulary,
            positions,
        } => {
            let length = max_length.unwrap_or_else(|| MAX_LENGTH.min(positions));
            let encoder = TextEncoder::from_folder(folder, vocabulary, positions, length)?;
            Ok((Encoder::Text(encoder), Some(length)))
        }
        InputDescription::Image {
            image_size,
            channels,
            ..
        } => {
            let encoder = ImageEncoder::from_folder(folder, image_size, channels)?;
            Ok((Encoder::Image(encoder), None))
        }
    }
}

/// The shape that costs are counted on: the tokens per example are those of a typical training example.
#[must_use]
pub fn chain_shape(backbone: &Backbone, task: &Task) -> ChainShape {
    let description = backbone.description();
    let tokens = description
        .input
        .fixed_tokens()
        .unwrap_or_else(|| task.train.mean_length().ceil() as usize);
    ChainShape {
        hidden_states: description.hidden_states as u16,
        width: description.width as u32,
        tokens: tokens as u32,
        sublayer_flops: backbone.sublayer_flops(tokens),
    }
}

/// What identifies a backbone in a placement file.
#[must_use]
pub fn backbone_reference(backbone: &Backbone) -> BackboneReference {
    let description = backbone.description();
    BackboneReference {
        model_type: description.model_type.to_owned(),
        hidden_states: description.hidden_states as u16,
        width: description.width as u32,
        pooling: description.pooling.to_string(),
        weights_sha256: description.weights_sha256.clone(),
    }
}

/// At most `count` examples, evenly spread over all of them.
#[must_use]
pub fn spread(examples: &Examples, count: usize) -> Examples {
    let count = count.min(examples.len());
    let indices: Vec<usize> = (0..count)
        .map(|index| index * examples.len() / count)
        .collect();
    examples.select(&indices)
}
