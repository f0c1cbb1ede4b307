//! Multi-head self-attention and its gradient. The formulas are in [`crate::kernels`].

use candle_core::{D, Tensor};

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
        heads: usize,
        projected: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let (examples, tokens) = rows.table();
        let width = projected.dims2()?.1 / 3;
        let parts = rows.places_of_rows(projected)?;
        let parts = parts.reshape(&[examples, tokens, 3, heads, width / heads][..])?;
        let part = |index: usize| {
            let part = parts.narrow(2, index, 1)?.squeeze(2)?;
            part.transpose(1, 2)?.contiguous()
        };
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let mut scores = (query.matmul(&key.t()?)? * scale(&query)?)?;
        if let Some(filled) = rows.filled() {
            // 0 for a token, the lowest number for a place without one.
            let lowest = f64::from(f32::MIN);
            let bias = filled.affine(-lowest, lowest)?;
            scores = scores.broadcast_add(&bias.reshape((examples, 1, 1, tokens))?)?;
        }
        let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?;
        let shares = shifted.exp()?;
        let weights = shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?;
        let mixed = weights.matmul(&value)?.transpose(1, 2)?;
        let mixed = mixed.reshape((examples * tokens, width))?;
        self.query.set(query)?;
        self.key.set(key)?;
        self.value.set(value)?;
        self.weights.set(weights)?;
        rows.rows_of_places(&mixed)
    }

    pub(super) fn backward(&self, gradient: &Tensor, rows: &ExampleRows) -> Result<Tensor> {
        let (query, key, value) = (self.query.get()?, self.key.get()?, self.value.get()?);
        let weights = self.weights.get()?;
        let (examples, heads, tokens, head_width) = query.dims4()?;
        let mut gradient = rows
            .places_of_rows(gradient)?
            .reshape((examples, tokens, heads, head_width))?;
        if let Some(filled) = rows.filled() {
            gradient = gradient.broadcast_mul(&filled.reshape((examples, tokens, 1, 1))?)?;
        }
        let gradient = gradient.transpose(1, 2)?.contiguous()?;
        let towards_value = weights.t()?.matmul(&gradient)?;
        let towards_weights = gradient.matmul(&value.t()?)?;
        let along = (&towards_weights * weights)?.sum_keepdim(D::Minus1)?;
        let towards_scores = (towards_weights.broadcast_sub(&along)? * weights)?;
        let towards_scores = (towards_scores * scale(query)?)?;
        let towards_query = towards_scores.matmul(key)?;
        let towards_key = towards_scores.t()?.matmul(query)?;
        // (examples, tokens, 3, heads, width of a head)
        let parts = [towards_query, towards_key, towards_value];
        let parts = Tensor::stack(&parts, 2)?.permute(&[0, 3, 2, 1, 4][..])?;
        let all = parts.reshape((examples * tokens, 3 * heads * head_width))?;
        rows.rows_of_places(&all)
    }
}

fn scale(query: &Tensor) -> Result<f64> {
    Ok((query.dim(D::Minus1)? as f64).sqrt().recip())
}
