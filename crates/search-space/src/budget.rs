//! The budget of a placement and its actual cost.

use serde::{Deserialize, Serialize};

use crate::ChainShape;

/// The limits on the cost of a placement, all inclusive.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// The largest number of adapters, `k`.
    pub adapters: u16,
    /// The smallest number of adapters, at least 1. It equals `adapters` if every placement must have exactly `k`.
    pub min_adapters: u16,
    /// The largest number of trainable parameters of all adapters together, without the head.
    pub parameters: Option<u64>,
    /// The largest number of extra floating-point operations, as a share of the frozen forward pass.
    pub extra_flops: Option<f64>,
}

impl Budget {
    /// Whether `cost` is within these limits. The smallest number of adapters is not a limit on cost.
    pub fn admits(&self, cost: &Cost) -> bool {
        cost.adapters <= usize::from(self.adapters)
            && self.parameters.is_none_or(|limit| cost.parameters <= limit)
            && self
                .extra_flops
                .is_none_or(|limit| cost.extra_flops <= limit)
    }
}

/// The cost of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The number of adapters.
    pub adapters: usize,
    /// The number of trainable parameters of all adapters.
    pub parameters: u64,
    /// The extra floating-point operations per example, as a share of the frozen forward pass.
    ///
    /// They are the products of the adapters, counted once, and with a recurrent connection also the sublayers from the
    /// earliest recurrent target to the end, which run a second time.
    pub extra_flops: f64,
}

impl Cost {
    /// The cost of `adapters` adapters whose ranks sum to `rank_sum`, with a second pass from hidden state
    /// `second_pass`, if there is one.
    ///
    /// Both the parameters, `(2 d + 1) rank_sum + d adapters`, and the products of the adapters, `4 d tokens rank_sum`,
    /// are affine in the sum of ranks, so a budget is a bound on that sum.
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
