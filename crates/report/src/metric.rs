//! The metric of a ranking, in words and numbers.

use adaplace_study::Metric;

use crate::numbers::Unit;

pub(crate) fn unit(metric: Metric) -> Unit {
    match metric.is_share() {
        true => Unit::Share,
        false => Unit::Number,
    }
}

pub(crate) fn name(metric: Metric) -> String {
    format!("validation {}", metric.words())
}
