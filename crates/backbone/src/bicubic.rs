//! Bicubic interpolation of a square grid, as in PyTorch's `interpolate` with `align_corners` off.

/// How points beside the sampled one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bicubic {
    /// Four points are read in each direction.
    Plain,
    /// Where the grid becomes smaller, all points are read that a target point stands for (`antialias` in PyTorch). The
    /// cubic is a different one as well.
    Antialiased,
}

impl Bicubic {
    /// The free parameter of the cubic convolution (Keys, 1981): its slope at distance 1 from the centre.
    fn slope(self) -> f64 {
        match self {
            Self::Plain => -0.75,
            Self::Antialiased => -0.5,
        }
    }

    /// Interpolates `values` (side, side, width) at `target` x `target` points. The result is (target, target, width).
    pub(crate) fn resize(
        self,
        values: &[f32],
        side: usize,
        target: usize,
        width: usize,
    ) -> Vec<f32> {
        let taps: Vec<_> = (0..target).map(|at| self.taps(side, target, at)).collect();
        let mut result = Vec::with_capacity(target * target * width);
        let mut point = vec![0.0_f64; width];
        for row in &taps {
            for column in &taps {
                point.fill(0.0);
                for (y, by_row) in row {
                    for (x, by_column) in column {
                        let from = (y * side + x) * width;
                        let weight = by_row * by_column;
                        for (sum, &value) in point.iter_mut().zip(&values[from..from + width]) {
                            *sum += weight * f64::from(value);
                        }
                    }
                }
                result.extend(point.iter().map(|&value| value as f32));
            }
        }
        result
    }

    /// The source points of which target point `at` is a weighted sum, and their weights.
    fn taps(self, side: usize, target: usize, at: usize) -> Vec<(usize, f64)> {
        let scale = side as f64 / target as f64;
        let centre = (at as f64 + 0.5) * scale;
        match self {
            // Points beyond an edge take the value at the edge.
            Self::Plain => {
                let position = centre - 0.5;
                let before = position.floor();
                let tap = |tap: usize| {
                    let point = before + tap as f64 - 1.0;
                    let nearest = point.clamp(0.0, (side - 1) as f64);
                    (nearest as usize, self.cubic((position - point).abs()))
                };
                (0..4).map(tap).collect()
            }
            // Points beyond an edge do not count.
            Self::Antialiased => {
                let stretch = scale.max(1.0);
                let begin = (centre - 2.0 * stretch + 0.5).max(0.0) as usize;
                let end = ((centre + 2.0 * stretch + 0.5) as usize).min(side);
                let weight = |point: usize| {
                    let distance = (point as f64 + 0.5 - centre) / stretch;
                    (point, self.cubic(distance.abs()))
                };
                let all: Vec<_> = (begin..end).map(weight).collect();
                let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
                let shares = all.into_iter();
                shares
                    .map(|(point, weight)| (point, weight / sum))
                    .collect()
            }
        }
    }

    /// The weight of a point at this distance.
    fn cubic(self, distance: f64) -> f64 {
        let (d, slope) = (distance, self.slope());
        if d <= 1.0 {
            ((slope + 2.0) * d - (slope + 3.0)) * d * d + 1.0
        } else if d < 2.0 {
            slope * (((d - 5.0) * d + 8.0) * d - 4.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_grid_is_the_same_to_the_bit() {
        let values: Vec<f32> = (0..4 * 4 * 3).map(|index| (index as f32).sin()).collect();
        for bicubic in [Bicubic::Plain, Bicubic::Antialiased] {
            assert_eq!(bicubic.resize(&values, 4, 4, 3), values);
        }
    }

    /// The weights of a cubic convolution sum to 1.
    #[test]
    fn a_constant_stays_constant() {
        for bicubic in [Bicubic::Plain, Bicubic::Antialiased] {
            for target in [1, 2, 3, 5, 16] {
                let result = bicubic.resize(&[0.75; 5 * 5 * 2], 5, target, 2);
                assert_eq!(result.len(), target * target * 2);
                assert!(result.iter().all(|value| (value - 0.75).abs() < 1e-6));
            }
        }
    }

    /// Halfway between two points the kernel is 1/2 - slope/8 at distance 1/2 and slope/8 at distance 3/2.
    #[test]
    fn half_way_the_weights_are_those_of_the_kernel() {
        let taps = Bicubic::Plain.taps(4, 2, 0);
        let expected = [(0, -0.09375), (0, 0.59375), (1, 0.59375), (2, -0.09375)];
        assert_eq!(taps, expected);
    }

    /// From 4 points to 2, the first target point is at 1, and distances are halved: 1/4, 1/4, 3/4 and 5/4.
    #[test]
    fn a_smaller_grid_reads_all_points_that_a_target_point_stands_for() {
        let taps = Bicubic::Antialiased.taps(4, 2, 0);
        let points: Vec<usize> = taps.iter().map(|&(point, _)| point).collect();
        assert_eq!(points, [0, 1, 2, 3]);
        let near = 1.5 / 64.0 - 2.5 / 16.0 + 1.0;
        let far = 1.5 * 27.0 / 64.0 - 2.5 * 9.0 / 16.0 + 1.0;
        let outside = -0.5 * (125.0 / 64.0 - 5.0 * 25.0 / 16.0 + 8.0 * 1.25 - 4.0);
        let sum = 2.0 * near + far + outside;
        for ((_, found), expected) in taps.into_iter().zip([near, near, far, outside]) {
            assert!((found - expected / sum).abs() < 1e-15);
        }
    }
}
