use std::path::{Path, PathBuf};
use std::sync::Arc;

use adaplace_backbone::{Backbone, DeviceKind, Pooling, Precision};
use adaplace_files::Document;
use adaplace_scorer::{Statistics, TrainingSettings};
use adaplace_search_space::{
    BackboneReference, Count, Fidelity, Reduction, Repetitions, SearchSpace, Seed, SpaceDescription,
};
use adaplace_strategy::{
    ConnectionProxy, CostObjective, FixedProxy, Strategy, StrategyDescription, StrategySetting,
};
use adaplace_task::{ClassWeights, Columns, ProblemKind, Reading, Task};
use serde::{Deserialize, Serialize};

use crate::{
    Configuration, GradientMapSource, Metric, PreparationSettings, StudyError, chain_shape,
};

/// The format written and read by this version.
pub const STUDY_FORMAT: &str = "adaplace.study/1";

/// The content of `study.toml`: everything that a study's journal depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfiguration {
    /// [`STUDY_FORMAT`]
    pub format: String,
    /// Settings of the search, the race and the repetitions.
    pub search: SearchSettings,
    /// The strategy and its settings.
    pub strategy: StrategyDescription,
    /// The frozen model.
    pub backbone: BackboneSource,
    /// The task.
    pub task: TaskSource,
    /// How adapters are trained.
    pub training: TrainingSettings,
    /// Settings of the gradient map.
    pub gradient_map: GradientMapSource,
    /// The search space and its budget.
    pub space: SpaceDescription,
}

/// Settings of the search, the race and the repetitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    /// The seed of all random choices.
    pub seed: Seed,
    /// Number of placements to try. With halving, each starts short and only the best continue.
    pub trials: Count,
    /// Optimiser steps of a full trial.
    pub steps: Fidelity,
    /// How many placements the strategy proposes at a time; trials of one proposal can run side by side.
    pub proposals: Count,
    /// Reduction factor of successive halving, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<Reduction>,
    /// What trials are ranked by.
    pub metric: Metric,
    /// Costs to minimise in addition to the metric. With costs, finalists come from the Pareto front.
    #[serde(default, rename = "and", skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<CostObjective>,
    /// The connection score: a gradient statistic, or several whose ranks are averaged.
    pub statistic: Statistics,
    /// Name of the external function that scores placements; none if this program trains them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Number of the best placements that race.
    pub finalists: Count,
    /// Trainings of each of them on the first rung of the race; every following rung doubles it. Without a race (0, as
    /// in older studies, or with costs) all finalists are repeated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub race: u32,
    /// Number of trainings of the last two and of the baseline whose means are reported.
    pub repetitions: Repetitions,
    /// Whether trials were added after the study had begun. Its journal is then in another order than that of a single
    /// search, and can hold trainings that the final search never asks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grown: bool,
}

impl Default for SearchSettings {
    /// The settings of `adaplace search` and of the Python class.
    fn default() -> Self {
        Self {
            seed: Seed::of(0),
            trials: Count::of(64),
            steps: Fidelity::of(64),
            proposals: Count::of(8),
            halving: None,
            metric: Metric::default(),
            costs: Vec::new(),
            statistic: Statistics::default(),
            objective: None,
            finalists: Count::of(8),
            race: 1,
            repetitions: Repetitions::of(3),
            grown: false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A backbone and its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneSource {
    /// Its folder or its name on the hub, as given.
    pub folder: PathBuf,
    /// How its hidden states are pooled.
    pub pooling: Pooling,
    /// Hash of its weights.
    pub weights_sha256: String,
    /// Precision of its matrix products.
    #[serde(default = "f32_products")]
    pub precision: Precision,
    /// Kind of device that computes it.
    #[serde(default, skip_serializing_if = "is_cpu")]
    pub device: DeviceKind,
}

impl BackboneSource {
    /// What determines the rounding of its results: the precision and the kind of device.
    #[must_use]
    pub fn computed(&self) -> (Precision, DeviceKind) {
        (self.precision, self.device)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_cpu(device: &DeviceKind) -> bool {
    *device == DeviceKind::Cpu
}

/// The precision of studies older than the setting.
fn f32_products() -> Precision {
    Precision::F32
}

/// A task and its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSource {
    /// Its folder, as given.
    pub folder: PathBuf,
    /// Hash of its encoded training and validation examples.
    pub fingerprint: String,
    /// Number of training examples in use; all of them if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_examples: Option<Count>,
    /// Length in tokens that texts are truncated to; none for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Names of its columns.
    #[serde(default, skip_serializing_if = "Columns::is_usual")]
    pub columns: Columns,
    /// The kind of problem, if it was chosen; else the task's `task.toml` or its labels decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemKind>,
    /// The weights of the classes in the loss.
    #[serde(default, skip_serializing_if = "ClassWeights::are_equal")]
    pub class_weights: ClassWeights,
}

impl TaskSource {
    /// How its rows are read.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            columns: self.columns.clone(),
            problem: self.problem,
            class_weights: self.class_weights,
        }
    }
}

impl Configuration for StudyConfiguration {
    const FILE: &'static str = "study.toml";

    fn preparation(&self, space: &SearchSpace) -> PreparationSettings {
        let search = &self.search;
        PreparationSettings {
            training: self.training,
            gradient_map: self.gradient_map.clone(),
            connections: self.gradient_map.connections.of(space),
            statistics: search.statistic.clone(),
            steps: search.steps,
            seed: search.seed,
        }
    }

    fn at_the_places_of(&self, other: &Self) -> Self {
        let mut moved = self.clone();
        moved.backbone.folder.clone_from(&other.backbone.folder);
        moved.task.folder.clone_from(&other.task.folder);
        moved
    }

    /// Only the number of trials may grow.
    fn growing_as(&self, wanted: &Self) -> Self {
        let mut grown = self.clone();
        let search = &mut grown.search;
        search.grown |= wanted.search.trials > search.trials;
        search.trials = search.trials.max(wanted.search.trials);
        grown
    }

    fn has_grown(&self) -> bool {
        self.search.grown
    }
}

impl Document for StudyConfiguration {
    const FORMAT: &'static str = STUDY_FORMAT;
}

impl StudyConfiguration {
    /// The search space, resolved for backbone and task. All checks of a study happen here, before any file is written.
    /// An error in the space names the file that it is `described_in`.
    ///
    /// # Errors
    /// If no placement meets the budget, or the strategy cannot search the space.
    pub fn resolve_space(
        &self,
        backbone: &Backbone,
        task: &Task,
        described_in: Option<&Path>,
    ) -> Result<SearchSpace, StudyError> {
        let space = SearchSpace::resolve(&self.space, &chain_shape(backbone, task));
        let space = space.map_err(|error| match described_in {
            Some(path) => error.in_file(path),
            None => error,
        })?;
        self.build_strategy(&space, Arc::new(FixedProxy::from_iter([])))?;
        Ok(space)
    }

    /// A new strategy on the resolved space.
    ///
    /// # Errors
    /// If its settings do not fit the space or the number of trials.
    pub fn build_strategy<'a>(
        &self,
        space: &SearchSpace,
        proxy: Arc<dyn ConnectionProxy + 'a>,
    ) -> Result<Box<dyn Strategy + 'a>, StudyError> {
        let search = &self.search;
        Ok(self.strategy.build(StrategySetting {
            space,
            fidelity: search.steps,
            seed: search.seed.get(),
            trials: search.trials.get(),
            halving: search.halving.map(Reduction::get),
            costs: search.costs.clone(),
            proxy: Some(proxy),
        })?)
    }

    /// Checks that the backbone is the one of the configuration.
    ///
    /// # Errors
    /// [`StudyError::Changed`] with both hashes.
    pub fn check_backbone(&self, found: &BackboneReference) -> Result<(), StudyError> {
        changed(
            "backbone",
            &self.backbone.folder,
            &self.backbone.weights_sha256,
            &found.weights_sha256,
        )
    }

    /// Checks that the encoded task is the one of the configuration.
    ///
    /// # Errors
    /// [`StudyError::Changed`] with both hashes.
    pub fn check_task(&self, fingerprint: &str) -> Result<(), StudyError> {
        changed(
            "task",
            &self.task.folder,
            &self.task.fingerprint,
            fingerprint,
        )
    }
}

fn changed(what: &'static str, path: &Path, expected: &str, found: &str) -> Result<(), StudyError> {
    if expected == found {
        return Ok(());
    }
    Err(StudyError::Changed {
        what,
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}
