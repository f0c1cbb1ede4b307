//! Multi-head self-attention and its gradient. The formulas are in [`crate::kernels`].

use candle_core::{D, Tensor};

use super::OnDevice;
use super::products::Transposed;
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
    /// `bias` is what `projected` still lacks.
    pub(super) fn forward(
        &mut self,
        device: &OnDevice,
        heads: usize,
        projected: &Tensor,
        bias: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let compound = &device.compound;
        let parts = compound.split_heads(projected, Some(bias), 3, heads, rows)?;
        let part = |index: usize| parts.get(index);
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let scores = device.of_heads(&query, &key, Transposed::Right)?;
        let weights = compound.softmax_forward(&scores, scale(&query)?, rows)?;
        let mixed = device.of_heads(&weights, &value, Transposed::Neither)?;
        self.query.set(query)?;
        self.key.set(key)?;
        self.value.set(value)?;
        self.weights.set(weights)?;
        compound.merge_heads(&[mixed], rows, device.operands())
    }

    pub(super) fn backward(
        &self,
        device: &OnDevice,
        gradient: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let compound = &device.compound;
        let (query, key, value) = (self.query.get()?, self.key.get()?, self.value.get()?);
        let weights = self.weights.get()?;
        let heads = query.dim(1)?;
        let gradient = compound
            .split_heads(gradient, None, 1, heads, rows)?
            .get(0)?;
        let towards_value = device.of_heads(weights, &gradient, Transposed::Left)?;
        let towards_weights = device.of_heads(&gradient, value, Transposed::Right)?;
        let towards_scores = compound.softmax_backward(&towards_weights, weights, scale(query)?)?;
        let towards_query = device.of_heads(&towards_scores, key, Transposed::Neither)?;
        let towards_key = device.of_heads(&towards_scores, query, Transposed::Left)?;
        let parts = [towards_query, towards_key, towards_value];
        compound.merge_heads(&parts, rows, device.operands())
    }
}

fn scale(query: &Tensor) -> Result<f64> {
    Ok((query.dim(D::Minus1)? as f64).sqrt().recip())
}
