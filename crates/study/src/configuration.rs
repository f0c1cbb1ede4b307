use std::path::{Path, PathBuf};
use std::sync::Arc;

use adaplace_backbone::{Backbone, Pooling, Precision};
use adaplace_files::Document;
use adaplace_scorer::{GradientMapSettings, Statistics, TrainingSettings};
use adaplace_search_space::{BackboneReference, Fidelity, SearchSpace, SpaceDescription};
use adaplace_strategy::{
    ConnectionProxy, CostObjective, FixedProxy, Strategy, StrategyDescription, StrategySetting,
};
use adaplace_task::{Columns, Task};
use serde::{Deserialize, Serialize};

use crate::{Configuration, Metric, PreparationSettings, StudyError, chain_shape};

/// The format written and read by this version.
pub const STUDY_FORMAT: &str = "adaplace.study/1";

/// Everything that a study's journal depends on: the content of `study.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfiguration {
    /// [`STUDY_FORMAT`]
    pub format: String,
    /// What is searched, how long and by which measure.
    pub search: SearchSettings,
    /// The strategy and its settings.
    pub strategy: StrategyDescription,
    /// The frozen model.
    pub backbone: BackboneSource,
    /// The task.
    pub task: TaskSource,
    /// How adapters are trained.
    pub training: TrainingSettings,
    /// How the gradient map is made.
    pub gradient_map: GradientMapSource,
    /// The search space and its budget.
    pub space: SpaceDescription,
}

/// What is searched, how long and by which measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    /// Of all random choices.
    pub seed: u64,
    /// Placements to try; with halving, each starts short and only the best go on.
    pub trials: usize,
    /// Optimiser steps of a full trial.
    pub steps: Fidelity,
    /// How many placements the strategy proposes at a time; trials of one proposal can run side by side.
    pub proposals: usize,
    /// Reduction factor of successive halving, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<u32>,
    /// What trials are ranked by.
    pub metric: Metric,
    /// Costs that are minimised beside the metric: finalists then come from the Pareto front.
    #[serde(default, rename = "and", skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<CostObjective>,
    /// What stands for a connection's promise: a gradient statistic, or several whose ranks are averaged.
    pub statistic: Statistics,
    /// What scores placements, where it is not the short training of this program: the name of a function elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// How many of the best placements race.
    pub finalists: usize,
    /// How often each of them is trained on the first rung of the race, twice as often on every following one. With 0, as
    /// in the studies before there was a race, and with costs there is none: all finalists have the repetitions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub race: u32,
    /// How often the last two, and the baseline, are trained once more, to report what they are worth.
    pub repetitions: u32,
    /// Whether trials were added to the study after it had begun. Its journal then holds trainings in another order than one
    /// search asks for them, and some that its end does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grown: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A backbone and what identifies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneSource {
    /// Its folder, or its name in the hub, as it was given.
    pub folder: PathBuf,
    /// How it is pooled.
    pub pooling: Pooling,
    /// Hash of its weights.
    pub weights_sha256: String,
    /// Precision of its products.
    #[serde(default = "f32_products")]
    pub precision: Precision,
}

/// What the studies before there was a choice computed in.
fn f32_products() -> Precision {
    Precision::F32
}

/// A task and what identifies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSource {
    /// Its folder, as it was given.
    pub folder: PathBuf,
    /// Hash of its encoded training and validation examples.
    pub fingerprint: String,
    /// Size of the subset of the training examples, if not all are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_examples: Option<usize>,
    /// Texts are cut to this many tokens; images have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// What the columns of its rows are called.
    #[serde(default, skip_serializing_if = "Columns::is_usual")]
    pub columns: Columns,
}

/// How the gradient map is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientMapSource {
    /// At most this many training examples.
    pub examples: usize,
    /// Thresholds and batch size.
    pub settings: GradientMapSettings,
}

impl Configuration for StudyConfiguration {
    const FILE: &'static str = "study.toml";

    fn preparation(&self) -> PreparationSettings {
        let search = &self.search;
        PreparationSettings {
            training: self.training,
            gradient_map: self.gradient_map.clone(),
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

    /// Trials may be added.
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

    fn check(&self) -> Result<(), String> {
        Self::check(self).map_err(|error| error.to_string())
    }
}

impl StudyConfiguration {
    /// Every number must be in its range.
    ///
    /// # Errors
    /// [`StudyError::OutOfRange`] for the first that is not.
    pub fn check(&self) -> Result<(), StudyError> {
        let (search, training) = (&self.search, &self.training);
        let map = &self.gradient_map;
        let at_least_one = "at least 1";
        let positive = "a number above 0";
        let share = "a number from 0 to 1";
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        let checks: [(&'static str, String, bool, &'static str); 17] = [
            // TOML integers are signed.
            (
                "seed",
                search.seed.to_string(),
                i64::try_from(search.seed).is_ok(),
                "at most 2^63 - 1",
            ),
            (
                "trials",
                search.trials.to_string(),
                search.trials > 0,
                at_least_one,
            ),
            (
                "proposals",
                search.proposals.to_string(),
                search.proposals > 0,
                at_least_one,
            ),
            (
                "halving",
                format!("{:?}", search.halving),
                search.halving.is_none_or(|reduction| reduction >= 2),
                "at least 2",
            ),
            (
                "finalists",
                search.finalists.to_string(),
                search.finalists > 0,
                at_least_one,
            ),
            (
                "repetitions",
                search.repetitions.to_string(),
                search.repetitions > 0,
                at_least_one,
            ),
            (
                "train_examples",
                format!("{:?}", self.task.train_examples),
                self.task.train_examples != Some(0),
                at_least_one,
            ),
            (
                "batch_size",
                training.batch_size.to_string(),
                training.batch_size > 0,
                at_least_one,
            ),
            (
                "learning_rate",
                training.adapter_learning_rate.to_string(),
                is_positive(training.adapter_learning_rate),
                positive,
            ),
            (
                "head_learning_rate",
                training.head_learning_rate.to_string(),
                is_positive(training.head_learning_rate),
                positive,
            ),
            (
                "weight_decay",
                training.weight_decay.to_string(),
                is_share(training.weight_decay),
                share,
            ),
            (
                "warm_up",
                training.warm_up.to_string(),
                is_share(training.warm_up),
                share,
            ),
            (
                "gradient_clip",
                training.gradient_clip.to_string(),
                is_positive(training.gradient_clip),
                positive,
            ),
            (
                "gradient_map.examples",
                map.examples.to_string(),
                map.examples > 0,
                at_least_one,
            ),
            (
                "gradient_map.settings.batch_size",
                map.settings.batch_size.to_string(),
                map.settings.batch_size > 0,
                at_least_one,
            ),
            (
                "gradient_map.settings.absolute_threshold",
                map.settings.absolute_threshold.to_string(),
                is_share(map.settings.absolute_threshold),
                share,
            ),
            (
                "gradient_map.settings.relative_threshold",
                map.settings.relative_threshold.to_string(),
                is_share(map.settings.relative_threshold),
                share,
            ),
        ];
        for (setting, value, holds, range) in checks {
            if !holds {
                return Err(StudyError::OutOfRange {
                    setting,
                    value,
                    range,
                });
            }
        }
        Ok(())
    }

    /// The search space, resolved for backbone and task. Whatever can be refused of a study is refused here, before
    /// anything is made; an error in the space names the file that it is `described_in`.
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

    /// The strategy, fresh, on the resolved space.
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
            seed: search.seed,
            trials: search.trials,
            halving: search.halving,
            costs: search.costs.clone(),
            proxy: Some(proxy),
        })?)
    }

    /// The reference to the backbone that goes into placement files must be the one of the configuration.
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

    /// The encoded task must be the one of the configuration.
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
