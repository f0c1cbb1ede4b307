//! Tensors in place of memory that is reused, and the formulas that several operations share.

use candle_core::{D, Tensor};

use crate::{ArithmeticError, Result};

/// A tensor, once there is one.
#[derive(Debug, Default)]
pub struct Slot(Option<Tensor>);

impl From<candle_core::Error> for ArithmeticError {
    /// With RUST_BACKTRACE set, the message of a candle error contains its backtrace, which must not reach a journal.
    fn from(error: candle_core::Error) -> Self {
        let mut error = error;
        while let candle_core::Error::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self(error.to_string())
    }
}

impl Slot {
    pub(super) fn get(&self) -> Result<&Tensor> {
        let unset = || ArithmeticError("a value is read before it is computed".to_owned());
        self.0.as_ref().ok_or_else(unset)
    }

    pub(super) fn set(&mut self, tensor: Tensor) -> Result<()> {
        self.0 = Some(tensor);
        Ok(())
    }

    /// Replaces the tensor, or adds to it.
    pub(super) fn put(&mut self, tensor: Tensor, add: bool) -> Result<()> {
        match add {
            true => self.set((self.get()? + tensor)?),
            false => self.set(tensor),
        }
    }
}

/// The normalised rows, and 1 / sqrt(variance + epsilon) of each.
pub(super) fn normalized(x: &Tensor, epsilon: f64) -> Result<(Tensor, Tensor)> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let inverse_deviation = (variance + epsilon)?.sqrt()?.recip()?;
    Ok((
        centred.broadcast_mul(&inverse_deviation)?,
        inverse_deviation,
    ))
}

/// The gradient with respect to x from the one with respect to the normalised rows.
pub(super) fn normalized_backward(
    gradient: &Tensor,
    normalized: &Tensor,
    inverse_deviation: &Tensor,
) -> Result<Tensor> {
    let mean = gradient.mean_keepdim(D::Minus1)?;
    let projection = (gradient * normalized)?.mean_keepdim(D::Minus1)?;
    let along = normalized.broadcast_mul(&projection)?;
    let across = (gradient.broadcast_sub(&mean)? - along)?;
    Ok(across.broadcast_mul(inverse_deviation)?)
}

/// gelu(x) = x Phi(x) and its slope Phi(x) + x phi(x), with the normal distribution function Phi and its density phi.
pub(super) fn gelu_and_slope(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let distribution = (x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?;
    let distribution = distribution.affine(0.5, 0.5)?;
    let at_zero = (2.0 * std::f64::consts::PI).sqrt().recip();
    let density = ((x.sqr()? * -0.5)?.exp()? * at_zero)?;
    Ok(((x * &distribution)?, (distribution + (x * density)?)?))
}
