//! Adapters and the head, whose values are slices of one tensor, (1, values). The formulas are in [`crate::kernels`].

use candle_core::Tensor;

use super::tensors::{Slot, gelu_and_slope, normalized, normalized_backward};
use crate::{ADAPTER_NORM_EPSILON, AdapterPlace, HeadPlace, Result};

/// The part of an adapter's forward pass that its gradient needs.
#[derive(Default)]
pub struct SavedAdapter {
    /// The normalised rows X', (rows, width).
    normalized: Slot,
    /// The values 1 / sqrt(variance + epsilon), (rows, 1).
    inverse_deviation: Slot,
    /// The slopes gelu'(Z), (rows, rank).
    slope: Slot,
    /// The activations A, (rows, rank).
    activation: Slot,
}

/// The tensors of an adapter: W_down and W_up^T, both (rank, width), and the biases.
struct Values {
    down_weight: Tensor,
    down_bias: Tensor,
    up_weight: Tensor,
    up_bias: Tensor,
}

impl Values {
    fn of(place: &AdapterPlace, all: &Tensor) -> Result<Self> {
        let AdapterPlace {
            begin, width, rank, ..
        } = *place;
        let all = all.flatten_all()?;
        let weight = |begin| all.narrow(0, begin, rank * width)?.reshape((rank, width));
        Ok(Self {
            down_weight: weight(begin)?,
            down_bias: all.narrow(0, begin + rank * width, rank)?,
            up_weight: weight(begin + rank * width + rank)?,
            up_bias: all.narrow(0, begin + 2 * rank * width + rank, width)?,
        })
    }
}

impl SavedAdapter {
    /// A(x), (rows, width).
    pub(super) fn forward(
        &mut self,
        place: &AdapterPlace,
        values: &Tensor,
        x: &Tensor,
    ) -> Result<Tensor> {
        let adapter = Values::of(place, values)?;
        let (rows, inverse_deviation) = normalized(x, f64::from(ADAPTER_NORM_EPSILON))?;
        let down = rows.matmul(&adapter.down_weight.t()?)?;
        let hidden = down.broadcast_add(&adapter.down_bias)?;
        let (activation, slope) = gelu_and_slope(&hidden)?;
        let up = activation.matmul(&adapter.up_weight)?;
        let result = up.broadcast_add(&adapter.up_bias)?;
        self.normalized.set(rows)?;
        self.inverse_deviation.set(inverse_deviation)?;
        self.slope.set(slope)?;
        self.activation.set(activation)?;
        Ok((result * f64::from(place.scale))?)
    }

    /// Adds the gradients with respect to the adapter's values to `towards`, and returns dZ.
    pub(super) fn backward(
        &self,
        place: &AdapterPlace,
        values: &Tensor,
        gradient: &Tensor,
        towards: &Tensor,
    ) -> Result<Tensor> {
        let adapter = Values::of(place, values)?;
        let gradient = (gradient * f64::from(place.scale))?;
        let through = gradient.matmul(&adapter.up_weight.t()?)?;
        let hidden = (through * self.slope.get()?)?;
        let mut begin = place.begin;
        for part in [
            hidden.t()?.matmul(self.normalized.get()?)?,
            hidden.sum(0)?,
            self.activation.get()?.t()?.matmul(&gradient)?,
            gradient.sum(0)?,
        ] {
            add(towards, begin, &part)?;
            begin += part.elem_count();
        }
        Ok(hidden)
    }

    /// The gradient with respect to x from dZ.
    pub(super) fn input_backward(
        &self,
        place: &AdapterPlace,
        values: &Tensor,
        hidden: &Tensor,
    ) -> Result<Tensor> {
        let towards = hidden.matmul(&Values::of(place, values)?.down_weight)?;
        let (rows, inverse_deviation) = (self.normalized.get()?, self.inverse_deviation.get()?);
        normalized_backward(&towards, rows, inverse_deviation)
    }
}

/// The weight (classes, width) and the bias of the head.
pub(super) fn head(place: &HeadPlace, all: &Tensor) -> Result<(Tensor, Tensor)> {
    let HeadPlace {
        begin,
        width,
        classes,
    } = *place;
    let all = all.flatten_all()?;
    let weight = all.narrow(0, begin, classes * width)?;
    let bias = all.narrow(0, begin + classes * width, classes)?;
    Ok((weight.reshape((classes, width))?, bias))
}

/// Adds values to those of `all`, (1, values), from `begin` on. No other tensor shares the memory of `all`.
pub(super) fn add(all: &Tensor, begin: usize, values: &Tensor) -> Result<()> {
    let values = values.flatten_all()?.unsqueeze(0)?;
    let sum = (all.narrow(1, begin, values.elem_count())? + values)?;
    Ok(all.slice_set(&sum, 1, begin)?)
}
