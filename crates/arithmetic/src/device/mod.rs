//! The operations as candle tensors, on any of its devices.

mod attention;
mod optimiser;
mod rows;
mod tensors;
mod trained;

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{DType, Device as Candle, Tensor};

use self::attention::SavedAttention;
use self::optimiser::{Labels, TensorAdamW};
use self::rows::{ExampleRows, indices};
use self::tensors::{Slot, gelu_and_slope, normalized, normalized_backward};
use self::trained::SavedAdapters;
use crate::{
    ADAPTER_NORM_EPSILON, AdapterBlock, Arithmetic, ArithmeticError, Device, DeviceKind, HeadPlace,
    HeadPlaces, LayerNorm, Linear, NoDevice, OptimiserPlan, Precision, Result,
};

/// Tensors of candle on a device. Results are those of [`crate::Cpu`] up to rounding.
///
/// ```
/// use adaplace_arithmetic::{Arithmetic, OnDevice};
/// use candle_core::Device;
///
/// let device = OnDevice::new(Device::Cpu);
/// let mut sum = Default::default();
/// device.write((1, 2), |to| to.copy_from_slice(&[1.0, 2.0]), &mut sum)?;
/// let mut twice = Default::default();
/// device.copy(&sum, &mut twice)?;
/// device.add(&sum, &mut twice)?;
/// assert_eq!(*device.read(&twice)?, [2.0, 4.0]);
/// # Ok::<(), adaplace_arithmetic::ArithmeticError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OnDevice {
    device: Candle,
    precision: Precision,
}

/// The weight (outputs, inputs) and the bias of a linear layer.
pub struct LinearTensors {
    weight: Tensor,
    bias: Tensor,
    precision: Precision,
}

/// The factors, summands and epsilon of a layer norm.
pub struct NormTensors {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

/// The normalised rows, and 1 / sqrt(variance + epsilon) of each.
#[derive(Default)]
pub struct SavedNorm {
    normalized: Slot,
    inverse_deviation: Slot,
}

impl OnDevice {
    /// The operations on a device of candle, with products in f32.
    #[must_use]
    pub fn new(device: Candle) -> Self {
        Self {
            device,
            precision: Precision::F32,
        }
    }

    /// The operations on a device of this machine, with products in f32. The processor counts as candle's device for it.
    ///
    /// # Errors
    /// If this program was built without support for the device, or if the machine does not have it.
    pub fn open(device: Device) -> std::result::Result<Self, NoDevice> {
        let Device { kind, index } = device;
        let opened = match kind {
            DeviceKind::Cpu | DeviceKind::Candle => Ok(Candle::Cpu),
            DeviceKind::Cuda if candle_core::utils::cuda_is_available() => Candle::new_cuda(index),
            DeviceKind::Metal if candle_core::utils::metal_is_available() => {
                Candle::new_metal(index)
            }
            DeviceKind::Cuda | DeviceKind::Metal => return Err(NoDevice::NotBuilt { kind }),
        };
        let unavailable = |error: candle_core::Error| NoDevice::Unavailable {
            device,
            reason: ArithmeticError::from(error).to_string(),
        };
        Ok(Self::new(opened.map_err(unavailable)?))
    }

    /// The same operations with the operands of products with frozen weights rounded to `precision`. The products
    /// themselves are computed in f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    fn rounded(precision: Precision, values: &Tensor) -> Result<Tensor> {
        Ok(match precision {
            Precision::F32 => values.clone(),
            Precision::Bf16 => values.to_dtype(DType::BF16)?.to_dtype(DType::F32)?,
        })
    }

    fn vector(&self, values: &[f32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, values.len(), &self.device)?)
    }
}

impl Arithmetic for OnDevice {
    type Buffer = Slot;
    type Rows = ExampleRows;
    type Linear = LinearTensors;
    type Norm = NormTensors;
    type SavedNorm = SavedNorm;
    type SavedAttention = SavedAttention;
    type SavedAdapters = SavedAdapters;
    type Labels = Labels;
    type Optimiser = TensorAdamW;
    type Numbers = Tensor;
    type Scratch = ();

    const ON_PROCESSOR: bool = false;

    fn linear(&self, layer: &Linear) -> Result<LinearTensors> {
        let shape = (layer.outputs, layer.inputs);
        Ok(LinearTensors {
            weight: Self::rounded(
                self.precision,
                &Tensor::from_slice(&layer.weight, shape, &self.device)?,
            )?,
            bias: self.vector(&layer.bias)?,
            precision: self.precision,
        })
    }

    fn norm(&self, norm: &LayerNorm) -> Result<NormTensors> {
        Ok(NormTensors {
            weight: self.vector(&norm.weight)?,
            bias: self.vector(&norm.bias)?,
            epsilon: f64::from(norm.epsilon),
        })
    }

    fn rows(&self, offsets: Vec<usize>) -> Result<ExampleRows> {
        ExampleRows::new(offsets, &self.device)
    }

    fn labels(&self, labels: Vec<u32>) -> Result<Labels> {
        Labels::new(labels, &self.device)
    }

    fn write(
        &self,
        shape: (usize, usize),
        fill: impl FnOnce(&mut [f32]),
        to: &mut Slot,
    ) -> Result<()> {
        let mut values = vec![0.0; shape.0 * shape.1];
        fill(&mut values);
        to.set(Tensor::from_vec(values, shape, &self.device)?)
    }

    fn read<'b>(&self, from: &'b Slot) -> Result<Cow<'b, [f32]>> {
        Ok(Cow::Owned(from.get()?.flatten_all()?.to_vec1()?))
    }

    fn zero(&self, shape: (usize, usize), to: &mut Slot) -> Result<()> {
        let zeros = Tensor::zeros(shape, DType::F32, &self.device)?;
        to.set(zeros)
    }

    fn copy(&self, from: &Slot, to: &mut Slot) -> Result<()> {
        to.set(from.get()?.clone())
    }

    fn tile(&self, from: &Slot, times: usize, to: &mut Slot) -> Result<()> {
        match times {
            1 => self.copy(from, to),
            _ => to.set(from.get()?.repeat((times, 1))?),
        }
    }

    fn add_blocks(
        &self,
        from: &Slot,
        _: usize,
        blocks: &[Range<usize>],
        to: &mut Slot,
    ) -> Result<()> {
        let sum = trained::with_blocks(to.get()?, from.get()?, blocks)?;
        to.set(sum)
    }

    fn add(&self, from: &Slot, to: &mut Slot) -> Result<()> {
        to.set((to.get()? + from.get()?)?)
    }

    fn multiply(&self, by: &Slot, to: &mut Slot) -> Result<()> {
        to.set((to.get()? * by.get()?)?)
    }

    fn gather(
        &self,
        from: &Slot,
        _: usize,
        ranges: impl Iterator<Item = Range<usize>>,
        to: &mut Slot,
    ) -> Result<()> {
        let rows = indices(ranges.flatten().map(|row| row as u32), &self.device)?;
        to.set(from.get()?.index_select(&rows, 0)?)
    }

    fn stack(&self, parts: Vec<Slot>) -> Result<Slot> {
        let parts: Vec<&Tensor> = parts.iter().map(Slot::get).collect::<Result<_>>()?;
        let mut all = Slot::default();
        all.set(Tensor::cat(&parts, 0)?)?;
        Ok(all)
    }

    fn first_rows(&self, from: &Slot, rows: &ExampleRows, to: &mut Slot) -> Result<()> {
        to.set(from.get()?.index_select(&rows.first, 0)?)
    }

    fn add_to_first_rows(&self, from: &Slot, rows: &ExampleRows, to: &mut Slot) -> Result<()> {
        let spread = rows.at_first_rows(from.get()?)?;
        to.set((to.get()? + spread)?)
    }

    fn means_forward(&self, from: &Slot, rows: &ExampleRows, to: &mut Slot) -> Result<()> {
        to.set(rows.means(from.get()?)?)
    }

    fn means_backward(&self, gradient: &Slot, rows: &ExampleRows, to: &mut Slot) -> Result<()> {
        let shares = gradient.get()?.broadcast_div(&rows.lengths)?;
        to.set(shares.index_select(&rows.example_of_row, 0)?)
    }

    fn linear_forward(
        &self,
        layer: &LinearTensors,
        x: &Slot,
        to: &mut Slot,
        add: bool,
        _: &mut (),
    ) -> Result<()> {
        let x = Self::rounded(layer.precision, x.get()?)?;
        let product = x.matmul(&layer.weight.t()?)?;
        to.put(product.broadcast_add(&layer.bias)?, add)
    }

    fn linear_backward(
        &self,
        layer: &LinearTensors,
        gradient: &Slot,
        to: &mut Slot,
        add: bool,
        _: &mut (),
    ) -> Result<()> {
        let gradient = Self::rounded(layer.precision, gradient.get()?)?;
        to.put(gradient.matmul(&layer.weight)?, add)
    }

    fn norm_forward(
        &self,
        norm: &NormTensors,
        x: &mut Slot,
        saved: Option<&mut SavedNorm>,
    ) -> Result<()> {
        let (rows, inverse_deviation) = normalized(x.get()?, norm.epsilon)?;
        let result = rows.broadcast_mul(&norm.weight)?;
        if let Some(saved) = saved {
            saved.normalized.set(rows)?;
            saved.inverse_deviation.set(inverse_deviation)?;
        }
        x.set(result.broadcast_add(&norm.bias)?)
    }

    fn norm_backward(
        &self,
        norm: &NormTensors,
        saved: &SavedNorm,
        gradient: &mut Slot,
    ) -> Result<()> {
        let weighted = gradient.get()?.broadcast_mul(&norm.weight)?;
        let (rows, inverse_deviation) = (saved.normalized.get()?, saved.inverse_deviation.get()?);
        gradient.set(normalized_backward(&weighted, rows, inverse_deviation)?)
    }

    fn gelu(&self, x: &mut Slot, slope: Option<&mut Slot>) -> Result<()> {
        match slope {
            None => x.set(x.get()?.gelu_erf()?),
            Some(slope) => {
                let (value, derivative) = gelu_and_slope(x.get()?)?;
                slope.set(derivative)?;
                x.set(value)
            }
        }
    }

    fn attention_forward(
        &self,
        heads: usize,
        projected: &Slot,
        rows: &ExampleRows,
        mixed: &mut Slot,
        saved: &mut SavedAttention,
        _: &mut (),
    ) -> Result<()> {
        mixed.set(saved.forward(heads, projected.get()?, rows)?)
    }

    fn attention_backward(
        &self,
        _: usize,
        _: &Slot,
        rows: &ExampleRows,
        saved: &SavedAttention,
        gradient: &Slot,
        to: &mut Slot,
        (): &mut (),
    ) -> Result<()> {
        to.set(saved.backward(gradient.get()?, rows)?)
    }

    fn normalize(&self, _: usize, x: &mut Slot) -> Result<()> {
        let (rows, _) = normalized(x.get()?, f64::from(ADAPTER_NORM_EPSILON))?;
        x.set(rows)
    }

    fn adapters_forward(
        &self,
        values: &Slot,
        blocks: &[AdapterBlock],
        x: &[(&Slot, Range<usize>)],
        sum: &mut Slot,
        saved: &mut SavedAdapters,
        _: &mut (),
    ) -> Result<()> {
        saved.forward(blocks, values.get()?, x, sum)
    }

    fn adapters_backward(
        &self,
        values: &Slot,
        blocks: &[AdapterBlock],
        saved: &SavedAdapters,
        gradient: &Slot,
        towards_values: &mut Slot,
        towards_x: Option<&mut Slot>,
        _: &mut (),
    ) -> Result<()> {
        let towards_values = towards_values.get()?;
        let (values, gradient) = (values.get()?, gradient.get()?);
        let wanted = towards_x.is_some();
        let found = saved.backward(blocks, values, gradient, towards_values, wanted)?;
        match (found, towards_x) {
            (Some(found), Some(towards_x)) => towards_x.set(found),
            _ => Ok(()),
        }
    }

    fn heads_forward(
        &self,
        values: &Slot,
        heads: &HeadPlaces,
        features: &Slot,
        logits: &mut Slot,
    ) -> Result<()> {
        let (weights, biases) = trained::heads(heads, values.get()?)?;
        let features = features.get()?;
        let features = features.reshape((heads.models, (), heads.first.width))?;
        let product = features.matmul(&weights.transpose(1, 2)?)?;
        let result = product.broadcast_add(&biases)?;
        logits.set(result.reshape(((), heads.first.classes))?)
    }

    fn loss(
        &self,
        labels: &Labels,
        models: usize,
        factor: f32,
        logits: &mut Slot,
    ) -> Result<Tensor> {
        let (losses, gradient) = labels.loss(models, factor, logits.get()?)?;
        logits.set(gradient)?;
        Ok(losses)
    }

    fn heads_backward(
        &self,
        values: &Slot,
        heads: &HeadPlaces,
        features: &Slot,
        towards_logits: &Slot,
        towards_features: &mut Slot,
        towards_values: &mut Slot,
    ) -> Result<()> {
        let HeadPlace {
            width,
            classes,
            begin,
        } = heads.first;
        let (weights, _) = trained::heads(heads, values.get()?)?;
        let by_model = |slot: &Slot, columns: usize| -> Result<Tensor> {
            Ok(slot.get()?.reshape((heads.models, (), columns))?)
        };
        let gradient = by_model(towards_logits, classes)?;
        let features = by_model(features, width)?;
        towards_features.set(gradient.matmul(&weights)?.reshape(((), width))?)?;
        let towards_weights = gradient.transpose(1, 2)?.matmul(&features)?;
        let towards_weights = towards_weights.flatten_from(1)?;
        let all = Tensor::cat(&[towards_weights, gradient.sum(1)?], 1)?;
        trained::add(towards_values.get()?, begin, &all)
    }

    fn optimiser(&self, plan: OptimiserPlan) -> Result<TensorAdamW> {
        TensorAdamW::new(plan, &self.device)
    }

    fn optimise(
        &self,
        optimiser: &mut TensorAdamW,
        factor: f64,
        values: &mut Slot,
        gradients: &mut Slot,
    ) -> Result<Tensor> {
        let (after, norms) = optimiser.step(factor, values.get()?, gradients.get()?)?;
        values.set(after)?;
        Ok(norms)
    }

    fn numbers(&self, computed: &[Tensor]) -> Result<Vec<Vec<f64>>> {
        if computed.is_empty() {
            return Ok(Vec::new());
        }
        let all = Tensor::stack(computed, 0)?.to_vec2::<f32>()?.into_iter();
        Ok(all
            .map(|numbers| numbers.into_iter().map(f64::from).collect())
            .collect())
    }
}
