use adaplace_scorer::{
    ByClass, Measures, OfLanguage, OfNumbers, OfSets, OfTags, Score as Measured,
};
use adaplace_study::{Metric, Phase, Trial as Asked};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::placement::Placement;

/// The score of a placement.
///
/// A classification has ``accuracy`` and, all together or not at all, the three measures that count every class. A
/// regression has ``pearson``, ``spearman``, ``r2`` and ``root_mean_squared_error``; a multi-label problem has ``micro_f1``,
/// ``macro_f1``, ``mean_average_precision`` and ``exact_match``; a token classification has ``entity_f1``,
/// ``entity_precision``, ``entity_recall``, ``token_accuracy`` and ``macro_f1``; language modelling has ``token_accuracy`` and
/// ``perplexity``. The measures of other kinds are None.
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
        exact_match = None, entity_f1 = None, entity_precision = None, entity_recall = None, token_accuracy = None,
        perplexity = None
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
        entity_f1: Option<f64>,
        entity_precision: Option<f64>,
        entity_recall: Option<f64>,
        token_accuracy: Option<f64>,
        perplexity: Option<f64>,
    ) -> PyResult<Self> {
        let given = Given([
            ("accuracy", accuracy),
            ("balanced_accuracy", balanced_accuracy),
            ("macro_f1", macro_f1),
            ("matthews", matthews),
            ("pearson", pearson),
            ("spearman", spearman),
            ("r2", r2),
            ("root_mean_squared_error", root_mean_squared_error),
            ("micro_f1", micro_f1),
            ("mean_average_precision", mean_average_precision),
            ("exact_match", exact_match),
            ("entity_f1", entity_f1),
            ("entity_precision", entity_precision),
            ("entity_recall", entity_recall),
            ("token_accuracy", token_accuracy),
            ("perplexity", perplexity),
        ]);
        let measures = given.measures();
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

    /// The mean loss on the validation part: cross-entropy in nats of an example, a word or a token of a completion, squared
    /// error in units of the variance of the training labels, or binary cross-entropy in nats.
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

    /// The mean F1 of the classes or tags on the validation part.
    #[getter]
    fn macro_f1(&self) -> Option<f64> {
        match self.inner.measures {
            Measures::Classes { by_class, .. } => by_class.map(|of| of.macro_f1),
            Measures::Sets(of) => Some(of.macro_f1),
            Measures::Tags(of) => Some(of.macro_f1),
            Measures::Numbers(_) | Measures::Language(_) => None,
        }
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

    /// F1 of the entities that tags mark.
    #[getter]
    fn entity_f1(&self) -> Option<f64> {
        self.tags().map(|of| of.entity_f1)
    }

    /// The share of the predicted entities that are right.
    #[getter]
    fn entity_precision(&self) -> Option<f64> {
        self.tags().map(|of| of.entity_precision)
    }

    /// The share of the labelled entities that are predicted.
    #[getter]
    fn entity_recall(&self) -> Option<f64> {
        self.tags().map(|of| of.entity_recall)
    }

    /// The share of the words with the right tag, or of the tokens of completions that are predicted.
    #[getter]
    fn token_accuracy(&self) -> Option<f64> {
        match self.inner.measures {
            Measures::Tags(of) => Some(of.token_accuracy),
            Measures::Language(of) => Some(of.token_accuracy),
            _ => None,
        }
    }

    /// exp of the mean loss of a token.
    #[getter]
    fn perplexity(&self) -> Option<f64> {
        match self.inner.measures {
            Measures::Language(of) => Some(of.perplexity),
            _ => None,
        }
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
            ("entity_f1", self.entity_f1()),
            ("entity_precision", self.entity_precision()),
            ("entity_recall", self.entity_recall()),
            ("token_accuracy", self.token_accuracy()),
            ("perplexity", self.perplexity()),
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
            _ => None,
        }
    }

    fn sets(&self) -> Option<OfSets> {
        match self.inner.measures {
            Measures::Sets(of) => Some(of),
            _ => None,
        }
    }

    fn tags(&self) -> Option<OfTags> {
        match self.inner.measures {
            Measures::Tags(of) => Some(of),
            _ => None,
        }
    }
}

/// The measures by name, those that were given.
struct Given([(&'static str, Option<f64>); 16]);

impl Given {
    /// The values of exactly these measures. `None` if one is missing or another was given.
    fn only<const N: usize>(&self, names: [&str; N]) -> Option<[f64; N]> {
        let Self(given) = self;
        let others = given.iter().filter(|(name, _)| !names.contains(name));
        if others.into_iter().any(|(_, value)| value.is_some()) {
            return None;
        }
        let value = |name| given.iter().find(|(other, _)| *other == name)?.1;
        let found = names.map(value);
        let all = found.iter().all(Option::is_some);
        all.then(|| found.map(|value| value.unwrap_or(f64::NAN)))
    }

    fn measures(&self) -> Option<Measures> {
        if let Some([accuracy]) = self.only(["accuracy"]) {
            return Some(Measures::of_accuracy(accuracy));
        }
        let classes = ["accuracy", "balanced_accuracy", "macro_f1", "matthews"];
        if let Some([accuracy, balanced_accuracy, macro_f1, matthews]) = self.only(classes) {
            let by_class = Some(ByClass {
                balanced_accuracy,
                macro_f1,
                matthews,
            });
            return Some(Measures::Classes { accuracy, by_class });
        }
        let numbers = ["pearson", "spearman", "r2", "root_mean_squared_error"];
        if let Some([pearson, spearman, r2, root_mean_squared_error]) = self.only(numbers) {
            return Some(Measures::Numbers(OfNumbers {
                pearson,
                spearman,
                r2,
                root_mean_squared_error,
            }));
        }
        let sets = [
            "micro_f1",
            "macro_f1",
            "mean_average_precision",
            "exact_match",
        ];
        if let Some([micro_f1, macro_f1, mean_average_precision, exact_match]) = self.only(sets) {
            return Some(Measures::Sets(OfSets {
                micro_f1,
                macro_f1,
                mean_average_precision,
                exact_match,
            }));
        }
        let tags = [
            "entity_f1",
            "entity_precision",
            "entity_recall",
            "token_accuracy",
            "macro_f1",
        ];
        if let Some(
            [
                entity_f1,
                entity_precision,
                entity_recall,
                token_accuracy,
                macro_f1,
            ],
        ) = self.only(tags)
        {
            return Some(Measures::Tags(OfTags {
                entity_f1,
                entity_precision,
                entity_recall,
                token_accuracy,
                macro_f1,
            }));
        }
        let [token_accuracy, perplexity] = self.only(["token_accuracy", "perplexity"])?;
        Some(Measures::Language(OfLanguage {
            token_accuracy,
            perplexity,
        }))
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
