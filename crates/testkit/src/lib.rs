//! Small backbones and tasks, generated from a seed, for the tests of the other crates.
//!
//! Everything is written to a folder in the formats that the program reads: Hugging Face backbones ([`tiny_bert`],
//! [`tiny_vit`]), text tasks ([`text_task`]) and image tasks ([`image_task`]). The same description leads to the same
//! bytes on every run. The defaults fit each other: the sentences of [`TextTask`] consist of the words of [`TinyBert`],
//! and the pictures of [`ImageTask`] have the size of [`TinyVit`].
//!
//! This is test support, so a failure to write panics with the reason.
//!
//! ```
//! use adaplace_testkit::{TextTask, TinyBert, text_task, tiny_bert};
//!
//! let folder = tempfile::tempdir().expect("a temporary folder can be created");
//! tiny_bert(&folder.path().join("backbone"), &TinyBert::default());
//! text_task(&folder.path().join("task"), &TextTask { train: 20, ..TextTask::default() });
//! ```

mod bert;
mod files;
mod gpt2;
mod images;
mod shared;
mod text;
mod vit;
mod vocabulary;
mod weights;

pub use bert::{TinyBert, tiny_bert};
pub use gpt2::{TinyGpt2, tiny_gpt2};
pub use images::{ImageTask, image_task};
pub use shared::shared;
pub use text::{TextFormat, TextTask, text_task};
pub use vit::{TinyVit, tiny_vit};
pub use weights::WeightType;
