use adaplace_scorer::{ByClass, Score as Measured};
use adaplace_study::{Phase, Trial as Asked};
use pyo3::prelude::*;

use crate::placement::Placement;

/// The score of a placement.
///
/// The last three numbers count every class. They are given together or not at all.
#[pyclass(frozen, eq, get_all, module = "adaplace", from_py_object)]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// The share of the validation part that is classified correctly.
    accuracy: f64,
    /// The mean cross-entropy on the validation part, in nats.
    loss: f64,
    /// The mean cross-entropy of the last epoch, in nats.
    train_loss: f64,
    /// The mean recall of the classes on the validation part.
    balanced_accuracy: Option<f64>,
    /// The mean F1 of the classes on the validation part.
    macro_f1: Option<f64>,
    /// The Matthews correlation on the validation part.
    matthews: Option<f64>,
}

type Arguments = (f64, f64, f64, Option<f64>, Option<f64>, Option<f64>);

#[pymethods]
impl Score {
    #[new]
    #[pyo3(signature = (accuracy, loss, train_loss, balanced_accuracy = None, macro_f1 = None, matthews = None))]
    fn new(
        accuracy: f64,
        loss: f64,
        train_loss: f64,
        balanced_accuracy: Option<f64>,
        macro_f1: Option<f64>,
        matthews: Option<f64>,
    ) -> Self {
        Self {
            accuracy,
            loss,
            train_loss,
            balanced_accuracy,
            macro_f1,
            matthews,
        }
    }

    fn __getnewargs__(&self) -> Arguments {
        (
            self.accuracy,
            self.loss,
            self.train_loss,
            self.balanced_accuracy,
            self.macro_f1,
            self.matthews,
        )
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
            balanced_accuracy: score.by_class.map(|of| of.balanced_accuracy),
            macro_f1: score.by_class.map(|of| of.macro_f1),
            matthews: score.by_class.map(|of| of.matthews),
        }
    }
}

impl From<Score> for Measured {
    fn from(score: Score) -> Self {
        let of_classes = score.balanced_accuracy.zip(score.macro_f1);
        let by_class = of_classes.zip(score.matthews);
        Self {
            train_loss: score.train_loss,
            validation_loss: score.loss,
            validation_accuracy: score.accuracy,
            by_class: by_class.map(|((balanced_accuracy, macro_f1), matthews)| ByClass {
                balanced_accuracy,
                macro_f1,
                matthews,
            }),
        }
    }
}

/// A training that a study asks for.
#[pyclass(frozen, get_all, module = "adaplace")]
pub(crate) struct Trial {
    /// The number of the trial and of its line in the journal, from 0.
    number: usize,
    /// The phase of the study.
    phase: &'static str,
    /// The placement to train.
    placement: Placement,
    /// The number of optimiser steps.
    steps: u32,
    /// The repetition: 0 in the search, from 1 in the race, and after it for finalists and baseline.
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
            phase: match trial.training.phase {
                Phase::Search => "search",
                Phase::Race => "race",
                Phase::Finalist => "finalist",
                Phase::Baseline => "baseline",
            },
            placement: Placement {
                inner: trial.training.placement,
            },
            steps: trial.training.steps.steps(),
            repetition: trial.training.repetition,
        }
    }
}
