//! What is ranked by, in words and numbers.

use adaplace_study::Metric;

use crate::numbers::Unit;

pub(crate) fn unit(metric: Metric) -> Unit {
    match metric {
        Metric::Accuracy => Unit::Share,
        Metric::Loss => Unit::Number,
    }
}

pub(crate) fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "validation accuracy",
        Metric::Loss => "validation loss",
    }
}

/// The larger the better.
pub(crate) fn merit(metric: Metric, value: f64) -> f64 {
    match metric {
        Metric::Accuracy => value,
        Metric::Loss => -value,
    }
}
