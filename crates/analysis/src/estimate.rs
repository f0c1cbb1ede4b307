use serde::{Deserialize, Serialize};

use crate::Interval;

/// A value and its 95 % bootstrap interval over what was trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Lower bound, where resamples have values.
    pub low: Option<f64>,
    /// Upper bound, likewise.
    pub high: Option<f64>,
}

impl Measured {
    /// A value, and its interval where there is one.
    #[must_use]
    pub fn new(value: f64, interval: Option<Interval>) -> Self {
        Self {
            value,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
        }
    }
}

/// A mean and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error, s / sqrt(n) with the sample deviation s; unknown from a single value.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// Of the mean of `values`; `None` of none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        Some(Self {
            mean,
            standard_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_of_two_and_four() {
        // Mean 3, sample variance 2, standard error sqrt(2 / 2).
        let estimate = Estimate::of(&[2.0, 4.0]).unwrap();
        assert_eq!((estimate.mean, estimate.standard_error), (3.0, Some(1.0)));
        assert_eq!(Estimate::of(&[5.0]).unwrap().standard_error, None);
        assert!(Estimate::of(&[]).is_none());
    }
}
