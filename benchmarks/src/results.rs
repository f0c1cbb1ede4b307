//! What `run` prints.

use serde::Serialize;

use crate::work::{Kind, Pair};
use adaplace_backbone::Precision;

/// The line that a run prints; `pytorch/bench.py` prints one of the same form.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) engine: &'static str,
    pub(crate) work: String,
    pub(crate) kind: Kind,
    pub(crate) precision: Precision,
    /// Of one training step, one whole study or one gradient map, one for each time that it was timed.
    pub(crate) seconds: Vec<f64>,
    /// Proof that both engines did the same.
    pub(crate) results: Vec<Outcome>,
}

/// What came out.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// Of the training of one placement.
    Training {
        placement: Vec<Pair>,
        validation_accuracy: f64,
        validation_loss: f64,
        train_loss: f64,
    },
    /// Of one connection of a gradient map.
    Connection {
        connection: Pair,
        /// Largest singular value.
        largest: f64,
        /// Sum of the singular values.
        nuclear: f64,
    },
}
