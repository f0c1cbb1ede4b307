//! The operations that a forward and backward pass through a transformer consists of.
//!
//! [`Arithmetic`] is what the walk along the chain computes with: [`Cpu`] with kernels of this crate on the processor,
//! and `OnDevice` (feature `candle`) with tensors on any device of candle. A backward operation computes the gradient
//! with respect to its inputs and to trained values. Frozen weights get none.
//!
//! A state consists of rows of `width` values, the tokens of one example after those of the other, without padding. It can
//! hold the same examples for several models, those of the first model first. Frozen operations treat all rows alike, and
//! each adapter and head belongs to the rows of one model.
//!
//! ```
//! use adaplace_arithmetic::{Arithmetic, Cpu, Linear};
//!
//! let cpu = Cpu::default();
//! let layer = Linear { weight: vec![1.0, 2.0].into(), bias: vec![0.5], inputs: 2, outputs: 1 };
//! let prepared = cpu.linear(&layer)?;
//! let (x, mut y) = (vec![3.0, 4.0], Vec::new());
//! cpu.linear_forward(&prepared, &x, &mut y, false, &mut Default::default())?;
//! assert_eq!(y, [11.5]);
//! # Ok::<(), adaplace_arithmetic::ArithmeticError>(())
//! ```

mod arithmetic;
mod attention;
mod cpu;
#[cfg(feature = "candle")]
mod device;
mod devices;
mod directions;
pub mod kernels;
mod layers;
mod relative;
mod rotation;
mod stored;
mod targets;
mod trained;
mod weights;
mod work;

pub use arithmetic::Arithmetic;
pub use attention::{Attention, Span};
pub use cpu::Cpu;
#[cfg(feature = "candle")]
pub use device::OnDevice;
pub use devices::{Device, DeviceKind, NoDevice, NotADevice};
pub use directions::{Columns, Directions, MatrixBlock};
pub use kernels::adamw::AdamW;
pub use kernels::frozen_product::Precision;
pub use kernels::instruction_set::{InstructionSet, NoInstructionSet};
pub use layers::{Activation, End, Linear, Norm};
pub use relative::{RelativePositions, RelativeTerms};
pub use rotation::Rotation;
pub use stored::{Stored, Unread};
pub use targets::{TargetValues, Targets};
pub use trained::{
    AdapterBlock, AdapterPlace, AdapterValues, HeadPlace, HeadPlaces, OptimiserPlan,
};
pub use weights::Weights;
pub use work::Work;

/// The epsilon of the layer norm without weights that an adapter's input goes through.
pub const ADAPTER_NORM_EPSILON: f32 = 1e-5;

/// An operation failed, for example because a device has no memory left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tensor operation failed: {0}")]
pub struct ArithmeticError(pub String);

type Result<T> = std::result::Result<T, ArithmeticError>;
