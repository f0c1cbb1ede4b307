//! What computes, and how much of it at a time.

use adaplace_arithmetic::Device;
use adaplace_backbone::BackboneDescription;

use crate::engine::TOKENS_ON_DEVICE;

/// The largest number of trainings side by side unless it is chosen. A strategy rarely proposes more at a time.
const MOST_AT_ONCE: usize = 64;

/// The resources of the computation. The processor computes the same with any of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// The device.
    pub device: Device,
    /// The largest size of the cached frozen states, in bytes. By default it is half of what a card has free, and a
    /// processor caches all of them.
    pub cache_memory: Option<usize>,
    /// The number of trainings that are computed side by side at most. By default a card computes as many as fill it
    /// and fit into its memory, and a processor one.
    pub side_by_side: Option<usize>,
}

/// The size of a training's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrainingSize {
    /// The mean number of tokens of a batch, at least 1.
    tokens: usize,
    /// The approximate number of bytes that a step needs.
    bytes: usize,
}

impl TrainingSize {
    /// The size of trainings on examples of these numbers of tokens.
    pub(crate) fn new(
        description: &BackboneDescription,
        lengths: &[usize],
        batch_size: usize,
    ) -> Self {
        let all: usize = lengths.iter().sum();
        let tokens = (all * batch_size).div_ceil(lengths.len().max(1)).max(1);
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let BackboneDescription {
            blocks,
            width,
            heads,
            intermediate,
            ..
        } = *description;
        let scores = heads * longest;
        // For each token the backward pass keeps, of both sublayers of a block, the states, the normalised rows and the
        // gradients; of the attention the projections, once more by heads, and the weights; of the MLP the slopes.
        let kept = blocks * (12 * width + scores + intermediate);
        // An operation has up to three results of the largest kinds at a time.
        let passing = 6 * width + 3 * scores + 2 * intermediate;
        Self {
            tokens,
            bytes: tokens * (kept + passing) * size_of::<f32>(),
        }
    }

    /// The number of trainings side by side that fill a device and fit into these bytes, at least 1.
    pub(crate) fn at_once(self, free: Option<usize>) -> usize {
        let fill = TOKENS_ON_DEVICE.div_ceil(self.tokens);
        let fit = free.map_or(usize::MAX, |free| free / self.bytes);
        fill.min(fit).clamp(1, MOST_AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::tiny_bert;

    /// The tiny backbone has 2 blocks of width 32 with 4 heads and an MLP of 64.
    #[test]
    fn trainings_fill_the_device_or_its_memory() {
        let backbone = tiny_bert();
        let description = backbone.description();
        assert_eq!(
            (
                description.blocks,
                description.width,
                description.heads,
                description.intermediate
            ),
            (2, 32, 4, 64)
        );
        let size = TrainingSize::new(description, &[6, 10, 8], 100);
        let bytes = 800 * 4 * (2 * (384 + 40 + 64) + 192 + 120 + 128);
        assert_eq!(size, TrainingSize { tokens: 800, bytes });
        // 21 batches of 800 tokens are the first to have more than 16,384.
        assert_eq!(size.at_once(None), 21);
        assert_eq!(size.at_once(Some(3 * bytes)), 3);
        assert_eq!(size.at_once(Some(3 * bytes - 1)), 2);
        assert_eq!(size.at_once(Some(0)), 1);
        assert_eq!(TrainingSize::new(description, &[1], 1).at_once(None), 64);
        assert_eq!(TrainingSize::new(description, &[], 8).at_once(None), 64);
        assert_eq!(TrainingSize::new(description, &[300], 64).at_once(None), 1);
    }
}
