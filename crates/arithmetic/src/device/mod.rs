//! The operations as candle tensors, on any of its devices.

mod attention;
mod compound;
mod directions;
mod loss;
mod of_length;
mod operations;
mod optimiser;
mod products;
mod rows;
mod tensors;
mod trained;

use std::sync::Arc;

use candle_core::{DType, Device as Candle, Tensor};

use self::compound::{Composition, Compound, Kept, NormKind, Normalized};
use self::products::{InSinglePrecision, Products, Transposed};
use crate::{Activation, ArithmeticError, Device, DeviceKind, NoDevice, Precision, Result};

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
    products: Arc<dyn Products>,
    compound: Arc<dyn Compound>,
    #[cfg(feature = "cuda")]
    card: Option<compound::cuda::Card>,
}

/// The weight (outputs, inputs) and the bias of a linear layer.
pub struct LinearTensors {
    weight: Tensor,
    bias: Tensor,
    precision: Precision,
}

/// The factors, summands and kind of a norm.
pub struct NormTensors {
    weight: Tensor,
    bias: Tensor,
    kind: NormKind,
}

/// What the gradient of a layer norm needs, once it was computed.
#[derive(Default)]
pub struct SavedNorm(Option<Normalized>);

impl OnDevice {
    /// The operations on a device of candle, with products in f32.
    #[must_use]
    pub fn new(device: Candle) -> Self {
        Self {
            device,
            precision: Precision::F32,
            products: Arc::new(InSinglePrecision),
            compound: Arc::new(Composition),
            #[cfg(feature = "cuda")]
            card: None,
        }
    }

    /// The operations on a card of NVIDIA, with kernels of this crate.
    #[cfg(feature = "cuda")]
    fn on_card(index: usize) -> candle_core::Result<Self> {
        let card = compound::cuda::open(index)?;
        Ok(Self {
            products: Arc::new(card.clone()),
            compound: Arc::new(card.kernels()),
            card: Some(card.clone()),
            ..Self::new(card.device())
        })
    }

    /// The operations on a device of this machine, with products in f32. The processor counts as candle's device for it.
    ///
    /// # Errors
    /// If this program was built without support for the device, or if the machine does not have it.
    pub fn open(device: Device) -> std::result::Result<Self, NoDevice> {
        let Device { kind, index } = device;
        let opened = match kind {
            DeviceKind::Cpu | DeviceKind::Candle => Ok(Self::new(Candle::Cpu)),
            #[cfg(feature = "cuda")]
            DeviceKind::Cuda => Self::on_card(index),
            #[cfg(not(feature = "cuda"))]
            DeviceKind::Cuda => return Err(NoDevice::NotBuilt { kind }),
            DeviceKind::Metal if candle_core::utils::metal_is_available() => {
                Candle::new_metal(index).map(Self::new)
            }
            DeviceKind::Metal => return Err(NoDevice::NotBuilt { kind }),
        };
        let unavailable = |error: candle_core::Error| NoDevice::Unavailable {
            device,
            reason: ArithmeticError::from(error).to_string(),
        };
        opened.map_err(unavailable)
    }

    /// The same operations with the operands of products with frozen weights rounded to `precision`. Sums are f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The type of what a product with frozen weights will take.
    fn operands(&self) -> DType {
        self.products.operands(self.precision)
    }

    /// A layer norm, and what is kept of it.
    fn norm(
        &self,
        norm: &NormTensors,
        x: &Tensor,
        kept: Kept,
        result: DType,
    ) -> Result<(Tensor, Option<Normalized>)> {
        let weights = [&norm.weight, &norm.bias];
        self.compound
            .norm_forward(x, weights, norm.kind, kept, result)
    }

    /// The activation of x (rows, width).
    fn activated(&self, activation: Activation, x: &Tensor) -> Result<Tensor> {
        let none = Tensor::zeros(x.dim(1)?, DType::F32, &self.device)?;
        self.compound.activate(activation, x, &none, DType::F32)
    }

    fn of_heads(&self, left: &Tensor, right: &Tensor, transposed: Transposed) -> Result<Tensor> {
        self.products
            .of_heads(left, right, transposed, self.precision)
    }

    fn vector(&self, values: &[f32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, values.len(), &self.device)?)
    }
}
