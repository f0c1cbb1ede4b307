//! The shape of one adapter.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::SpaceError;

/// A bottleneck adapter `A(x) = scale * (W_up gelu(W_down norm(x) + b_down) + b_up)` of width `d` and rank `r`.
///
/// `W_down` is (r, d), `b_down` (r), `W_up` (d, r), `b_up` (d). Specs are compared, ordered and hashed by the bits of
/// the scale. [`AdapterSpec::new`] makes one and checks both values.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AdapterSpec {
    /// The bottleneck width `r`, at least 1.
    pub rank: u16,
    /// The factor on the adapter's output; finite and not 0.
    pub scale: f32,
}

impl AdapterSpec {
    /// An adapter of this rank and scale.
    ///
    /// # Errors
    /// [`SpaceError::ZeroRank`] and [`SpaceError::UnusableScale`].
    pub fn new(rank: u16, scale: f32) -> Result<Self, SpaceError> {
        if rank == 0 {
            return Err(SpaceError::ZeroRank);
        }
        if !scale.is_finite() || scale == 0.0 {
            return Err(SpaceError::UnusableScale { scale });
        }
        Ok(AdapterSpec { rank, scale })
    }

    /// The number of trainable parameters at width `d`: `2 r d + r + d` (two matrices and two biases).
    pub fn parameters(self, width: u32) -> u64 {
        let (rank, width) = (u64::from(self.rank), u64::from(width));
        2 * rank * width + rank + width
    }

    /// The floating-point operations of the adapter's two products over `tokens` tokens at width `d`: `4 r d` per
    /// token, counting a multiply-add as two. Saturates at `u64::MAX`.
    pub fn flops(self, width: u32, tokens: u32) -> u64 {
        (4 * u64::from(self.rank) * u64::from(width)).saturating_mul(u64::from(tokens))
    }
}

impl PartialEq for AdapterSpec {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for AdapterSpec {}

impl PartialOrd for AdapterSpec {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AdapterSpec {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank
            .cmp(&other.rank)
            .then_with(|| self.scale.total_cmp(&other.scale))
    }
}

impl Hash for AdapterSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank.hash(state);
        self.scale.to_bits().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_flops_of_the_reference_adapter() {
        let adapter = AdapterSpec::new(8, 1.0).unwrap();
        // W_down 8 x 384, b_down 8, W_up 384 x 8, b_up 384
        assert_eq!(adapter.parameters(384), 3072 + 8 + 3072 + 384);
        // One token: two products of 8 x 384 multiply-adds.
        assert_eq!(adapter.flops(384, 1), 2 * 2 * 3072);
        assert_eq!(adapter.flops(384, 10), 10 * adapter.flops(384, 1));
    }

    #[test]
    fn rank_zero_and_scales_that_do_nothing_are_refused() {
        assert!(matches!(
            AdapterSpec::new(0, 1.0),
            Err(SpaceError::ZeroRank)
        ));
        for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0] {
            assert!(matches!(
                AdapterSpec::new(1, scale),
                Err(SpaceError::UnusableScale { .. })
            ));
        }
    }
}
