use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::TokenMask;
use crate::layers::LayerNorm;

/// How the last hidden state becomes one vector per example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the real tokens.
    Mean,
    /// The first token.
    Cls,
}

impl std::fmt::Display for Pooling {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        })
    }
}

/// Pooling with the last layer norm of architectures that have one (pre-norm models).
#[derive(Debug)]
pub(crate) struct Pooler {
    pub(crate) pooling: Pooling,
    pub(crate) last_norm: Option<LayerNorm>,
}

impl Pooler {
    /// (batch, tokens, width) -> (batch, width), differentiable towards `state`.
    pub(crate) fn forward(&self, state: &Tensor, mask: Option<&TokenMask>) -> Result<Tensor> {
        match self.pooling {
            // Only the first token is read, so only it needs the norm.
            Pooling::Cls => self.normalize(&state.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?),
            Pooling::Mean => {
                let state = self.normalize(state)?;
                let Some(mask) = mask else {
                    return state.mean(1);
                };
                let mask = mask.to_tensor(state.device())?.unsqueeze(2)?;
                let sum = state.broadcast_mul(&mask)?.sum(1)?;
                sum.broadcast_div(&mask.sum(1)?)
            }
        }
    }

    fn normalize(&self, state: &Tensor) -> Result<Tensor> {
        match &self.last_norm {
            Some(norm) => norm.forward(state),
            None => Ok(state.clone()),
        }
    }
}
