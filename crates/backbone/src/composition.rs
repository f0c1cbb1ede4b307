//! The parts of a block, composed of candle's own operations on weights that are tensors.
//!
//! They are differentiable with respect to the state and the weights, on any device (candle-nn's fused layer norm and
//! softmax have no backward pass). [`crate::Sublayer::forward`] runs them on the frozen weights. Weights that are
//! variables are trained.
//!
//! The weights of a linear layer are a pair of W (outputs, inputs) and b (outputs), those of a layer norm a pair of
//! factors and offsets (width).

use candle_core::{D, Result, Tensor};

use crate::TokenMask;

/// y = x W^T + b for `x` of shape (batch, tokens, inputs).
///
/// # Errors
/// If the shapes do not fit.
pub fn linear(x: &Tensor, (weight, bias): (&Tensor, &Tensor)) -> Result<Tensor> {
    // This is one product over all rows. One product per example would repeat the weights and add up their gradients.
    let (batch, tokens, inputs) = x.dims3()?;
    x.reshape((batch * tokens, inputs))?
        .matmul(&weight.t()?)?
        .broadcast_add(bias)?
        .reshape((batch, tokens, ()))
}

/// y = (x - mean) / sqrt(variance + epsilon) * factors + offsets, over the last dimension.
///
/// # Errors
/// If the shapes do not fit.
pub fn layer_norm(
    x: &Tensor,
    (factors, offsets): (&Tensor, &Tensor),
    epsilon: f64,
) -> Result<Tensor> {
    normalize(x, epsilon)?
        .broadcast_mul(factors)?
        .broadcast_add(offsets)
}

/// (x - mean) / sqrt(variance + epsilon) over the last dimension.
///
/// # Errors
/// If `x` is not a floating-point tensor.
pub(crate) fn normalize(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + epsilon)?.sqrt()?)
}

/// output(softmax(Q K^T / sqrt(width / heads)) V) for each head, for `x` of shape (batch, tokens, width). The output of
/// `projection` is Q, K and V side by side. Tokens that `mask` leaves out are not attended to.
///
/// # Errors
/// If the shapes do not fit.
pub fn attention(
    x: &Tensor,
    projection: (&Tensor, &Tensor),
    output: (&Tensor, &Tensor),
    heads: usize,
    mask: Option<&TokenMask>,
) -> Result<Tensor> {
    let (batch, tokens, width) = x.dims3()?;
    let projected = linear(x, projection)?
        .reshape((batch, tokens, 3, heads, width / heads))?
        .permute((2, 0, 3, 1, 4))?;
    let part = |index| projected.get(index)?.contiguous();
    let (query, key, value) = (part(0)?, part(1)?, part(2)?);
    let scale = ((width / heads) as f64).powf(-0.5);
    let mut scores = (query.matmul(&key.t()?)? * scale)?;
    if let Some(mask) = mask {
        // This is 0 for a real token and the lowest number for any other.
        let lowest = f64::from(f32::MIN);
        let bias = mask.to_tensor(x.device())?.affine(-lowest, lowest)?;
        scores = scores.broadcast_add(&bias.reshape((batch, 1, 1, tokens))?)?;
    }
    let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?;
    let exponentials = scores.exp()?;
    let weights = exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)?;
    let mixed = weights
        .matmul(&value)?
        .transpose(1, 2)?
        .reshape((batch, tokens, width))?;
    linear(&mixed, output)
}

/// down(gelu(up(x))) for `x` of shape (batch, tokens, width).
///
/// # Errors
/// If the shapes do not fit.
pub fn mlp(x: &Tensor, up: (&Tensor, &Tensor), down: (&Tensor, &Tensor)) -> Result<Tensor> {
    linear(&linear(x, up)?.gelu_erf()?, down)
}
