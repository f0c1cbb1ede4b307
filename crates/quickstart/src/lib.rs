//! A small backbone and three drawn tasks that come with the program.
//!
//! The backbone is a ViT that was trained to name the shape and colour of an object ([`pretraining`],
//! `examples/pretrain`). Its files are part of the program. The tasks ([`DrawnTask`]) ask for what that training did
//! not need: how many objects there are, where one is, and how it is turned. [`export`] writes all of it as ordinary
//! folders. A seed leads to the same pictures on every machine.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! adaplace_quickstart::export(folder.path(), adaplace_quickstart::SEED)?;
//! assert!(folder.path().join("backbone/model.safetensors").is_file());
//! assert!(folder.path().join("tasks/counting/train/1/0000.png").is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backbone;
mod drawing;
mod error;
mod export;
pub mod pretraining;
mod shapes;
mod tasks;

pub use backbone::write_backbone;
pub use drawing::{COLOURS, Canvas, Colour, Pose, SIDE, UNITS, vary};
pub use error::QuickstartError;
pub use export::{BACKBONE_FOLDER, Folders, SEED, TASKS_FOLDER, export, prepare};
pub use shapes::Shape;
pub use tasks::{DrawnPart, DrawnTask};
