use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use adaplace_files::write_atomically;
use adaplace_search_space::Placement;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::Parameters;
use crate::ScoreError;

/// The entry of an adapter file's header that describes the adapters.
const METADATA: &str = "adaplace";

impl Parameters {
    /// Writes the tensors of [`Self::tensors`] as a safetensors file, all f32. `metadata` is stored in the file's
    /// header as one JSON object, `adaplace`.
    ///
    /// # Errors
    /// If the file cannot be written. An earlier file is then unchanged.
    pub fn write(
        &self,
        metadata: &BTreeMap<String, String>,
        path: &Path,
    ) -> Result<(), ScoreError> {
        let failed = |reason: String| ScoreError::AdapterFile {
            path: path.to_owned(),
            reason,
        };
        let tensors = self.tensors();
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|tensor| {
                let values = tensor.values.iter();
                values.flat_map(|value| value.to_le_bytes()).collect()
            })
            .collect();
        let views = tensors
            .into_iter()
            .zip(&bytes)
            .map(|(tensor, bytes)| {
                TensorView::new(Dtype::F32, tensor.shape, bytes).map(|view| (tensor.name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(error.to_string()))?;
        // The header's entries have no order of their own, so a single one makes the files of equal trainings equal.
        let metadata =
            serde_json::to_string(metadata).map_err(|error| failed(error.to_string()))?;
        let header = HashMap::from([(METADATA.to_owned(), metadata)]);
        let bytes = safetensors::serialize(views, Some(header))
            .map_err(|error| failed(error.to_string()))?;
        write_atomically(path, &bytes).map_err(|error| {
            failed(format!(
                "{error}; is the disk full or the folder read-only?"
            ))
        })
    }

    /// Reads back a file of [`Self::write`], for the connections and ranks of `placement`, and its metadata.
    ///
    /// # Errors
    /// If the file is damaged, if it contains other tensors than the placement, or if a value is not finite.
    pub fn read(
        placement: &Placement,
        width: usize,
        path: &Path,
    ) -> Result<(Self, BTreeMap<String, String>), ScoreError> {
        let failed = |reason: String| ScoreError::AdapterFile {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let damaged = |error| failed(format!("it is damaged or truncated ({error})"));
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let tensor = |name: &str, shape: &[usize]| {
            let view = tensors.tensor(name).map_err(|_| {
                failed(format!(
                    "it has no tensor `{name}`; it belongs to another placement"
                ))
            })?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                return Err(failed(format!(
                    "tensor `{name}` is {:?} of shape {:?}, but the placement needs F32 of shape {shape:?}; it belongs to another rank or backbone",
                    view.dtype(),
                    view.shape(),
                )));
            }
            let (values, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = values
                .iter()
                .map(|&value| f32::from_le_bytes(value))
                .collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(failed(format!(
                    "tensor `{name}` contains a value that is not finite; train the placement again"
                )));
            }
            Ok(values)
        };
        let classes = tensors
            .tensor("head.bias")
            .map_or(0, |bias| bias.shape().first().copied().unwrap_or_default());
        let parameters = Self::from_tensors(placement, width, classes, tensor)?;
        let expected = parameters.layout.tensors(placement).count();
        if tensors.len() != expected {
            return Err(failed(format!(
                "it contains {} tensors, but {} adapters and a head have {expected}; it belongs to another placement",
                tensors.len(),
                placement.len(),
            )));
        }
        let metadata = header.metadata().as_ref().and_then(|all| all.get(METADATA));
        let metadata = match metadata {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| failed(format!("its header is damaged ({error})")))?,
        };
        Ok((parameters, metadata))
    }
}
