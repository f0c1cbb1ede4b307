//! A placement as one JSON document, for programs that build the adapters themselves.
//!
//! ```json
//! {
//!   "format": "adaplace.export/1",
//!   "hash": "9da5f4b26fbc61ea",
//!   "placement": { "format": "adaplace.placement/1", "passes": 1, "backbone": {}, "adapter": {}, "connection": [] },
//!   "definition": "A(x) = ..",
//!   "tensors": [ { "name": "9-2.down.weight", "shape": [8, 384] } ],
//!   "adapters": { "path": "adapters.safetensors", "classes": 6, "metadata": {} }
//! }
//! ```
//!
//! `placement` has the keys of the placement file. `tensors` lists the content of `adapters.safetensors`, all f32. If
//! there is an entry `adapters`, for the given file, the head is among them.

use std::collections::BTreeMap;

use adaplace_files::from_json;
use adaplace_search_space::{PlacementFile, PlacementHash};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EXPORT_FORMAT, ExportError};

/// The definition of an adapter and of a connection.
const DEFINITION: &str = "A(x) = scale * (up.weight gelu(down.weight norm(x) + down.bias) + up.bias); gelu is the exact \
    one, norm is LayerNorm without weights, eps 1e-5. Connection i -> j reads hidden state h_i and adds A(h_i) to h_j: h_0 \
    is the output of the embedding, h_(2l+1) that of the attention of block l, h_(2l+2) that of its MLP, residual and, \
    in post-norm models, LayerNorm included. State n is its sublayer's output, plus A(h_i) of every i < n, plus A(h_i) of \
    every i > n as h_i was in the pass before (nothing in the first pass); then n -> n adds A of that sum. The last pass \
    counts.";

/// The trained adapters to which the document refers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterFile {
    /// The path of the file, as given.
    pub path: String,
    /// The number of rows of the head.
    pub classes: usize,
    /// The metadata of the file.
    pub metadata: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    hash: PlacementHash,
    placement: Value,
    definition: String,
    tensors: Vec<Tensor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adapters: Option<AdapterFile>,
}

impl adaplace_files::Document for Document {
    const FORMAT: &'static str = EXPORT_FORMAT;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
}

/// The document, with a line break at its end.
///
/// # Errors
/// The errors of [`PlacementFile::to_toml`], and [`ExportError::NotJson`] for a provenance that would not read back.
pub fn document(
    file: &PlacementFile,
    adapters: Option<AdapterFile>,
) -> Result<String, ExportError> {
    let placement = toml::from_str(&file.to_toml()?).map_err(|_| ExportError::NotJson)?;
    let document = Document {
        format: EXPORT_FORMAT.to_owned(),
        hash: file.placement.hash(),
        placement,
        definition: DEFINITION.to_owned(),
        tensors: tensors(file, adapters.as_ref()),
        adapters,
    };
    let mut text = serde_json::to_string_pretty(&document).map_err(|_| ExportError::NotJson)?;
    text.push('\n');
    match read(&text) {
        Ok(again) if again == *file => Ok(text),
        _ => Err(ExportError::NotJson),
    }
}

/// The placement in a document written by [`document`], equal to the one that was exported.
///
/// # Errors
/// [`ExportError::NotADocument`], and the error of the placement in it.
pub fn read(text: &str) -> Result<PlacementFile, ExportError> {
    let wrong = |reason: String| ExportError::NotADocument { reason };
    let document: Document =
        from_json(text.as_bytes()).map_err(|problem| wrong(problem.to_string()))?;
    let table: toml::Table =
        serde_json::from_value(document.placement).map_err(|error| wrong(error.to_string()))?;
    Ok(PlacementFile::from_table(&table)?)
}

fn tensors(file: &PlacementFile, adapters: Option<&AdapterFile>) -> Vec<Tensor> {
    let width = file.backbone.width as usize;
    let head = adapters.map(|adapters| {
        [
            ("head.weight".to_owned(), vec![adapters.classes, width]),
            ("head.bias".to_owned(), vec![adapters.classes]),
        ]
    });
    let all = file.placement.tensors(width);
    all.chain(head.into_iter().flatten())
        .map(|(name, shape)| Tensor { name, shape })
        .collect()
}
