/// AdamW (Loshchilov and Hutter, 2019) over values in one vector, with the usual decay rates 0.9 and 0.999 and epsilon
/// 1e-8.
///
/// With gradient g at step t, counted from 1, m = 0.9 m + 0.1 g and v = 0.999 v + 0.001 g^2, and the value x becomes x
/// (1 - rate * decay) - rate * m / (1 - 0.9^t) / (sqrt(v / (1 - 0.999^t)) + 1e-8).
#[derive(Debug, Clone)]
pub struct AdamW {
    weight_decay: f64,
    steps: i32,
    means: Vec<f32>,
    squares: Vec<f32>,
}

const MEAN_DECAY: f64 = 0.9;
const SQUARE_DECAY: f64 = 0.999;
const EPSILON: f32 = 1e-8;

impl AdamW {
    /// An optimiser for `count` values, whose `weight_decay` is a share of the learning rate.
    #[must_use]
    pub fn new(count: usize, weight_decay: f64) -> Self {
        Self {
            weight_decay,
            steps: 0,
            means: vec![0.0; count],
            squares: vec![0.0; count],
        }
    }

    /// Makes one step. Neighbouring values may learn at different rates: each of `rates` is a learning rate and the
    /// number of values to which it applies, starting with the first value.
    ///
    /// # Panics
    /// If the number of values, gradients or rates differs from that of this optimiser.
    pub fn step(&mut self, values: &mut [f32], gradients: &[f32], rates: &[(f64, usize)]) {
        let count = self.means.len();
        let rated: usize = rates.iter().map(|(_, count)| count).sum();
        assert_eq!(
            (values.len(), gradients.len(), rated),
            (count, count, count)
        );
        self.steps += 1;
        let mean_scale = (1.0 / (1.0 - MEAN_DECAY.powi(self.steps))) as f32;
        let square_scale = (1.0 / (1.0 - SQUARE_DECAY.powi(self.steps))) as f32;
        let (mean_decay, square_decay) = (MEAN_DECAY as f32, SQUARE_DECAY as f32);
        let (mean_share, square_share) = (1.0 - MEAN_DECAY as f32, 1.0 - SQUARE_DECAY as f32);
        let mut begin = 0;
        for &(rate, count) in rates {
            let range = begin..begin + count;
            begin = range.end;
            let keep = (1.0 - rate * self.weight_decay) as f32;
            let rate = rate as f32;
            let moments = self.means[range.clone()]
                .iter_mut()
                .zip(&mut self.squares[range.clone()]);
            let values = values[range.clone()].iter_mut().zip(&gradients[range]);
            for ((value, &g), (mean, square)) in values.zip(moments) {
                *mean = mean_decay * *mean + mean_share * g;
                *square = square_decay * *square + square_share * g * g;
                let deviation = (*square * square_scale).sqrt() + EPSILON;
                *value = *value * keep - rate * (*mean * mean_scale) / deviation;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corrected moments of a constant gradient g are g and g^2 at every step, so each step moves the value by its
    /// rate.
    #[test]
    fn a_constant_gradient_moves_by_the_rate() {
        let mut optimiser = AdamW::new(3, 0.0);
        let mut values = [1.0, 1.0, 1.0];
        for _ in 0..5 {
            optimiser.step(&mut values, &[0.5, -2.0, 0.5], &[(0.01, 2), (0.1, 1)]);
        }
        for (found, expected) in values.iter().zip([0.95, 1.05, 0.5]) {
            assert!((found - expected).abs() < 1e-5, "{values:?}");
        }
    }

    /// Without a gradient only the decay is left: (1 - 0.1 * 0.5)^2.
    #[test]
    fn weights_decay() {
        let mut optimiser = AdamW::new(1, 0.5);
        let mut values = [2.0];
        optimiser.step(&mut values, &[0.0], &[(0.1, 1)]);
        optimiser.step(&mut values, &[0.0], &[(0.1, 1)]);
        assert!((values[0] - 2.0 * 0.95 * 0.95).abs() < 1e-6);
    }
}
