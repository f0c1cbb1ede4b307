use std::f64::consts::PI;

use adaplace_arithmetic::Rotation;

/// The rotary positions of the patches of square pictures (Siméoni et al., 2025): one half of the pairs is turned by the
/// patch's height, the other by its distance from the left, both between -1 and 1, at half the turns of a full circle and
/// less.
#[derive(Debug, Clone)]
pub(crate) struct PatchRotation {
    /// The base of the frequencies.
    pub(crate) base: f64,
    pub(crate) head_width: usize,
    /// The number of tokens before the patches, which are not turned.
    pub(crate) tokens_before: usize,
}

impl PatchRotation {
    /// The rotation for pictures of `grid` x `grid` patches.
    pub(crate) fn on_grid(&self, grid: usize) -> Rotation {
        let pairs = self.head_width / 2;
        let share = 4.0 / self.head_width as f64;
        let frequencies: Vec<f32> = (0..pairs / 2)
            .map(|index| 1.0 / (self.base as f32).powf((index as f64 * share) as f32))
            .collect();
        // f32 throughout, as in the model's own training.
        let centre = |place: usize| 2.0 * ((place as f32 + 0.5) / grid as f32) - 1.0;
        let mut angles = vec![0.0; self.tokens_before * pairs];
        for patch in 0..grid * grid {
            for coordinate in [centre(patch / grid), centre(patch % grid)] {
                let turn = (2.0 * PI) as f32 * coordinate;
                angles.extend(frequencies.iter().map(|frequency| turn * frequency));
            }
        }
        Rotation::by_angles(pairs, angles)
    }
}
