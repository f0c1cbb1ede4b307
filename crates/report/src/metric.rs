//! What is ranked by, in words and numbers.

use adaplace_study::Metric;

use crate::numbers::Unit;

pub(crate) fn unit(metric: Metric) -> Unit {
    match metric {
        Metric::Accuracy => Unit::Share,
        Metric::Loss | Metric::Combined => Unit::Number,
    }
}

pub(crate) fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "validation accuracy",
        Metric::Loss => "validation loss",
        Metric::Combined => "validation accuracy - loss / 2",
    }
}
