use adaplace_search_space::{Count, Positive, Share};
use serde::{Deserialize, Serialize};

/// The settings of the training of adapters and head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// The number of examples in a batch.
    pub batch_size: Count,
    /// The highest learning rate of the adapters.
    pub adapter_learning_rate: Positive,
    /// The highest learning rate of the head.
    pub head_learning_rate: Positive,
    /// The decoupled weight decay, as a share of the learning rate.
    pub weight_decay: Share,
    /// The share of the steps in which the learning rate rises linearly. After them it falls linearly towards 0.
    pub warm_up: Share,
    /// The largest norm of the gradient of all trained tensors together. A longer gradient is shortened to it.
    pub gradient_clip: Positive,
    /// Whether each adapter's output is multiplied by a trained vector, as in Adapter+. After the training it is part
    /// of W_up and b_up.
    // This is never skipped, because a scorer is pickled in a format that does not contain field names.
    #[serde(default)]
    pub learned_scale: bool,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            batch_size: Count::of(32),
            adapter_learning_rate: Positive::of(3e-3),
            head_learning_rate: Positive::of(1e-3),
            weight_decay: Share::of(1e-4),
            warm_up: Share::of(0.1),
            gradient_clip: Positive::of(1.0),
            learned_scale: false,
        }
    }
}

impl TrainingSettings {
    /// The share of the highest learning rate at a step, counted from 0, of a training of `steps` steps.
    pub(crate) fn learning_rate_factor(&self, step: u32, steps: u32) -> f64 {
        let warm_up = (self.warm_up.get() * f64::from(steps)).ceil();
        let (step, steps) = (f64::from(step), f64::from(steps));
        if step < warm_up {
            (step + 1.0) / warm_up
        } else {
            (steps - step) / (steps - warm_up)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(warm_up: f64, steps: u32) -> Vec<f64> {
        let settings = TrainingSettings {
            warm_up: Share::of(warm_up),
            ..TrainingSettings::default()
        };
        (0..steps)
            .map(|step| settings.learning_rate_factor(step, steps))
            .collect()
    }

    /// The rate rises in two of eight steps and falls in the others, towards zero after the last one.
    #[test]
    fn learning_rate_climbs_and_falls_linearly() {
        assert_eq!(
            factors(0.25, 8),
            [
                0.5,
                1.0,
                1.0,
                5.0 / 6.0,
                4.0 / 6.0,
                3.0 / 6.0,
                2.0 / 6.0,
                1.0 / 6.0
            ]
        );
        assert_eq!(factors(0.0, 4), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(factors(1.0, 4), [0.25, 0.5, 0.75, 1.0]);
        // A fraction of a step counts as one: 0.3 becomes 1.
        assert_eq!(factors(0.1, 3), [1.0, 1.0, 0.5]);
        assert_eq!(factors(0.1, 1), [1.0]);
    }
}
