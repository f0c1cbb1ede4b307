//! The configuration of a study, converted from the settings of the Python class and back.

use std::path::PathBuf;

use adaplace_scorer::{GradientMapSettings, Statistic, Statistics, TrainingSettings};
use adaplace_search_space::{Count, Fidelity, Positive, Reduction, Repetitions, Seed};
use adaplace_strategy::{CostObjective, StrategyDescription};
use adaplace_study::{
    BackboneSource, Configuration as _, GradientMapSource, MapConnections, Metric, STUDY_FORMAT,
    SearchSettings, StudyConfiguration, TaskSource,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Deserialize;

use crate::backbone::Backbone;
use crate::convert::to_python;
use crate::error::OrRaise;
use crate::search_space::SearchSpace;
use crate::task::Task;

/// The settings of a study that were given. All others have the defaults of `adaplace search`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    strategy: Option<NamedStrategy>,
    trials: Option<Count>,
    steps: Option<Fidelity>,
    proposals: Option<Count>,
    halving: Option<Reduction>,
    metric: Option<Metric>,
    costs: Option<Vec<CostObjective>>,
    statistic: Option<Vec<Statistic>>,
    finalists: Option<Count>,
    race: Option<u32>,
    repetitions: Option<Repetitions>,
    seed: Option<Seed>,
    batch_size: Option<Count>,
    learning_rate: Option<Positive>,
    head_learning_rate: Option<Positive>,
    gradient_examples: Option<Count>,
    gradient_connections: Option<MapConnections>,
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
    let search = SearchSettings::default();
    let seed = settings.seed.unwrap_or(search.seed);
    if task.subset.is_some() && task.seed != seed.get() {
        return Err(PyValueError::new_err(format!(
            "the subset of the task was drawn with seed {}, but the study has seed {seed}; use the same seed for both",
            task.seed
        )));
    }
    let statistic = settings.statistic.map(Statistics::new).transpose();
    let (training, map) = (TrainingSettings::default(), GradientMapSource::default());
    let batch_size = settings.batch_size.unwrap_or(training.batch_size);
    let metric = settings.metric.unwrap_or(search.metric);
    if settings.objective.is_none() {
        metric.check(task.inner.problem()).or_raise()?;
    }
    let configuration = StudyConfiguration {
        format: STUDY_FORMAT.to_owned(),
        search: SearchSettings {
            seed,
            trials: settings.trials.unwrap_or(search.trials),
            steps: settings.steps.unwrap_or(search.steps),
            proposals: settings.proposals.unwrap_or(search.proposals),
            halving: settings.halving,
            metric,
            costs: settings.costs.unwrap_or(search.costs),
            statistic: statistic.or_raise()?.unwrap_or(search.statistic),
            objective: settings.objective,
            finalists: settings.finalists.unwrap_or(search.finalists),
            race: settings.race.unwrap_or(search.race),
            repetitions: settings.repetitions.unwrap_or(search.repetitions),
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
            device: backbone.device.kind,
        },
        task: TaskSource {
            folder: task.folder.clone(),
            fingerprint: task.inner.fingerprint.clone(),
            train_examples: task.subset.map(Count::new).transpose().or_raise()?,
            max_length: task.max_length,
            columns: task.reading.columns.clone(),
            problem: task.reading.problem,
            class_weights: task.reading.class_weights,
        },
        training: TrainingSettings {
            batch_size,
            adapter_learning_rate: settings
                .learning_rate
                .unwrap_or(training.adapter_learning_rate),
            head_learning_rate: settings
                .head_learning_rate
                .unwrap_or(training.head_learning_rate),
            ..training
        },
        gradient_map: GradientMapSource {
            examples: settings.gradient_examples.unwrap_or(map.examples),
            connections: settings.gradient_connections.unwrap_or(map.connections),
            settings: GradientMapSettings {
                batch_size,
                ..map.settings
            },
        },
        space: space.inner.description().clone(),
    };
    configuration.to_toml().or_raise()
}
