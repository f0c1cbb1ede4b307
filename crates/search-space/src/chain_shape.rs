//! The part of a backbone's shape that a search space needs.

use serde::{Deserialize, Serialize};

use crate::SpaceError;

/// A chain of `N` sublayers between `N + 1` hidden states, with the cost of its forward pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainShape {
    /// The number of hidden states `h_0 .. h_N`, i.e. `N + 1`.
    pub hidden_states: u16,
    /// The width `d` of every hidden state.
    pub width: u32,
    /// The number of tokens of a typical example, for which the cost of adapters is counted.
    pub tokens: u32,
    /// The floating-point operations of each sublayer on a typical example. Sublayer `n` maps `h_n` to `h_(n+1)`.
    pub sublayer_flops: Vec<u64>,
}

impl ChainShape {
    /// The largest supported number of hidden states. More would give more connections than are worth listing.
    pub(crate) const MOST_HIDDEN_STATES: u16 = 257;

    /// The floating-point operations of one frozen forward pass through all sublayers.
    pub fn frozen_flops(&self) -> u64 {
        self.flops_from(0)
    }

    /// The floating-point operations of the sublayers from hidden state `start` to the last one.
    pub fn flops_from(&self, start: u16) -> u64 {
        let sublayers = self.sublayer_flops.iter().skip(usize::from(start));
        sublayers.fold(0, |sum: u64, &flops| sum.saturating_add(flops))
    }

    pub(crate) fn check(&self) -> Result<(), SpaceError> {
        if self.hidden_states > Self::MOST_HIDDEN_STATES {
            return Err(SpaceError::ChainTooLong {
                hidden_states: self.hidden_states,
                most: Self::MOST_HIDDEN_STATES,
            });
        }
        if self.sublayer_flops.len() + 1 != usize::from(self.hidden_states) {
            return Err(SpaceError::SublayerCount {
                hidden_states: self.hidden_states,
                sublayers: self.sublayer_flops.len(),
            });
        }
        if self.width == 0 || self.tokens == 0 || self.frozen_flops() == 0 {
            return Err(SpaceError::EmptyChain {
                width: self.width,
                tokens: self.tokens,
                frozen_flops: self.frozen_flops(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flops_are_summed_from_the_start() {
        let shape = ChainShape {
            hidden_states: 4,
            width: 2,
            tokens: 1,
            sublayer_flops: vec![1, 10, 100],
        };
        assert_eq!(shape.frozen_flops(), 111);
        assert_eq!(shape.flops_from(1), 110);
        assert_eq!(shape.flops_from(3), 0);
        assert_eq!(shape.flops_from(9), 0);
    }

    #[test]
    fn a_chain_that_contradicts_itself_is_refused() {
        let shape = ChainShape {
            hidden_states: 4,
            width: 2,
            tokens: 1,
            sublayer_flops: vec![1, 10],
        };
        assert!(matches!(
            shape.check(),
            Err(SpaceError::SublayerCount { .. })
        ));
        let shape = ChainShape {
            hidden_states: 2,
            width: 2,
            tokens: 1,
            sublayer_flops: vec![0],
        };
        assert!(matches!(shape.check(), Err(SpaceError::EmptyChain { .. })));
    }
}
