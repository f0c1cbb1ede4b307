//! Products with frozen weights.

use std::fmt::Debug;

use candle_core::{DType, Tensor};

use crate::{Precision, Result};

/// What multiplies by frozen weights. All tensors but weights of [`Precision::Bf16`] contain f32.
pub(super) trait Products: Debug + Send + Sync {
    /// Prepares a weight (outputs, inputs).
    fn frozen(&self, weight: Tensor, precision: Precision) -> Result<Tensor>;

    /// Computes x W^T, (rows, outputs), or x W, (rows, inputs), with operands rounded to the precision.
    fn product(
        &self,
        x: &Tensor,
        weight: &Tensor,
        of: Operand,
        precision: Precision,
    ) -> Result<Tensor>;
}

/// What a product takes of a weight W (outputs, inputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// W^T, for the forward pass.
    Transposed,
    /// W, for the backward pass.
    AsItIs,
}

/// Products of rounded numbers in f32, on any device.
#[derive(Debug)]
pub(super) struct InSinglePrecision;

fn rounded(precision: Precision, values: &Tensor) -> Result<Tensor> {
    Ok(match precision {
        Precision::F32 => values.clone(),
        Precision::Bf16 => values.to_dtype(DType::BF16)?.to_dtype(DType::F32)?,
        // x - (x - y) with y = (2^13 + 1) x, where the subtraction rounds to 13 bits less (Veltkamp).
        Precision::Tf32 => {
            let large = (values * f64::from((1 << 13) + 1))?;
            (&large - (&large - values)?)?
        }
    })
}

impl Products for InSinglePrecision {
    fn frozen(&self, weight: Tensor, precision: Precision) -> Result<Tensor> {
        rounded(precision, &weight)
    }

    fn product(
        &self,
        x: &Tensor,
        weight: &Tensor,
        of: Operand,
        precision: Precision,
    ) -> Result<Tensor> {
        let x = rounded(precision, x)?;
        Ok(match of {
            Operand::Transposed => x.matmul(&weight.t()?)?,
            Operand::AsItIs => x.matmul(weight)?,
        })
    }
}
