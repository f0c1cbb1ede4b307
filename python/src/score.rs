use adaplace_scorer::Score as Measured;
use adaplace_study::{Phase, Trial as Asked};
use pyo3::prelude::*;

use crate::placement::Placement;

/// How good a placement turned out to be.
#[pyclass(frozen, eq, get_all, module = "adaplace", from_py_object)]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Score {
    accuracy: f64,
    loss: f64,
    train_loss: f64,
}

#[pymethods]
impl Score {
    #[new]
    fn new(accuracy: f64, loss: f64, train_loss: f64) -> Self {
        Self {
            accuracy,
            loss,
            train_loss,
        }
    }

    fn __getnewargs__(&self) -> (f64, f64, f64) {
        (self.accuracy, self.loss, self.train_loss)
    }

    fn __repr__(&self) -> String {
        format!(
            "Score(accuracy={:?}, loss={:?}, train_loss={:?})",
            self.accuracy, self.loss, self.train_loss
        )
    }
}

impl From<Measured> for Score {
    fn from(score: Measured) -> Self {
        Self {
            accuracy: score.validation_accuracy,
            loss: score.validation_loss,
            train_loss: score.train_loss,
        }
    }
}

impl From<Score> for Measured {
    fn from(score: Score) -> Self {
        Self {
            train_loss: score.train_loss,
            validation_loss: score.loss,
            validation_accuracy: score.accuracy,
        }
    }
}

/// A training that a study asks for.
#[pyclass(frozen, get_all, module = "adaplace")]
pub(crate) struct Trial {
    number: usize,
    phase: &'static str,
    placement: Placement,
    steps: u32,
    repetition: u32,
}

#[pymethods]
impl Trial {
    fn __repr__(&self) -> String {
        format!(
            "<Trial {} ({}): {}, {} steps, repetition {}>",
            self.number, self.phase, self.placement.inner, self.steps, self.repetition
        )
    }
}

impl From<Asked> for Trial {
    fn from(trial: Asked) -> Self {
        Self {
            number: trial.number,
            phase: match trial.phase {
                Phase::Search => "search",
                Phase::Race => "race",
                Phase::Finalist => "finalist",
                Phase::Baseline => "baseline",
            },
            placement: Placement {
                inner: trial.placement,
            },
            steps: trial.steps.steps(),
            repetition: trial.repetition,
        }
    }
}
