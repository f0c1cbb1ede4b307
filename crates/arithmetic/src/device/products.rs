//! Products with frozen weights, and those of attention.

use std::fmt::Debug;

use candle_core::{DType, Tensor};

use crate::{Precision, Result};

/// What multiplies. Results contain f32.
pub(super) trait Products: Debug + Send + Sync {
    /// Prepares a weight (outputs, inputs).
    fn frozen(&self, weight: Tensor, precision: Precision) -> Result<Tensor>;

    /// The type in which [`Self::product`] takes x without rounding it, if that is not f32. It takes f32, too.
    fn operands(&self, precision: Precision) -> DType;

    /// Computes x W^T, (rows, outputs), or x W, (rows, inputs), with operands rounded to the precision.
    fn product(
        &self,
        x: &Tensor,
        weight: &Tensor,
        of: Operand,
        precision: Precision,
    ) -> Result<Tensor>;

    /// Computes products of matrices of activations, (examples, heads, .., ..), in f32 or, where the precision allows
    /// it and that is faster, in TF32.
    fn of_heads(
        &self,
        left: &Tensor,
        right: &Tensor,
        transposed: Transposed,
        precision: Precision,
    ) -> Result<Tensor>;
}

/// Which matrix of a product is transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transposed {
    Neither,
    Left,
    Right,
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

    fn operands(&self, _: Precision) -> DType {
        DType::F32
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

    fn of_heads(
        &self,
        left: &Tensor,
        right: &Tensor,
        transposed: Transposed,
        _: Precision,
    ) -> Result<Tensor> {
        Ok(match transposed {
            Transposed::Neither => left.matmul(right)?,
            Transposed::Left => left.t()?.matmul(right)?,
            Transposed::Right => left.matmul(&right.t()?)?,
        })
    }
}
