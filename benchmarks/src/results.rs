//! The output of `run`.

use adaplace_backbone::Precision;
use serde::Serialize;

use crate::work::{Kind, Pair};

/// The line that a run prints. `pytorch/bench.py` prints one in the same form.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) engine: &'static str,
    pub(crate) work: String,
    pub(crate) kind: Kind,
    pub(crate) precision: Precision,
    /// The name of the device.
    pub(crate) device: String,
    /// The number of trainings that were computed side by side.
    pub(crate) side_by_side: usize,
    /// The time in seconds of one training step, one whole study or one gradient map, for each time that it was
    /// measured.
    pub(crate) seconds: Vec<f64>,
    /// The results, which prove that both engines did the same work.
    pub(crate) results: Vec<Outcome>,
}

/// One result of a work.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// The result of the training of one placement.
    Training {
        placement: Vec<Pair>,
        validation_accuracy: f64,
        validation_loss: f64,
        train_loss: f64,
    },
    /// The result for one connection of a gradient map.
    Connection {
        connection: Pair,
        /// The largest singular value.
        largest: f64,
        /// The sum of the singular values.
        nuclear: f64,
    },
}
