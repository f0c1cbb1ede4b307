//! Exports of a placement and its adapters in the formats of other libraries.
//!
//! [`adapters::files`] creates the folder that the library `adapters` loads, [`peft::refuse`] explains why `peft`
//! cannot load a placement, and [`json::document`] is for programs that build the adapters themselves. [`write_folder`]
//! and [`write_document`] write the result, completely or not at all.
//!
//! An adapter is `A(x) = scale * (W_up gelu(W_down norm(x) + b_down) + b_up)` with the exact gelu and a layer norm
//! without weights, epsilon 1e-5. [`adapters`] lists the connections for which another library computes exactly this.
//!
//! ```
//! use adaplace_export::json;
//! use adaplace_search_space::{
//!     AdapterForm, AdapterSpec, BackboneReference, Connection, Placement, PlacementFile,
//! };
//!
//! let file = PlacementFile {
//!     backbone: BackboneReference {
//!         model_type: "bert".to_owned(),
//!         hidden_states: 13,
//!         width: 384,
//!         pooling: "mean".to_owned(),
//!         weights_sha256: "ab".repeat(32),
//!     },
//!     adapter: AdapterForm::default(),
//!     placement: Placement::new().with(Connection::new(9, 2), AdapterSpec::new(8, 1.0)?),
//!     provenance: None,
//! };
//! let document = json::document(&file, None)?;
//! assert_eq!(json::read(&document)?, file);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adapters;
mod error;
pub mod json;
mod output;
pub mod peft;
mod weights;

pub use error::{Barred, ExportError, Library, Obstacle};
pub use output::{ExportedFile, write_document, write_folder};
pub use weights::{AdapterWeights, HeadWeights, Predicts, Weights};

/// The format that marks an export, so that a later export may replace it.
pub const EXPORT_FORMAT: &str = "adaplace.export/1";
