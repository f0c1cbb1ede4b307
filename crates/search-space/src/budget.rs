//! What a placement may cost, and what it does cost.

use serde::{Deserialize, Serialize};

use crate::ChainShape;

/// What a placement may cost. Every limit is inclusive.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// The most adapters, `k`.
    pub adapters: u16,
    /// The fewest adapters, at least 1; equal to `adapters` where a placement has exactly `k`.
    pub min_adapters: u16,
    /// The most trainable parameters of all adapters together (the head is not counted).
    pub parameters: Option<u64>,
    /// The most extra floating-point operations, as a share of the frozen forward pass.
    pub extra_flops: Option<f64>,
}

impl Budget {
    /// Whether `cost` is within the limits above (the fewest adapters is not a limit on cost).
    pub fn admits(&self, cost: &Cost) -> bool {
        cost.adapters <= usize::from(self.adapters)
            && self.parameters.is_none_or(|limit| cost.parameters <= limit)
            && self
                .extra_flops
                .is_none_or(|limit| cost.extra_flops <= limit)
    }
}

/// What a placement costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Number of adapters.
    pub adapters: usize,
    /// Trainable parameters of all adapters.
    pub parameters: u64,
    /// Extra floating-point operations per example, as a share of the frozen forward pass: the adapters' own
    /// products, counted once, plus with a recurrent connection the sublayers from the earliest recurrent target
    /// to the end, which run a second time.
    pub extra_flops: f64,
}

impl Cost {
    /// The cost of `adapters` adapters whose ranks sum to `rank_sum`, with a second pass from hidden state
    /// `second_pass`, if there is one.
    ///
    /// Parameters are affine in the sum of ranks, `(2 d + 1) rank_sum + d adapters`, and so are the adapters'
    /// products, `4 d tokens rank_sum`: a budget is a bound on the sum of ranks.
    pub(crate) fn of_rank_sum(
        shape: &ChainShape,
        adapters: usize,
        rank_sum: u64,
        second_pass: Option<u16>,
    ) -> Self {
        let width = u64::from(shape.width);
        let products = (4 * width)
            .saturating_mul(rank_sum)
            .saturating_mul(u64::from(shape.tokens));
        let repeated = second_pass.map_or(0, |start| shape.flops_from(start));
        Cost {
            adapters,
            parameters: (2 * width + 1)
                .saturating_mul(rank_sum)
                .saturating_add(width.saturating_mul(adapters as u64)),
            extra_flops: products.saturating_add(repeated) as f64 / shape.frozen_flops() as f64,
        }
    }
}
