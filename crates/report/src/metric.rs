//! The metric of a ranking, in words and numbers.

use adaplace_study::Metric;
use adaplace_task::ProblemKind;

use crate::numbers::{Unit, hundredths, points};

pub(crate) fn unit(metric: Metric) -> Unit {
    match metric.is_share() {
        true => Unit::Share,
        false => Unit::Number,
    }
}

/// The number that a table shows whose heading says the unit: `85.33` for a share, `0.431` for others.
#[must_use]
pub fn bare(metric: Metric) -> fn(f64) -> String {
    match metric.is_share() {
        true => hundredths,
        false => |value| format!("{value:.3}"),
    }
}

/// A difference with its sign, in points if the metric is a share.
#[must_use]
pub fn difference(metric: Metric) -> fn(f64) -> String {
    match metric.is_share() {
        true => points,
        false => |value| format!("{value:+.3}"),
    }
}

pub(crate) fn name(metric: Metric, problem: ProblemKind) -> String {
    format!("validation {}", metric.words_for(problem))
}
