use adaplace_scorer::{ByClass, Measures, OfNumbers, OfSets, Score as Measured};
use adaplace_study::{Metric, Phase, Trial as Asked};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::placement::Placement;

/// The score of a placement.
///
/// A classification has ``accuracy`` and, all together or not at all, the three measures that count every class. A
/// regression has ``pearson``, ``spearman``, ``r2`` and ``root_mean_squared_error``; a multi-label problem has ``micro_f1``,
/// ``macro_f1``, ``mean_average_precision`` and ``exact_match``. The measures of other kinds are None.
///
/// Raises:
///     ValueError: If the measures are not those of one kind of problem.
#[pyclass(frozen, eq, module = "adaplace", from_py_object)]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Score {
    inner: Measured,
}

type Arguments = (Option<f64>, f64, f64, Option<f64>, Option<f64>, Option<f64>);

#[pymethods]
impl Score {
    #[new]
    #[pyo3(signature = (
        accuracy, loss, train_loss, balanced_accuracy = None, macro_f1 = None, matthews = None, *, pearson = None,
        spearman = None, r2 = None, root_mean_squared_error = None, micro_f1 = None, mean_average_precision = None,
        exact_match = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword in Python")]
    fn new(
        accuracy: Option<f64>,
        loss: f64,
        train_loss: f64,
        balanced_accuracy: Option<f64>,
        macro_f1: Option<f64>,
        matthews: Option<f64>,
        pearson: Option<f64>,
        spearman: Option<f64>,
        r2: Option<f64>,
        root_mean_squared_error: Option<f64>,
        micro_f1: Option<f64>,
        mean_average_precision: Option<f64>,
        exact_match: Option<f64>,
    ) -> PyResult<Self> {
        let by_class = [balanced_accuracy, macro_f1, matthews];
        let numbers = [pearson, spearman, r2, root_mean_squared_error];
        let sets = [micro_f1, macro_f1, mean_average_precision, exact_match];
        let measures = match (accuracy, all(numbers), all(sets)) {
            (Some(accuracy), Found::None, _) if micro_f1.is_none() => match all(by_class) {
                Found::Some => None,
                Found::None => Some(Measures::of_accuracy(accuracy)),
                Found::All([balanced_accuracy, macro_f1, matthews]) => Some(Measures::Classes {
                    accuracy,
                    by_class: Some(ByClass {
                        balanced_accuracy,
                        macro_f1,
                        matthews,
                    }),
                }),
            },
            (None, Found::All([pearson, spearman, r2, root_mean_squared_error]), Found::None) => {
                Some(Measures::Numbers(OfNumbers {
                    pearson,
                    spearman,
                    r2,
                    root_mean_squared_error,
                }))
            }
            (
                None,
                Found::None,
                Found::All([micro_f1, macro_f1, mean_average_precision, exact_match]),
            ) => Some(Measures::Sets(OfSets {
                micro_f1,
                macro_f1,
                mean_average_precision,
                exact_match,
            })),
            _ => None,
        };
        let measures = measures.ok_or_else(|| {
            PyValueError::new_err(
                "a score needs the measures of one kind of problem, and all of them",
            )
        })?;
        Ok(Self {
            inner: Measured {
                train_loss,
                validation_loss: loss,
                measures,
            },
        })
    }

    /// The share of the validation part that is classified correctly.
    #[getter]
    fn accuracy(&self) -> Option<f64> {
        self.inner.measures.accuracy()
    }

    /// The mean loss on the validation part: cross-entropy in nats, squared error in units of the variance of the training
    /// labels, or binary cross-entropy in nats.
    #[getter]
    fn loss(&self) -> f64 {
        self.inner.validation_loss
    }

    /// The mean loss of the last epoch.
    #[getter]
    fn train_loss(&self) -> f64 {
        self.inner.train_loss
    }

    /// The mean recall of the classes on the validation part.
    #[getter]
    fn balanced_accuracy(&self) -> Option<f64> {
        let of_classes = self.inner.measures.by_class();
        of_classes.map(|of| of.balanced_accuracy)
    }

    /// The mean F1 of the classes on the validation part.
    #[getter]
    fn macro_f1(&self) -> Option<f64> {
        let of_sets = self.sets().map(|of| of.macro_f1);
        of_sets.or(self.inner.measures.by_class().map(|of| of.macro_f1))
    }

    /// The Matthews correlation on the validation part.
    #[getter]
    fn matthews(&self) -> Option<f64> {
        self.inner.measures.by_class().map(|of| of.matthews)
    }

    /// Pearson's correlation of predictions and labels.
    #[getter]
    fn pearson(&self) -> Option<f64> {
        self.numbers().map(|of| of.pearson)
    }

    /// Spearman's correlation of predictions and labels.
    #[getter]
    fn spearman(&self) -> Option<f64> {
        self.numbers().map(|of| of.spearman)
    }

    /// The share of the variance of the labels that the predictions explain.
    #[getter]
    fn r2(&self) -> Option<f64> {
        self.numbers().map(|of| of.r2)
    }

    /// The square root of the mean squared error, in the unit of the labels.
    #[getter]
    fn root_mean_squared_error(&self) -> Option<f64> {
        self.numbers().map(|of| of.root_mean_squared_error)
    }

    /// F1 over all examples and classes.
    #[getter]
    fn micro_f1(&self) -> Option<f64> {
        self.sets().map(|of| of.micro_f1)
    }

    /// The mean of the classes' average precision.
    #[getter]
    fn mean_average_precision(&self) -> Option<f64> {
        self.sets().map(|of| of.mean_average_precision)
    }

    /// The share of the examples whose classes are all right.
    #[getter]
    fn exact_match(&self) -> Option<f64> {
        self.sets().map(|of| of.exact_match)
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Arguments, Bound<'py, PyDict>)> {
        let named = PyDict::new(py);
        for (name, value) in [
            ("pearson", self.pearson()),
            ("spearman", self.spearman()),
            ("r2", self.r2()),
            ("root_mean_squared_error", self.root_mean_squared_error()),
            ("micro_f1", self.micro_f1()),
            ("mean_average_precision", self.mean_average_precision()),
            ("exact_match", self.exact_match()),
        ] {
            named.set_item(name, value)?;
        }
        let arguments = (
            self.accuracy(),
            self.loss(),
            self.train_loss(),
            self.balanced_accuracy(),
            self.macro_f1(),
            self.matthews(),
        );
        Ok((arguments, named))
    }

    fn __repr__(&self) -> String {
        let headline = Metric::headline(self.inner.measures.problem());
        format!(
            "Score({}={:?}, loss={:?}, train_loss={:?})",
            headline.name().replace('-', "_"),
            self.inner.measures.headline(),
            self.loss(),
            self.train_loss()
        )
    }
}

impl Score {
    fn numbers(&self) -> Option<OfNumbers> {
        match self.inner.measures {
            Measures::Numbers(of) => Some(of),
            Measures::Classes { .. } | Measures::Sets(_) => None,
        }
    }

    fn sets(&self) -> Option<OfSets> {
        match self.inner.measures {
            Measures::Sets(of) => Some(of),
            Measures::Classes { .. } | Measures::Numbers(_) => None,
        }
    }
}

/// How many of some values there are.
enum Found<const N: usize> {
    None,
    Some,
    All([f64; N]),
}

fn all<const N: usize>(values: [Option<f64>; N]) -> Found<N> {
    match values.iter().flatten().count() {
        0 => Found::None,
        found if found == N => Found::All(values.map(|value| value.unwrap_or(f64::NAN))),
        _ => Found::Some,
    }
}

impl From<Measured> for Score {
    fn from(inner: Measured) -> Self {
        Self { inner }
    }
}

impl From<Score> for Measured {
    fn from(score: Score) -> Self {
        score.inner
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
