//! Multi-head self-attention and its gradient. The formulas are in [`crate::kernels`].

use candle_core::{D, Tensor};

use super::compound::Compound;
use super::rows::ExampleRows;
use super::tensors::Slot;
use crate::Result;

/// Query, key and value, and the attention weights, each with a place for every token of the longest example.
#[derive(Default)]
pub struct SavedAttention {
    /// Query, key and value, each (examples, heads, tokens, width of a head).
    query: Slot,
    key: Slot,
    value: Slot,
    /// The weights P, (examples, heads, tokens, tokens).
    weights: Slot,
}

impl SavedAttention {
    pub(super) fn forward(
        &mut self,
        compound: &dyn Compound,
        heads: usize,
        projected: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let parts = compound.split_heads(projected, 3, heads, rows)?;
        let part = |index: usize| parts.get(index);
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let scores = query.matmul(&key.t()?)?;
        let weights = compound.softmax_forward(&scores, scale(&query)?, rows)?;
        let mixed = weights.matmul(&value)?;
        self.query.set(query)?;
        self.key.set(key)?;
        self.value.set(value)?;
        self.weights.set(weights)?;
        compound.merge_heads(&[mixed], rows)
    }

    pub(super) fn backward(
        &self,
        compound: &dyn Compound,
        gradient: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let (query, key, value) = (self.query.get()?, self.key.get()?, self.value.get()?);
        let weights = self.weights.get()?;
        let heads = query.dim(1)?;
        let gradient = compound.split_heads(gradient, 1, heads, rows)?.get(0)?;
        let towards_value = weights.t()?.matmul(&gradient)?;
        let towards_weights = gradient.matmul(&value.t()?)?;
        let towards_scores = compound.softmax_backward(&towards_weights, weights, scale(query)?)?;
        let towards_query = towards_scores.matmul(key)?;
        let towards_key = towards_scores.t()?.matmul(query)?;
        compound.merge_heads(&[towards_query, towards_key, towards_value], rows)
    }
}

fn scale(query: &Tensor) -> Result<f64> {
    Ok((query.dim(D::Minus1)? as f64).sqrt().recip())
}
