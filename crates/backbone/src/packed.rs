//! The chain of sublayers as the processor runs it: over rows without padding, with weights packed once.

use std::sync::Arc;

use crate::kernels::attention;
use crate::kernels::frozen_product::{FrozenProduct, Precision, RoundedScratch};
use crate::kernels::gelu;
use crate::kernels::instruction_set::InstructionSet;
use crate::kernels::layer_norm::{self, SavedNorm};
use crate::kernels::matrix::{Matrix, MatrixMut};
use crate::kernels::product::Start;
use crate::layers::Linear;
use crate::sublayer::{NormPosition, Sublayer, Transform};

/// A sublayer whose weights are packed for the processor's kernels.
///
/// A state consists of rows of `width` values, the real tokens of one example after those of the other. `examples` are
/// the offsets of the rows where each example starts, followed by the number of rows. Everything runs on the calling
/// thread alone. The result for an example does not depend on the others in its batch.
pub struct PackedSublayer {
    frozen: Arc<Sublayer>,
    set: InstructionSet,
    /// The projection of an attention, or `up` of an MLP.
    first: PackedLinear,
    /// The output layer of an attention, or `down` of an MLP.
    second: PackedLinear,
}

impl std::fmt::Debug for PackedSublayer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("PackedSublayer");
        shown.field("set", &self.set).finish_non_exhaustive()
    }
}

/// The part of a sublayer's forward pass that its gradient needs. The memory is reused by the next sublayer.
#[derive(Default)]
pub struct SavedSublayer {
    norm: SavedNorm,
    /// The projections (rows, 3 width), or gelu' of the hidden layer (rows, intermediate).
    hidden: Vec<f32>,
    /// The attention weights, (heads, tokens, tokens) for each example.
    attention: Vec<f32>,
}

/// Memory for intermediate values, reused by every sublayer.
#[derive(Default)]
pub struct SublayerScratch {
    hidden: Vec<f32>,
    towards_hidden: Vec<f32>,
    state: Vec<f32>,
    attention: attention::Scratch,
    rounded: RoundedScratch,
}

/// A linear layer whose products are packed for both directions.
struct PackedLinear {
    set: InstructionSet,
    forward: FrozenProduct,
    backward: FrozenProduct,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl PackedLinear {
    fn new(set: InstructionSet, precision: Precision, layer: &Linear) -> Self {
        let weight = Matrix::new(&layer.weight, layer.outputs, layer.inputs);
        Self {
            set,
            forward: FrozenProduct::new(set, precision, weight.transposed()),
            backward: FrozenProduct::new(set, precision, weight),
            bias: layer.bias.clone(),
            inputs: layer.inputs,
            outputs: layer.outputs,
        }
    }

    /// Computes `result` = x W^T + b, or adds that to it.
    fn apply(&self, x: &[f32], result: &mut [f32], add: bool, scratch: &mut RoundedScratch) {
        let start = match add {
            true => Start::ResultAndBias(&self.bias),
            false => Start::Bias(&self.bias),
        };
        let result = MatrixMut::new(result, x.len() / self.inputs, self.outputs);
        self.forward.multiply(self.set, result, start, x, scratch);
    }

    /// Computes `result` = gradient W, or adds that to it.
    fn pull_back(
        &self,
        gradient: &[f32],
        result: &mut [f32],
        add: bool,
        scratch: &mut RoundedScratch,
    ) {
        let start = if add { Start::Result } else { Start::Nothing };
        let result = MatrixMut::new(result, gradient.len() / self.outputs, self.inputs);
        self.backward
            .multiply(self.set, result, start, gradient, scratch);
    }
}

/// The first `length` values of a buffer that grows as needed.
fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

impl PackedSublayer {
    pub(crate) fn new(sublayer: &Arc<Sublayer>, set: InstructionSet, precision: Precision) -> Self {
        let (first, second) = sublayer.transform.layers();
        Self {
            set,
            first: PackedLinear::new(set, precision, first),
            second: PackedLinear::new(set, precision, second),
            frozen: Arc::clone(sublayer),
        }
    }

    /// Whether each row of the result depends on that row of the state alone, as in an MLP.
    #[must_use]
    pub fn works_on_single_rows(&self) -> bool {
        match self.frozen.transform {
            Transform::Attention { .. } => false,
            Transform::Mlp { .. } => true,
        }
    }

    /// Computes `result` = h_{n+1} from `state` = h_n, and stores what the gradient needs in `saved`.
    ///
    /// # Panics
    /// If the rows of the states are not those of the examples.
    pub fn forward(
        &self,
        state: &[f32],
        examples: &[usize],
        result: &mut [f32],
        saved: Option<&mut SavedSublayer>,
        scratch: &mut SublayerScratch,
    ) {
        let Sublayer {
            norm,
            norm_position,
            ..
        } = &*self.frozen;
        self.check(state, examples);
        result.copy_from_slice(state);
        let mut saved = saved;
        match norm_position {
            NormPosition::AfterResidual => {
                self.add_transform(state, examples, result, saved.as_deref_mut(), scratch);
                let saved = saved.map(|saved| &mut saved.norm);
                layer_norm::forward(self.set, norm, result, saved);
            }
            NormPosition::BeforeTransform => {
                let mut input = std::mem::take(&mut scratch.state);
                let normalized = sized(&mut input, state.len());
                normalized.copy_from_slice(state);
                let norm_saved = saved.as_deref_mut().map(|saved| &mut saved.norm);
                layer_norm::forward(self.set, norm, normalized, norm_saved);
                self.add_transform(normalized, examples, result, saved, scratch);
                scratch.state = input;
            }
        }
    }

    /// Computes `result` += transform(input).
    fn add_transform(
        &self,
        input: &[f32],
        examples: &[usize],
        result: &mut [f32],
        saved: Option<&mut SavedSublayer>,
        scratch: &mut SublayerScratch,
    ) {
        let rows = input.len() / self.width();
        let SublayerScratch {
            hidden: scratch_hidden,
            towards_hidden,
            attention: attention_scratch,
            rounded,
            ..
        } = scratch;
        match &self.frozen.transform {
            Transform::Attention { heads, .. } => {
                let mut unsaved = Vec::new();
                let (projected, weights) = match saved {
                    Some(saved) => (&mut saved.hidden, &mut saved.attention),
                    None => (scratch_hidden, &mut unsaved),
                };
                let projected = sized(projected, rows * self.first.outputs);
                self.first.apply(input, projected, false, rounded);
                let mixed = sized(towards_hidden, rows * self.second.inputs);
                self.attention(*heads).forward(
                    projected,
                    examples,
                    weights,
                    mixed,
                    attention_scratch,
                );
                self.second.apply(mixed, result, true, rounded);
            }
            Transform::Mlp { .. } => {
                let length = rows * self.first.outputs;
                let activation = match saved {
                    Some(saved) => {
                        let hidden = sized(&mut saved.hidden, length);
                        self.first.apply(input, hidden, false, rounded);
                        let activation = sized(scratch_hidden, length);
                        gelu::with_derivative(self.set, hidden, activation);
                        activation
                    }
                    None => {
                        let hidden = sized(scratch_hidden, length);
                        self.first.apply(input, hidden, false, rounded);
                        gelu::in_place(self.set, hidden);
                        hidden
                    }
                };
                self.second.apply(activation, result, true, rounded);
            }
        }
    }

    /// Computes `result` = dL/dh_n, or adds that to it, from `gradient` = dL/dh_{n+1}, which is used up.
    ///
    /// # Panics
    /// If the rows of the states are not those of the examples, or if `saved` belongs to another forward pass.
    pub fn backward(
        &self,
        saved: &SavedSublayer,
        examples: &[usize],
        gradient: &mut [f32],
        result: &mut [f32],
        add: bool,
        scratch: &mut SublayerScratch,
    ) {
        self.check(gradient, examples);
        let norm = &self.frozen.norm;
        match self.frozen.norm_position {
            NormPosition::AfterResidual => {
                layer_norm::backward(self.set, norm, &saved.norm, gradient);
                // The residual's share is the gradient itself.
                if add {
                    self.add(gradient, result);
                } else {
                    result.copy_from_slice(gradient);
                }
                self.transform_backward(saved, examples, gradient, result, true, scratch);
            }
            NormPosition::BeforeTransform => {
                let mut input = std::mem::take(&mut scratch.state);
                let towards_input = sized(&mut input, gradient.len());
                self.transform_backward(saved, examples, gradient, towards_input, false, scratch);
                layer_norm::backward(self.set, norm, &saved.norm, towards_input);
                if add {
                    self.add(gradient, result);
                } else {
                    result.copy_from_slice(gradient);
                }
                self.add(towards_input, result);
                scratch.state = input;
            }
        }
    }

    /// The gradient with respect to the transform's input from that with respect to its result, both (rows, width).
    fn transform_backward(
        &self,
        saved: &SavedSublayer,
        examples: &[usize],
        gradient: &[f32],
        result: &mut [f32],
        add: bool,
        scratch: &mut SublayerScratch,
    ) {
        let rows = gradient.len() / self.width();
        let hidden = sized(&mut scratch.hidden, rows * self.second.inputs);
        self.second
            .pull_back(gradient, hidden, false, &mut scratch.rounded);
        let towards_first = match &self.frozen.transform {
            Transform::Attention { heads, .. } => {
                let projected = sized(&mut scratch.towards_hidden, rows * self.first.outputs);
                self.attention(*heads).backward(
                    &saved.hidden,
                    examples,
                    &saved.attention,
                    hidden,
                    projected,
                    &mut scratch.attention,
                );
                projected
            }
            Transform::Mlp { .. } => {
                let slope = &saved.hidden[..hidden.len()];
                self.set.run(
                    #[inline(always)]
                    || {
                        for (g, &slope) in hidden.iter_mut().zip(slope) {
                            *g *= slope;
                        }
                    },
                );
                hidden
            }
        };
        self.first
            .pull_back(towards_first, result, add, &mut scratch.rounded);
    }

    fn add(&self, from: &[f32], to: &mut [f32]) {
        self.set.run(
            #[inline(always)]
            || {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to += from;
                }
            },
        );
    }

    fn attention(&self, heads: usize) -> attention::Shape {
        attention::Shape {
            set: self.set,
            width: self.width(),
            heads,
        }
    }

    fn width(&self) -> usize {
        self.frozen.norm.weight.len()
    }

    fn check(&self, state: &[f32], examples: &[usize]) {
        let rows = examples.last().copied().unwrap_or_default();
        assert_eq!(
            state.len(),
            rows * self.width(),
            "a state has a row of {} values for each token of the examples",
            self.width()
        );
    }
}
