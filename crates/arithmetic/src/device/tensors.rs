//! Tensors in place of memory that is reused.

use candle_core::Tensor;

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

/// The error of reading what was not computed.
pub(super) fn unset() -> ArithmeticError {
    ArithmeticError("a value is read before it is computed".to_owned())
}
