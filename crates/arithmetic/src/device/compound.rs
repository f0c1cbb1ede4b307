//! Operations that consist of several operations of tensors.
//!
//! On any device [`Composition`] computes them step by step. On a card of NVIDIA each is a kernel of this crate.

mod composition;
#[cfg(any(test, feature = "cuda"))]
mod kernels;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::ops::Range;

use candle_core::{DType, Tensor};

pub(super) use self::composition::Composition;
#[cfg(feature = "cuda")]
pub(super) use self::kernels::cuda;
use super::optimiser::{Models, Moments};
use super::rows::ExampleRows;
use crate::{Activation, Result};

/// The operations, on contiguous tensors of f32. Some say of which type their result is: that of the operands of the
/// product that takes it (see [`Products::operands`](super::products::Products::operands)).
pub(super) trait Compound: Debug + Send + Sync {
    /// Computes x + bias + to. The bias is (width) for x (rows, width), and (blocks, 1, width) for x (blocks, rows, width).
    fn add_bias(&self, x: &Tensor, bias: &Tensor, to: Option<&Tensor>) -> Result<Tensor>;

    /// Computes f(x + bias) with the activation f, shaped as for [`Self::add_bias`].
    fn activate(
        &self,
        activation: Activation,
        x: &Tensor,
        bias: &Tensor,
        result: DType,
    ) -> Result<Tensor>;

    /// Computes gelu(x + bias) and gelu'(x + bias), shaped as for [`Self::add_bias`].
    fn gelu_and_slope(&self, x: &Tensor, bias: &Tensor) -> Result<[Tensor; 2]>;

    /// Computes the gradient with respect to x + bias from that with respect to f(x + bias).
    fn activation_backward(
        &self,
        activation: Activation,
        gradient: &Tensor,
        x: &Tensor,
        bias: &Tensor,
        result: DType,
    ) -> Result<Tensor>;

    /// The sum of `to`, (rows, width), and the rows of `from`, which belong to these blocks of it, one after the other.
    fn add_blocks(&self, to: &Tensor, from: &Tensor, blocks: &[Range<usize>]) -> Result<Tensor>;

    /// Normalises the rows of x.
    fn normalize(&self, x: &Tensor, of: NormKind) -> Result<Normalized>;

    /// Normalises the rows of x, and applies the factors and the summands.
    fn norm_forward(
        &self,
        x: &Tensor,
        weights: [&Tensor; 2],
        of: NormKind,
        kept: Kept,
        result: DType,
    ) -> Result<(Tensor, Option<Normalized>)>;

    /// The gradient with respect to the input of a norm with these factors, from that with respect to its result,
    /// added to `to` if there is one.
    fn norm_backward(
        &self,
        gradient: &Tensor,
        weight: Option<&Tensor>,
        saved: &Normalized,
        to: Option<&Tensor>,
    ) -> Result<Tensor>;

    /// The sum of the rows of every example, (examples, width).
    fn sums(&self, of: &Tensor, rows: &ExampleRows) -> Result<Tensor>;

    /// Arranges rows of `parts` x heads x width of a head, plus a bias, by part, example, head and token, with zeros for the
    /// tokens that an example does not have: (parts, examples, heads, tokens, width of a head).
    fn split_heads(
        &self,
        from: &Tensor,
        bias: Option<&Tensor>,
        parts: usize,
        heads: usize,
        rows: &ExampleRows,
    ) -> Result<Tensor>;

    /// Arranges some parts, each (examples, heads, tokens, width of a head), side by side in rows.
    fn merge_heads(&self, parts: &[Tensor], rows: &ExampleRows, result: DType) -> Result<Tensor>;

    /// The softmax of `scale` times the scores, (examples, heads, tokens, tokens), over the tokens of each example.
    fn softmax_forward(&self, scores: &Tensor, scale: f64, rows: &ExampleRows) -> Result<Tensor>;

    /// The gradient with respect to the scores from that with respect to the weights.
    fn softmax_backward(
        &self,
        towards_weights: &Tensor,
        weights: &Tensor,
        scale: f64,
    ) -> Result<Tensor>;

    /// The norm of each model's gradients, (models), from those of all values, (1, values).
    fn norms_of_models(&self, gradients: &Tensor, models: &Models) -> Result<Tensor>;

    /// One step of AdamW on gradients that are shortened by their norms. All are (1, values). The result are the values
    /// afterwards.
    fn adamw(
        &self,
        step: &AdamWStep<'_>,
        values: &Tensor,
        gradients: &Tensor,
        moments: &mut Moments,
    ) -> Result<Tensor>;
}

/// How a norm scales a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormKind {
    /// Whether the mean is subtracted, as in a layer norm.
    pub(super) centred: bool,
    pub(super) epsilon: f64,
}

impl NormKind {
    pub(super) fn layer_norm(epsilon: f64) -> Self {
        Self {
            centred: true,
            epsilon,
        }
    }
}

/// What a norm keeps for its gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// The normalised rows.
    Rows,
    /// Its input, because something else keeps that anyway.
    Input,
}

/// Normalised rows, and 1 / sqrt(variance + epsilon) of each, (rows, 1).
pub(super) struct Normalized {
    /// Whether the mean was subtracted.
    pub(super) centred: bool,
    /// The normalised rows, or the ones before if there are `means`.
    pub(super) rows: Tensor,
    pub(super) inverse_deviation: Tensor,
    /// The means of the rows, (rows, 1), or zeros if the mean is not subtracted.
    pub(super) means: Option<Tensor>,
}

/// The numbers of a step of AdamW.
pub(super) struct AdamWStep<'a> {
    /// The number of the step, counted from 1.
    pub(super) number: i32,
    /// The share of the highest learning rates.
    pub(super) factor: f64,
    /// The highest learning rate of each value, (1, values).
    pub(super) rates: &'a Tensor,
    pub(super) weight_decay: f64,
    pub(super) clip: f64,
    pub(super) models: &'a Models,
    /// The norm of each model's gradients, (models).
    pub(super) norms: &'a Tensor,
}
