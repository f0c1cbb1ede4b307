use std::path::Path;
use std::sync::Arc;

use adaplace_backbone::{Backbone, InputDescription, Pooling};
use adaplace_search_space::{BackboneReference, ChainShape};
use adaplace_task::{
    Encoder, ImageEncoder, Part, ProblemKind, Reading, Task, TaskOptions, TextEncoder,
};

use crate::StudyError;

/// Default length in tokens that texts are truncated to, if the backbone reads as many.
const MAX_LENGTH: usize = 128;

/// A backbone and a task that it can read.
#[derive(Debug)]
pub struct Problem {
    /// The frozen model.
    pub backbone: Backbone,
    /// The task, encoded.
    pub task: Task,
    /// Length in tokens that texts are truncated to; none for images.
    pub max_length: Option<usize>,
    /// Names of the backbone's files that define its tokens or pixels.
    pub encoded_by: Vec<String>,
}

impl Problem {
    /// Reads both folders. `max_length` applies to texts and defaults to 128 or the backbone's longest input.
    ///
    /// # Errors
    /// If one of them is missing or damaged, or if the backbone cannot read the task.
    pub fn load(
        backbone: (&Path, Option<Pooling>),
        task: &Path,
        max_length: Option<usize>,
        options: &TaskOptions<'_>,
    ) -> Result<Self, StudyError> {
        let (folder, pooling) = backbone;
        let backbone = load_backbone(folder, pooling)?;
        let (encoder, max_length) = encoder(folder, &backbone, max_length)?;
        let task = Task::load(task, &encoder, options)?;
        if task.problem() == ProblemKind::LanguageModelling {
            backbone.check_vocabulary_head()?;
        }
        Ok(Self {
            backbone,
            task,
            max_length,
            encoded_by: encoder.files(),
        })
    }

    /// Backbone and task, to be shared by trainings.
    #[must_use]
    pub fn shared(self) -> (Arc<Backbone>, Arc<Task>) {
        (Arc::new(self.backbone), Arc::new(self.task))
    }

    /// Like [`Self::load`], but without the test part, which a search must not see.
    ///
    /// # Errors
    /// See [`Self::load`].
    pub fn for_search(
        backbone: (&Path, Option<Pooling>),
        (task, reading): (&Path, &Reading),
        max_length: Option<usize>,
        train_examples: Option<usize>,
        seed: u64,
    ) -> Result<Self, StudyError> {
        let options = TaskOptions {
            parts: &[Part::Train, Part::Validation],
            train_examples,
            seed,
            reading: Some(reading),
        };
        Self::load(backbone, task, max_length, &options)
    }
}

/// Reads a backbone's folder. The preprocessing sets the image size: a DINOv2 that was trained at 518 pixels and comes
/// with a crop of 224 reads 224.
///
/// # Errors
/// If the folder is not a backbone, or if the image size is not a multiple of the patch size.
pub fn load_backbone(folder: &Path, pooling: Option<Pooling>) -> Result<Backbone, StudyError> {
    let backbone = Backbone::load(folder, pooling)?;
    let InputDescription::Image {
        image_size,
        patch_size,
        ..
    } = backbone.description().input
    else {
        return Ok(backbone);
    };
    match ImageEncoder::picture_size(folder)? {
        None => Ok(backbone),
        Some((made, _)) if made == image_size => Ok(backbone),
        Some((made, path)) if !made.is_multiple_of(patch_size) => Err(StudyError::PictureSize {
            path,
            made,
            patch_size,
        }),
        Some((made, _)) => {
            tracing::info!(
                "pictures of {made} pixels for a backbone trained at {image_size}: its position embeddings are interpolated"
            );
            Ok(backbone.with_image_size(made)?)
        }
    }
}

/// The encoder of a backbone and the length in tokens that texts are truncated to.
///
/// # Errors
/// If the tokenizer or the preprocessing is missing or does not fit the backbone.
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

/// The shape that costs are computed for, with the length of a typical training example.
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

/// The reference that identifies a backbone in a placement file.
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

#[cfg(test)]
mod tests {
    use adaplace_testkit::{
        ImageTask, TextTask, TinyBert, TinyVit, image_task, text_task, tiny_bert, tiny_vit,
    };

    use super::*;

    fn text(bert: &TinyBert, max_length: Option<usize>) -> Result<Problem, StudyError> {
        let folder = tempfile::tempdir().unwrap();
        let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
        tiny_bert(&backbone, bert);
        text_task(&task, &TextTask::default());
        Problem::for_search(
            (&backbone, None),
            (&task, &Reading::default()),
            max_length,
            Some(30),
            0,
        )
    }

    #[test]
    fn texts_are_cut_to_128_tokens_or_what_the_backbone_reads() {
        let long = TinyBert {
            positions: 200,
            ..TinyBert::default()
        };
        assert_eq!(text(&long, None).unwrap().max_length, Some(128));
        assert_eq!(text(&long, Some(150)).unwrap().max_length, Some(150));
        let short = TinyBert::default();
        assert_eq!(text(&short, None).unwrap().max_length, Some(64));
        assert!(text(&short, Some(65)).is_err());
    }

    #[test]
    fn a_search_sees_no_test_part() {
        let problem = text(&TinyBert::default(), None).unwrap();
        assert!(problem.task.test.is_none());
        assert_eq!(problem.task.train.len(), 30);
    }

    #[test]
    fn costs_are_counted_on_a_typical_example() {
        let problem = text(&TinyBert::default(), None).unwrap();
        let shape = chain_shape(&problem.backbone, &problem.task);
        let mean = problem.task.train.mean_length();
        assert_eq!((shape.hidden_states, shape.width), (5, 32));
        assert!(f64::from(shape.tokens) >= mean && f64::from(shape.tokens) < mean + 1.0);

        let folder = tempfile::tempdir().unwrap();
        let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
        tiny_vit(&backbone, &TinyVit::default());
        image_task(&task, &ImageTask::default());
        let problem = Problem::for_search(
            (&backbone, None),
            (&task, &Reading::default()),
            None,
            None,
            0,
        )
        .unwrap();
        assert_eq!(problem.max_length, None);
        // 4 x 4 patches and the class token
        assert_eq!(chain_shape(&problem.backbone, &problem.task).tokens, 17);
    }

    #[test]
    fn pictures_are_read_in_the_size_that_preprocessing_makes() {
        let folder = tempfile::tempdir().unwrap();
        let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
        let path = backbone.join("preprocessor_config.json");
        tiny_vit(&backbone, &TinyVit::default());
        image_task(&task, &ImageTask::default());
        let load = |preprocessing: &str| {
            std::fs::write(&path, preprocessing).unwrap();
            Problem::for_search(
                (&backbone, None),
                (&task, &Reading::default()),
                None,
                None,
                0,
            )
        };
        let cropped =
            r#"{"image_processor_type": "CLIPImageProcessor", "size": 22, "crop_size": 20}"#;
        let problem = load(cropped).unwrap();
        // 5 x 5 patches of 4 x 4 pixels and the class token
        assert_eq!(chain_shape(&problem.backbone, &problem.task).tokens, 26);

        let message = load(r#"{"size": 18}"#).unwrap_err().to_string();
        assert!(message.contains("preprocessor_config.json"), "{message}");
        assert!(message.contains("18 x 18"), "{message}");
        assert!(message.contains("patches of 4"), "{message}");

        std::fs::remove_file(&path).unwrap();
        let plain = load_backbone(&backbone, None).unwrap();
        assert_eq!(plain.description().input.fixed_tokens(), Some(17));
    }
}
