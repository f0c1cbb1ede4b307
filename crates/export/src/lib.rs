//! A placement and its adapters in the formats of other libraries.
//!
//! [`adapters::files`] makes the folder that the library `adapters` loads, [`peft::refuse`] says why `peft` loads none,
//! and [`json::document`] gives everything to programs that build the adapters themselves. [`write_folder`] and
//! [`write_document`] put the result in its place, completely or not at all.
//!
//! An adapter is `A(x) = scale * (W_up gelu(W_down norm(x) + b_down) + b_up)` with the exact gelu and a layer norm
//! without weights, epsilon 1e-5; [`adapters`] says which connections another library computes exactly so.

pub mod adapters;
mod error;
pub mod json;
mod output;
pub mod peft;
mod weights;

pub use error::{Barred, ExportError, Library, Obstacle};
pub use output::{ExportedFile, write_document, write_folder};
pub use weights::{AdapterWeights, HeadWeights, Weights};

/// What marks an export as one, so that the next may replace it.
pub const EXPORT_FORMAT: &str = "adaplace.export/1";
