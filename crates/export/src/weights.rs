//! Plain values of adapters and head, row by row.

use std::collections::BTreeMap;

use adaplace_search_space::Connection;
use safetensors::tensor::{Dtype, TensorView};

use crate::ExportError;

/// What the adapters of a placement hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// One for each connection of the placement.
    pub adapters: BTreeMap<Connection, AdapterWeights>,
    /// The head that was trained with them; untrained adapters have none.
    pub head: Option<HeadWeights>,
}

/// The tensors of one adapter of rank r at width d.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterWeights {
    /// W_down, shape (r, d)
    pub down_weight: Vec<f32>,
    /// b_down, shape (r)
    pub down_bias: Vec<f32>,
    /// W_up, shape (d, r)
    pub up_weight: Vec<f32>,
    /// b_up, shape (d)
    pub up_bias: Vec<f32>,
}

/// The linear head on the pooled last state.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadWeights {
    /// Shape (classes, d)
    pub weight: Vec<f32>,
    /// Shape (classes)
    pub bias: Vec<f32>,
    /// Names of the classes, one for each row, or none where they are not known.
    pub classes: Vec<String>,
}

/// A tensor in the making: its name, its shape and its values.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl Named {
    pub(crate) fn new(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        }
    }
}

/// The bytes of a safetensors file of f32.
///
/// # Errors
/// [`ExportError::Shape`] for values that do not fill their shape.
pub(crate) fn safetensors(tensors: &[Named]) -> Result<Vec<u8>, ExportError> {
    let mut bytes = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        if tensor.values.len() != tensor.shape.iter().product::<usize>() {
            return Err(ExportError::Shape {
                tensor: tensor.name.clone(),
                values: tensor.values.len(),
                shape: tensor.shape.clone(),
            });
        }
        let little_endian = tensor.values.iter().flat_map(|value| value.to_le_bytes());
        bytes.push(little_endian.collect::<Vec<u8>>());
    }
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?;
            Ok((tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    Ok(safetensors::serialize(views, None)?)
}
