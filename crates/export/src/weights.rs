//! The plain values of adapters and head, in row-major order.

use std::collections::BTreeMap;

use adaplace_search_space::Connection;
use safetensors::tensor::{Dtype, TensorView};

use crate::ExportError;

/// The values of the adapters of a placement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// The adapters, one for each connection of the placement.
    pub adapters: BTreeMap<Connection, AdapterWeights>,
    /// The head that was trained with the adapters. Untrained adapters have none.
    pub head: Option<HeadWeights>,
}

/// The tensors of one adapter of rank r at width d.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterWeights {
    /// The matrix W_down, of shape (r, d).
    pub down_weight: Vec<f32>,
    /// The bias b_down, of shape (r).
    pub down_bias: Vec<f32>,
    /// The matrix W_up, of shape (d, r).
    pub up_weight: Vec<f32>,
    /// The bias b_up, of shape (d).
    pub up_bias: Vec<f32>,
}

/// What a head predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicts {
    /// The class with the largest logit.
    OneClass,
    /// The number that its single row computes, in the unit of the labels.
    Number,
    /// All classes whose logits are above 0.
    AnyClasses,
}

/// The linear head on the pooled last state.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadWeights {
    /// What the head predicts.
    pub predicts: Predicts,
    /// The weights, of shape (classes, d).
    pub weight: Vec<f32>,
    /// The bias, of shape (classes).
    pub bias: Vec<f32>,
    /// The names of the classes, one for each row, or empty if they are unknown.
    pub classes: Vec<String>,
}

/// A tensor to be written: its name, its shape and its values.
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

/// The bytes of a safetensors file of f32 tensors.
///
/// # Errors
/// [`ExportError::Shape`] if the number of values does not match a shape.
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
