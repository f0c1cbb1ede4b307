//! A whole frozen sublayer as one node of the autograd graph.
//!
//! The forward keeps what the gradient towards the incoming state needs; the gradient of the weights is never
//! computed. A forward that nothing asks a gradient of keeps nothing.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor};

use super::attention::{self, Extents};
use super::gelu;
use super::layer_norm::Normalized;
use super::matrix::{Matrix, MatrixMut, Previous, multiply_parallel};
use super::ops::{no_forward, values};
use super::rows::for_rows;
use crate::TokenMask;
use crate::layers::Linear;
use crate::sublayer::{NormPosition, Transform, Weights};

/// h_{n+1} from h_n, both (batch, tokens, width).
pub(crate) fn forward(
    weights: &Arc<Weights>,
    state: &Tensor,
    mask: Option<&TokenMask>,
) -> Result<Tensor> {
    let (batch, tokens, width) = state.dims3()?;
    if let Some(mask) = mask
        && mask.shape() != (batch, tokens)
    {
        return Err(Error::Msg(format!(
            "a mask of shape {:?} does not fit a state of shape {:?}",
            mask.shape(),
            state.dims()
        ))
        .bt());
    }
    if width != weights.norm.weight.len() {
        return Err(Error::Msg(format!(
            "a sublayer of width {} cannot read a state of shape {:?}",
            weights.norm.weight.len(),
            state.dims()
        ))
        .bt());
    }
    state.contiguous()?.apply_op1(Fused {
        weights: Arc::clone(weights),
        mask: mask.cloned(),
        saved: state.track_op().then(OnceLock::new),
    })
}

struct Fused {
    weights: Arc<Weights>,
    mask: Option<TokenMask>,
    /// `None` where no gradient will be asked for.
    saved: Option<OnceLock<Saved>>,
}

struct Saved {
    norm: Normalized,
    transform: SavedTransform,
    extents: Extents,
}

enum SavedTransform {
    /// projections (batch, tokens, 3 width) and attention weights (batch, heads, tokens, tokens)
    Attention {
        projected: Vec<f32>,
        weights: Vec<f32>,
    },
    /// gelu' of the hidden layer, (batch x tokens, intermediate)
    Mlp { slope: Vec<f32> },
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "frozen-sublayer"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, tokens, width) = layout.shape().dims3()?;
        let state = values(storage, layout)?;
        let Weights {
            transform,
            norm,
            norm_position,
        } = &*self.weights;
        let heads = match transform {
            Transform::Attention { heads, .. } => *heads,
            Transform::Mlp { .. } => 1,
        };
        let extents = Extents {
            batch,
            tokens,
            width,
            heads,
        };
        let (result, norm, saved) = match norm_position {
            NormPosition::AfterResidual => {
                let mut sum = state.to_vec();
                let saved = self.add_transform(&mut sum, state, extents);
                let normalized = Normalized::new(sum, width, norm.epsilon);
                let result = normalized.scale_and_shift(&norm.weight, &norm.bias);
                (result, normalized, saved)
            }
            NormPosition::BeforeTransform => {
                let normalized = Normalized::new(state.to_vec(), width, norm.epsilon);
                let input = normalized.scale_and_shift(&norm.weight, &norm.bias);
                let mut sum = state.to_vec();
                let saved = self.add_transform(&mut sum, &input, extents);
                (sum, normalized, saved)
            }
        };
        if let (Some(cell), Some(transform)) = (&self.saved, saved) {
            // A second forward of the same operation gives the same values.
            let _ = cell.set(Saved {
                norm,
                transform,
                extents,
            });
        }
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, _state: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let saved = self
            .saved
            .as_ref()
            .and_then(OnceLock::get)
            .ok_or_else(no_forward)?;
        let backward = FusedBackward {
            weights: &self.weights,
            saved,
        };
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&backward)?))
    }
}

impl Fused {
    /// sum += transform(input), both (batch x tokens, width); what the gradient needs, where it is asked for.
    fn add_transform(
        &self,
        sum: &mut [f32],
        input: &[f32],
        extents: Extents,
    ) -> Option<SavedTransform> {
        let rows = extents.batch * extents.tokens;
        match &self.weights.transform {
            Transform::Attention {
                projection, output, ..
            } => {
                let projected = apply(projection, input, rows);
                let (weights, mixed) = attention::forward(extents, &projected, self.mask.as_ref());
                add(output, &mixed, sum, rows);
                self.saved
                    .is_some()
                    .then_some(SavedTransform::Attention { projected, weights })
            }
            Transform::Mlp { up, down } => {
                let mut hidden = apply(up, input, rows);
                if self.saved.is_none() {
                    gelu::in_place(&mut hidden, up.outputs);
                    add(down, &hidden, sum, rows);
                    return None;
                }
                let mut activation = vec![0.0; hidden.len()];
                gelu::with_derivative(&mut hidden, &mut activation, up.outputs);
                add(down, &activation, sum, rows);
                Some(SavedTransform::Mlp { slope: hidden })
            }
        }
    }
}

struct FusedBackward<'a> {
    weights: &'a Weights,
    saved: &'a Saved,
}

impl CustomOp1 for FusedBackward<'_> {
    fn name(&self) -> &'static str {
        "frozen-sublayer-backward"
    }

    /// dL/dh_n from dL/dh_{n+1}
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut gradient = values(storage, layout)?.to_vec();
        let norm = &self.saved.norm;
        let norm_weight = Some(&self.weights.norm.weight[..]);
        match self.weights.norm_position {
            NormPosition::AfterResidual => {
                norm.backward(&mut gradient, norm_weight);
                // The residual's share is the gradient itself.
                let mut result = gradient.clone();
                self.transform_backward(&gradient, &mut result, Previous::Add);
                Ok((CpuStorage::F32(result), layout.shape().clone()))
            }
            NormPosition::BeforeTransform => {
                let mut result = vec![0.0; gradient.len()];
                self.transform_backward(&gradient, &mut result, Previous::Overwrite);
                norm.backward(&mut result, norm_weight);
                let width = self.saved.extents.width;
                for_rows(
                    &mut gradient,
                    width,
                    #[inline(always)]
                    |index, row| {
                        for (g, &share) in row.iter_mut().zip(&result[index * width..]) {
                            *g += share;
                        }
                    },
                );
                Ok((CpuStorage::F32(gradient), layout.shape().clone()))
            }
        }
    }
}

impl FusedBackward<'_> {
    /// The gradient towards the transform's input from the one towards its result, both (batch x tokens, width).
    fn transform_backward(&self, gradient: &[f32], result: &mut [f32], previous: Previous) {
        let extents = self.saved.extents;
        let rows = extents.batch * extents.tokens;
        match (&self.weights.transform, &self.saved.transform) {
            (
                Transform::Attention {
                    projection, output, ..
                },
                SavedTransform::Attention { projected, weights },
            ) => {
                let mixed = pull_back(output, gradient, rows);
                let projected = attention::backward(extents, projected, weights, &mixed);
                pull_back_into(projection, &projected, result, rows, previous);
            }
            (Transform::Mlp { up, down }, SavedTransform::Mlp { slope }) => {
                let mut hidden = pull_back(down, gradient, rows);
                let width = up.outputs;
                for_rows(
                    &mut hidden,
                    width,
                    #[inline(always)]
                    |index, row| {
                        for (g, &slope) in row.iter_mut().zip(&slope[index * width..]) {
                            *g *= slope;
                        }
                    },
                );
                pull_back_into(up, &hidden, result, rows, previous);
            }
            (Transform::Attention { .. }, SavedTransform::Mlp { .. })
            | (Transform::Mlp { .. }, SavedTransform::Attention { .. }) => {
                unreachable!("a sublayer saves what its own transform needs")
            }
        }
    }
}

/// x W^T + b, shape (rows, outputs)
fn apply(layer: &Linear, x: &[f32], rows: usize) -> Vec<f32> {
    let mut result = layer.bias.repeat(rows);
    product(layer, x, &mut result, rows);
    result
}

/// sum += x W^T + b
fn add(layer: &Linear, x: &[f32], sum: &mut [f32], rows: usize) {
    for_rows(
        sum,
        layer.outputs,
        #[inline(always)]
        |_, row| {
            for (value, &bias) in row.iter_mut().zip(&layer.bias) {
                *value += bias;
            }
        },
    );
    product(layer, x, sum, rows);
}

/// sum += x W^T
fn product(layer: &Linear, x: &[f32], sum: &mut [f32], rows: usize) {
    multiply_parallel(
        MatrixMut::new(sum, rows, layer.outputs),
        Previous::Add,
        Matrix::new(x, rows, layer.inputs),
        Matrix::new(&layer.weight, layer.outputs, layer.inputs).transposed(),
        1.0,
    );
}

/// gradient W, shape (rows, inputs)
fn pull_back(layer: &Linear, gradient: &[f32], rows: usize) -> Vec<f32> {
    let mut result = vec![0.0; rows * layer.inputs];
    pull_back_into(layer, gradient, &mut result, rows, Previous::Overwrite);
    result
}

fn pull_back_into(
    layer: &Linear,
    gradient: &[f32],
    result: &mut [f32],
    rows: usize,
    previous: Previous,
) {
    multiply_parallel(
        MatrixMut::new(result, rows, layer.inputs),
        previous,
        Matrix::new(gradient, rows, layer.outputs),
        Matrix::new(&layer.weight, layer.outputs, layer.inputs),
        1.0,
    );
}
