//! The parts of a block, composed of operations of candle that have a backward pass; the fused layer norm and softmax of
//! candle-nn have none.
//!
//! The weights of a linear layer are a pair of W (outputs, inputs) and b (outputs), those of a layer norm a pair of
//! factors and offsets (width).

use candle_core::{D, Result, Tensor};

/// y = x W^T + b for `x` of shape (batch, tokens, inputs).
pub fn linear(x: &Tensor, (weight, bias): (&Tensor, &Tensor)) -> Result<Tensor> {
    // This is one product over all rows. One product per example would repeat the weights and add up their gradients.
    let (batch, tokens, inputs) = x.dims3()?;
    x.reshape((batch * tokens, inputs))?
        .matmul(&weight.t()?)?
        .broadcast_add(bias)?
        .reshape((batch, tokens, ()))
}

/// y = (x - mean) / sqrt(variance + epsilon) * factors + offsets, over the last dimension.
pub fn layer_norm(
    x: &Tensor,
    (factors, offsets): (&Tensor, &Tensor),
    epsilon: f64,
) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred
        .broadcast_div(&(variance + epsilon)?.sqrt()?)?
        .broadcast_mul(factors)?
        .broadcast_add(offsets)
}

/// output(softmax(Q K^T / sqrt(width / heads)) V) for each head, for `x` of shape (batch, tokens, width). The output of
/// `projection` is Q, K and V side by side.
pub fn attention(
    x: &Tensor,
    projection: (&Tensor, &Tensor),
    output: (&Tensor, &Tensor),
    heads: usize,
) -> Result<Tensor> {
    let (batch, tokens, width) = x.dims3()?;
    let projected = linear(x, projection)?
        .reshape((batch, tokens, 3, heads, width / heads))?
        .permute((2, 0, 3, 1, 4))?;
    let part = |index| projected.get(index)?.contiguous();
    let (query, key, value) = (part(0)?, part(1)?, part(2)?);
    let scale = ((width / heads) as f64).powf(-0.5);
    let scores = (query.matmul(&key.t()?)? * scale)?;
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
pub fn mlp(x: &Tensor, up: (&Tensor, &Tensor), down: (&Tensor, &Tensor)) -> Result<Tensor> {
    linear(&linear(x, up)?.gelu_erf()?, down)
}
