use std::collections::HashMap;
use std::path::Path;

use adaplace_files::write_atomically;
use adaplace_search_space::Placement;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{HEAD_BIAS, HEAD_WEIGHT, Metadata, Parameters};
use crate::ScoreError;

/// The entry of an adapter file's header that describes the adapters.
const METADATA: &str = "adaplace";

impl Parameters {
    /// Writes the tensors of [`Self::tensors`] as a safetensors file, all f32. `metadata` is stored in the file's
    /// header as one JSON object, `adaplace`.
    ///
    /// # Errors
    /// If a value is not finite, or the file cannot be written. An earlier file is then unchanged.
    pub fn write(&self, metadata: &Metadata, path: &Path) -> Result<(), ScoreError> {
        let failed = |reason: String| ScoreError::AdapterFile {
            path: path.to_owned(),
            reason,
        };
        let tensors = self.tensors();
        for tensor in &tensors {
            check_finite(&tensor.name, &tensor.values).map_err(failed)?;
        }
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

    /// Reads back a file of [`Self::write`], for the connections and ranks of `placement`, and its metadata. Adapters
    /// without a head have no classes.
    ///
    /// # Errors
    /// If the file is damaged, if it contains other tensors than the placement, or if a value is not finite.
    pub fn read(
        placement: &Placement,
        width: usize,
        path: &Path,
    ) -> Result<(Self, Metadata), ScoreError> {
        let failed = |reason: String| ScoreError::AdapterFile {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let damaged = |error| failed(format!("it is damaged or truncated ({error})"));
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        // A head may lack one of its two tensors, which is then missed below.
        let rows = |name| Some(*file.tensor(name).ok()?.shape().first()?);
        let classes = rows(HEAD_BIAS).or_else(|| rows(HEAD_WEIGHT)).unwrap_or(0);
        let parameters = Self::from_tensors(placement, width, classes, |name, shape| {
            values(&file, name, shape).map_err(failed)
        })?;
        let known = parameters.tensors();
        let unknown = file
            .names()
            .into_iter()
            .filter(|name| known.iter().all(|tensor| tensor.name != *name))
            .min();
        if let Some(name) = unknown {
            return Err(failed(format!(
                "it has the tensor `{name}`, which the placement does not have; it belongs to another placement"
            )));
        }
        let metadata = header.metadata().as_ref().and_then(|all| all.get(METADATA));
        let metadata = match metadata {
            None => Metadata::default(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| failed(format!("its header is damaged ({error})")))?,
        };
        Ok((parameters, metadata))
    }
}

/// The values of a tensor in row-major order, or what is wrong with it.
fn values(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|_| {
        format!(
            "it has no tensor `{name}` of shape {shape:?}; it is incomplete or belongs to another placement"
        )
    })?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!(
            "tensor `{name}` is {:?} of shape {:?}, but the placement needs F32 of shape {shape:?}; it belongs to another rank or backbone",
            view.dtype(),
            view.shape(),
        ));
    }
    let (values, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = values
        .iter()
        .map(|&value| f32::from_le_bytes(value))
        .collect();
    check_finite(name, &values)?;
    Ok(values)
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), String> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(format!(
            "tensor `{name}` contains a value that is not finite; train the placement again"
        )),
    }
}
