//! The configuration of a study, from the options.

use std::path::Path;

use adaplace_scorer::{GradientMapSettings, TrainingSettings};
use adaplace_search_space::{Count, SpaceDescription};
use adaplace_strategy::StrategyDescription;
use adaplace_study::{
    BackboneSource, GradientMapSource, Problem, STUDY_FORMAT, SearchSettings, StudyConfiguration,
    TaskSource,
};
use adaplace_task::Reading;
use anyhow::Result;

use crate::arguments::{ResourceOptions, TrainingOptions};
use crate::hub;

/// The backbone, task, space and strategy of a study.
pub(super) struct Subject<'a> {
    pub(super) backbone: &'a Path,
    pub(super) task: &'a Path,
    pub(super) reading: Reading,
    pub(super) space: SpaceDescription,
    pub(super) strategy: StrategyDescription,
}

/// Reads the backbone and the task and returns the resolved configuration.
pub(super) fn configuration(
    subject: Subject<'_>,
    search: SearchSettings,
    (options, resources): (&TrainingOptions, &ResourceOptions),
) -> Result<(StudyConfiguration, Problem)> {
    let Subject {
        backbone,
        task,
        reading,
        space,
        strategy,
    } = subject;
    let folder = hub::backbone(backbone)?;
    let problem = Problem::for_search(
        (&folder, options.pooling),
        (&hub::task(task)?, &reading),
        options.max_length.map(Count::get),
        options.train_examples.map(Count::get),
        options.seed.get(),
    )?;
    let Sources {
        backbone,
        task,
        training,
        gradient_map,
    } = Sources::of(&problem, (backbone, task), reading, (options, resources));
    let configuration = StudyConfiguration {
        format: STUDY_FORMAT.to_owned(),
        search,
        strategy,
        backbone,
        task,
        training,
        gradient_map,
        space,
    };
    Ok((configuration, problem))
}

/// The parts that the configurations of studies and comparisons share.
pub(super) struct Sources {
    pub(super) backbone: BackboneSource,
    pub(super) task: TaskSource,
    pub(super) training: TrainingSettings,
    pub(super) gradient_map: GradientMapSource,
}

impl Sources {
    /// The sources of a backbone and a task that were read from these folders.
    pub(super) fn of(
        problem: &Problem,
        (backbone, task): (&Path, &Path),
        reading: Reading,
        (options, resources): (&TrainingOptions, &ResourceOptions),
    ) -> Self {
        let device = resources.device.kind();
        let description = problem.backbone.description();
        Self {
            backbone: BackboneSource {
                folder: backbone.to_owned(),
                pooling: description.pooling,
                weights_sha256: description.weights_sha256.clone(),
                precision: options.precision.resolve(device),
                device,
            },
            task: TaskSource {
                folder: task.to_owned(),
                fingerprint: problem.task.fingerprint.clone(),
                train_examples: options.train_examples,
                max_length: problem.max_length,
                columns: reading.columns,
                problem: reading.problem,
                class_weights: reading.class_weights,
            },
            training: options.learning.settings(),
            gradient_map: GradientMapSource {
                examples: options.gradient_examples,
                connections: options.gradient_connections,
                settings: GradientMapSettings {
                    batch_size: options.learning.batch_size,
                    ..GradientMapSettings::default()
                },
            },
        }
    }
}
