//! Bicubic interpolation of a square grid, as in PyTorch's `interpolate` with `align_corners` off and without
//! antialiasing.

/// The free parameter of the cubic convolution (Keys, 1981): its slope at distance 1 from the centre.
const SLOPE: f64 = -0.75;

/// Interpolates `values` (side, side, width) at `target` x `target` points. The result is (target, target, width).
pub(crate) fn resize(values: &[f32], side: usize, target: usize, width: usize) -> Vec<f32> {
    let taps: Vec<[(usize, f64); 4]> = (0..target).map(|at| taps(side, target, at)).collect();
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

/// The four source points of which target point `at` is a weighted sum. Points beyond an edge take the value at the
/// edge.
fn taps(side: usize, target: usize, at: usize) -> [(usize, f64); 4] {
    let position = (at as f64 + 0.5) * side as f64 / target as f64 - 0.5;
    let before = position.floor();
    std::array::from_fn(|tap| {
        let point = before + tap as f64 - 1.0;
        let nearest = point.clamp(0.0, (side - 1) as f64);
        (nearest as usize, cubic((position - point).abs()))
    })
}

/// The weight of a point at this distance.
fn cubic(distance: f64) -> f64 {
    let d = distance;
    if d <= 1.0 {
        ((SLOPE + 2.0) * d - (SLOPE + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        SLOPE * (((d - 5.0) * d + 8.0) * d - 4.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_grid_is_the_same_to_the_bit() {
        let values: Vec<f32> = (0..4 * 4 * 3).map(|index| (index as f32).sin()).collect();
        assert_eq!(resize(&values, 4, 4, 3), values);
    }

    /// The weights of a cubic convolution sum to 1.
    #[test]
    fn a_constant_stays_constant() {
        for target in [1, 2, 3, 5, 16] {
            let result = resize(&[0.75; 5 * 5 * 2], 5, target, 2);
            assert_eq!(result.len(), target * target * 2);
            assert!(result.iter().all(|value| (value - 0.75).abs() < 1e-6));
        }
    }

    /// Halfway between two points the kernel is 1/2 - slope/8 at distance 1/2 and slope/8 at distance 3/2.
    #[test]
    fn half_way_the_weights_are_those_of_the_kernel() {
        let weights = taps(4, 2, 0).map(|(_, weight)| weight);
        assert_eq!(weights, [-0.09375, 0.59375, 0.59375, -0.09375]);
        let points = taps(4, 2, 0).map(|(point, _)| point);
        assert_eq!(points, [0, 0, 1, 2]);
    }
}
