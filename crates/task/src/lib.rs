//! Labelled examples, encoded for a backbone and put into batches.
//!
//! A task is a folder. Text tasks are `{train,validation,test}.jsonl`, `.csv`, `.tsv` or `.parquet` with `text`,
//! optional `text_pair` and `label`. Image tasks are `{train,validation,test}/CLASS/` with PNG, JPEG, BMP, GIF, TIFF or
//! WebP pictures, or Parquet files with `image` and `label`. Parts may have other common names ([`Part::names`]) and
//! consist of several files, as written by the library `datasets`.
//!
//! [`Task::load`] reads a task, splits a validation part off the training part if there is none, and encodes everything
//! once with the [`Encoder`] that belongs to the backbone: its tokenizer ([`TextEncoder`]) or its picture preprocessing
//! ([`ImageEncoder`]). [`training_epoch`] and [`evaluation_batches`] cut the examples into batches of similar length,
//! and [`Examples::batch`] builds one of them.
//!
//! ```
//! use adaplace_task::{Encoder, Task, TaskOptions, TextEncoder, evaluation_batches};
//! # use adaplace_testkit::{TextTask, TinyBert, text_task, tiny_bert};
//! # let folder = tempfile::tempdir()?;
//! # let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
//! # tiny_bert(&backbone, &TinyBert::default());
//! # text_task(&task, &TextTask::default());
//! let encoder = Encoder::Text(TextEncoder::from_folder(&backbone, 64, 64, 32)?);
//! let task = Task::load(&task, &encoder, &TaskOptions::default())?;
//! for rows in evaluation_batches(&task.validation.lengths(), 8) {
//!     let batch = task.validation.batch(&rows);
//!     assert_eq!(batch.labels.len(), rows.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batches;
mod columns;
mod contained;
mod encoder;
mod error;
mod examples;
mod fingerprint;
mod image_folder;
mod image_processor;
mod images;
mod labelling;
mod labels;
mod layout;
mod parquet;
mod part;
mod picture;
mod place;
mod preprocessing;
mod resize;
mod rows;
mod selected;
mod split;
mod summary;
mod tags;
mod task;
mod text;
mod timm;
mod tokenizer;

pub use batches::{evaluation_batches, training_epoch};
pub use columns::{Columns, Reading};
pub use encoder::Encoder;
pub use error::TaskError;
pub use examples::{Batch, BatchInputs, EncodedText, Examples, Images, Inputs, Texts};
pub use images::ImageEncoder;
pub use labels::{Labels, ProblemKind, Scale, TokenLabel};
pub use part::Part;
pub use place::Place;
pub use summary::{NumberSummary, PartSummary, Shared, TaskSummary};
pub use tags::{Entity, TagScheme};
pub use task::{ClassWeights, Task, TaskOptions};
pub use text::TextEncoder;
