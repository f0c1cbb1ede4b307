use candle_core::{Device, Result, Tensor, Var};

/// The linear head on the pooled features: logits = features W^T + b.
#[derive(Debug)]
pub struct Head {
    /// The weight W, of shape (classes, width).
    pub weight: Var,
    /// The bias b, of shape (classes).
    pub bias: Var,
}

impl Head {
    /// A head from values in row-major order: `weight` (classes, width), `bias` (classes).
    ///
    /// # Errors
    /// If `weight` does not have classes x width values.
    pub fn new(weight: &[f32], bias: &[f32], width: usize) -> Result<Self> {
        Ok(Self {
            weight: Var::from_slice(weight, (bias.len(), width), &Device::Cpu)?,
            bias: Var::from_slice(bias, bias.len(), &Device::Cpu)?,
        })
    }

    /// Computes logits (batch, classes) from features (batch, width).
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        features
            .matmul(&self.weight.t()?)?
            .broadcast_add(&self.bias)
    }
}
