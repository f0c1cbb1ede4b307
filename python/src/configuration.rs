//! The configuration of a study, converted from the settings of the Python class and back.

use std::path::PathBuf;

use adaplace_scorer::{GradientMapSettings, Statistic, Statistics, TrainingSettings};
use adaplace_search_space::{Count, Fidelity, Positive, Reduction, Repetitions, Seed};
use adaplace_strategy::{CostObjective, StrategyDescription};
use adaplace_study::{
    BackboneSource, Configuration as _, GradientMapSource, Metric, STUDY_FORMAT, SearchSettings,
    StudyConfiguration, TaskSource,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Deserialize;

use crate::backbone::Backbone;
use crate::convert::to_python;
use crate::error::OrRaise;
use crate::search_space::SearchSpace;
use crate::task::Task;

/// All settings of a study. Their defaults are those of the Python class.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    strategy: Option<NamedStrategy>,
    trials: Count,
    steps: Fidelity,
    proposals: Count,
    halving: Option<Reduction>,
    metric: Metric,
    costs: Vec<CostObjective>,
    statistic: Vec<Statistic>,
    finalists: Count,
    race: u32,
    repetitions: Repetitions,
    seed: Seed,
    batch_size: Count,
    learning_rate: Positive,
    head_learning_rate: Positive,
    gradient_examples: Count,
    objective: Option<String>,
}

/// A strategy by its name, or with its own settings.
#[derive(Deserialize)]
#[serde(untagged)]
enum NamedStrategy {
    Name(String),
    Described(StrategyDescription),
}

/// The checked content of a ``study.toml``.
#[pyfunction]
pub(crate) fn read_configuration(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    to_python(py, &StudyConfiguration::read(&path).or_raise()?)
}

/// The content of the ``study.toml`` of a new study, whose ``settings`` are JSON.
#[pyfunction]
pub(crate) fn new_configuration(
    backbone: &Backbone,
    task: &Task,
    space: &SearchSpace,
    settings: &str,
) -> PyResult<String> {
    let mut document = serde_json::Deserializer::from_str(settings);
    let settings: Settings = serde_path_to_error::deserialize(&mut document).map_err(|error| {
        let reason = error.inner().to_string();
        // The position in the document means nothing to the caller, who passed an argument.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        PyValueError::new_err(format!("`{}`: {reason}", error.path()))
    })?;
    if task.subset.is_some() && task.seed != settings.seed.get() {
        return Err(PyValueError::new_err(format!(
            "the subset of the task was drawn with seed {}, but the study has seed {}; use the same seed for both",
            task.seed, settings.seed
        )));
    }
    let configuration = StudyConfiguration {
        format: STUDY_FORMAT.to_owned(),
        search: SearchSettings {
            seed: settings.seed,
            trials: settings.trials,
            steps: settings.steps,
            proposals: settings.proposals,
            halving: settings.halving,
            metric: settings.metric,
            costs: settings.costs,
            statistic: Statistics::new(settings.statistic).or_raise()?,
            objective: settings.objective,
            finalists: settings.finalists,
            race: settings.race,
            repetitions: settings.repetitions,
            grown: false,
        },
        strategy: match settings.strategy {
            None => StrategyDescription::default(),
            Some(NamedStrategy::Name(name)) => name.parse::<StrategyDescription>().or_raise()?,
            Some(NamedStrategy::Described(description)) => description,
        },
        backbone: BackboneSource {
            folder: backbone.given.clone(),
            pooling: backbone.inner.description().pooling,
            weights_sha256: backbone.inner.description().weights_sha256.clone(),
            precision: backbone.inner.arithmetic().precision,
        },
        task: TaskSource {
            folder: task.folder.clone(),
            fingerprint: task.inner.fingerprint.clone(),
            train_examples: task.subset.map(Count::new).transpose().or_raise()?,
            max_length: task.max_length,
            columns: task.columns.clone(),
        },
        training: TrainingSettings {
            batch_size: settings.batch_size,
            adapter_learning_rate: settings.learning_rate,
            head_learning_rate: settings.head_learning_rate,
            ..TrainingSettings::default()
        },
        gradient_map: GradientMapSource {
            examples: settings.gradient_examples,
            settings: GradientMapSettings {
                batch_size: settings.batch_size,
                ..GradientMapSettings::default()
            },
        },
        space: space.inner.description().clone(),
    };
    configuration.to_toml().or_raise()
}
