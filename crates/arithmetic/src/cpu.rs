mod operations;

use crate::kernels::frozen_product::{FrozenProduct, RoundedScratch};
use crate::kernels::{adapter, attention};
use crate::{Attention, InstructionSet, Precision};

/// The kernels of this crate, on the calling thread unless an operation says otherwise. No operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// The vector instructions.
    pub instruction_set: InstructionSet,
    /// The precision of the products with frozen weights.
    pub precision: Precision,
}

impl Default for Cpu {
    /// The best instructions of this machine, and single precision.
    fn default() -> Self {
        Self {
            instruction_set: InstructionSet::detect(),
            precision: Precision::F32,
        }
    }
}

/// A linear layer whose weight is packed for products in both directions.
pub struct PackedLinear {
    forward: FrozenProduct,
    backward: FrozenProduct,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// Memory for intermediate values.
#[derive(Default)]
pub struct Scratch {
    attention: attention::Scratch,
    rounded: RoundedScratch,
    adapter: adapter::AdapterScratch,
}

impl Cpu {
    /// The number of bytes that a prepared linear layer takes for each weight, which is packed once for either direction.
    #[must_use]
    pub fn bytes_per_weight(self) -> usize {
        2 * match self.precision {
            Precision::Bf16 if self.instruction_set.multiplies_bf16() => size_of::<u16>(),
            Precision::F32 | Precision::Bf16 | Precision::Tf32 => size_of::<f32>(),
        }
    }

    fn add_slice(self, from: &[f32], to: &mut [f32]) {
        self.instruction_set.run(
            #[inline(always)]
            || {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to += from;
                }
            },
        );
    }

    fn of_attention(self, layer: &Attention) -> attention::Kernel<'_> {
        let set = self.instruction_set;
        attention::Kernel { set, layer }
    }
}
