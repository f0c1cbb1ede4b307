use std::sync::Arc;

use adaplace_backbone::Backbone;
use adaplace_search_space::{Fidelity, Placement};
use adaplace_task::{Examples, Part, Task};
use serde::{Deserialize, Serialize};

use crate::evaluation::{evaluate, features};
use crate::fine_tune::{fine_tune, finite};
use crate::{
    ByClass, Dataset, GradientMap, GradientMapSettings, Head, LinearProbe, Model, Parameters,
    ScoreError, StateCache, Statistics, Trained, TrainingSettings, importances,
};

/// The score of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The mean cross-entropy of the batches of the last epoch, in nats.
    pub train_loss: f64,
    /// The mean cross-entropy on the validation part, in nats.
    pub validation_loss: f64,
    /// The share of the validation part that is classified correctly, between 0 and 1.
    pub validation_accuracy: f64,
    /// The metrics on the validation part that count every class, or `None` if the score was not measured by this
    /// crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_class: Option<ByClass>,
}

impl Score {
    /// The name and value of a number in the score that is not finite, which JSON cannot represent.
    #[must_use]
    pub fn not_finite(&self) -> Option<(&'static str, f64)> {
        let quantities = [
            ("train loss", self.train_loss),
            ("validation loss", self.validation_loss),
            ("validation accuracy", self.validation_accuracy),
        ];
        quantities.into_iter().find(|(_, value)| !value.is_finite())
    }
}

/// Scores placements.
///
/// A score depends only on the arguments, not on earlier trials or on the threads. Several threads may call at the same
/// time.
pub trait Scorer: Sync {
    /// Scores `placement` by a training of `fidelity` steps. Repetitions differ in initial adapters and data order.
    ///
    /// # Errors
    /// [`ScoreError::Diverged`] means a failed trial, any other error a failed study.
    fn score(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Score, ScoreError>;
}

/// Scores a placement by a short training that starts from the linear probe.
#[derive(Debug)]
pub struct ProxyScorer {
    backbone: Arc<Backbone>,
    task: Arc<Task>,
    settings: TrainingSettings,
    seed: u64,
    train_states: StateCache,
    validation_states: StateCache,
    probe: LinearProbe,
}

impl ProxyScorer {
    /// Fits the linear probe, the common starting point of all trainings, and caches all frozen states.
    ///
    /// # Errors
    /// If the task's inputs are not of the backbone's kind.
    pub fn new(
        backbone: Arc<Backbone>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
    ) -> Result<Self, ScoreError> {
        Self::within_memory(backbone, task, settings, seed, usize::MAX)
    }

    /// Fits the linear probe like [`Self::new`], but caches frozen states of at most `cache_memory` bytes, which
    /// changes no result.
    ///
    /// # Errors
    /// If the task's inputs are not of the backbone's kind.
    pub fn within_memory(
        backbone: Arc<Backbone>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
        cache_memory: usize,
    ) -> Result<Self, ScoreError> {
        let (fitted_on, classes) = (Arc::clone(&backbone), task.classes.len());
        let fit = |train: Dataset<'_>, validation: Dataset<'_>| {
            fit_probe(
                &fitted_on,
                train,
                validation,
                classes,
                settings.batch_size.get(),
            )
        };
        Self::starting_from(backbone, task, settings, seed, cache_memory, fit)
    }

    /// Creates a scorer with a probe that was fitted earlier to the same backbone and task.
    ///
    /// # Errors
    /// If the memory for the states cannot be allocated.
    pub fn with_probe(
        backbone: Arc<Backbone>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
        cache_memory: usize,
        probe: LinearProbe,
    ) -> Result<Self, ScoreError> {
        Self::starting_from(backbone, task, settings, seed, cache_memory, |_, _| {
            Ok(probe)
        })
    }

    /// Creates a scorer whose `probe` is computed from the training and the validation part. The states that it
    /// computes stay in the cache.
    fn starting_from(
        backbone: Arc<Backbone>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
        cache_memory: usize,
        probe: impl FnOnce(Dataset<'_>, Dataset<'_>) -> Result<LinearProbe, ScoreError>,
    ) -> Result<Self, ScoreError> {
        let [train_states, validation_states] = caches(&backbone, &task, cache_memory)?;
        let train = dataset(&task.train, &train_states);
        let probe = probe(train, dataset(&task.validation, &validation_states))?;
        Ok(Self {
            backbone,
            task,
            settings,
            seed,
            train_states,
            validation_states,
            probe,
        })
    }

    /// The training part, with its cached frozen states.
    #[must_use]
    pub fn train_data(&self) -> Dataset<'_> {
        dataset(&self.task.train, &self.train_states)
    }

    /// The validation part, with its cached frozen states.
    #[must_use]
    pub fn validation_data(&self) -> Dataset<'_> {
        dataset(&self.task.validation, &self.validation_states)
    }

    /// The fitted probe.
    #[must_use]
    pub fn probe(&self) -> &LinearProbe {
        &self.probe
    }

    /// The probe's head on the backbone with freshly initialised adapters.
    ///
    /// # Errors
    /// If the placement is out of the backbone's range.
    pub fn untrained(
        &self,
        placement: &Placement,
        repetition: u32,
    ) -> Result<Model<'_>, ScoreError> {
        let head = self.probe.head();
        let parameters = Parameters::initial(placement, &head, self.seed, repetition);
        Model::new(&self.backbone, parameters)
    }

    /// Trains `placement` for `fidelity` steps, and returns the model and its mean training loss over the last epoch.
    ///
    /// # Errors
    /// The errors of [`fine_tune`].
    pub fn train(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Trained<'_>, ScoreError> {
        self.train_with(&self.settings, placement, fidelity, repetition)
    }

    /// Trains like [`Self::train`], but with the given settings.
    ///
    /// # Errors
    /// The errors of [`fine_tune`].
    pub fn train_with(
        &self,
        settings: &TrainingSettings,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Trained<'_>, ScoreError> {
        let model = self.untrained(placement, repetition)?;
        fine_tune(
            model,
            self.train_data(),
            settings,
            fidelity.steps(),
            self.seed,
            repetition,
        )
    }

    /// The gradient map at the frozen model with the probe's head. It judges sets and contains at least `statistics`.
    /// It uses as many validation examples as there are `examples`.
    ///
    /// # Errors
    /// The errors of [`GradientMap::cross_fitted`].
    pub fn gradient_map(
        &self,
        examples: &Examples,
        settings: &GradientMapSettings,
        statistics: &Statistics,
    ) -> Result<GradientMap, ScoreError> {
        let model = self.untrained(&Placement::new(), 0)?;
        let validation = self.task.validation.spread(examples.len());
        GradientMap::cross_fitted(&model, examples, &validation, settings, statistics)
    }
}

impl ProxyScorer {
    /// The score of a model that was trained for `fidelity` steps.
    ///
    /// # Errors
    /// [`ScoreError::Diverged`] if the loss on the validation part is not finite.
    pub fn validate(&self, trained: &Trained<'_>, fidelity: Fidelity) -> Result<Score, ScoreError> {
        let validation = evaluate(
            &trained.model,
            self.validation_data(),
            self.settings.batch_size.get(),
        )?;
        finite(fidelity.steps(), "validation loss", validation.loss)?;
        Ok(Score {
            train_loss: trained.train_loss,
            validation_loss: validation.loss,
            validation_accuracy: validation.accuracy,
            by_class: validation.by_class,
        })
    }
}

impl ProxyScorer {
    /// The importance of each adapter of `together` on the validation part after all of them were trained for
    /// `fidelity` steps: [`importances()`], in the placement's order.
    ///
    /// # Errors
    /// The errors of [`Self::train`].
    pub fn importances(
        &self,
        together: &Placement,
        fidelity: Fidelity,
    ) -> Result<Vec<f64>, ScoreError> {
        let trained = self.train(together, fidelity, 0)?;
        importances(
            &trained.model,
            self.validation_data(),
            self.settings.batch_size.get(),
        )
    }
}

impl Scorer for ProxyScorer {
    fn score(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Score, ScoreError> {
        let trained = self.train(placement, fidelity, repetition)?;
        self.validate(&trained, fidelity)
    }
}

/// Caches for the states of both parts, which share the memory in proportion to their size.
fn caches(
    backbone: &Arc<Backbone>,
    task: &Arc<Task>,
    memory: usize,
) -> Result<[StateCache; 2], ScoreError> {
    let size = |examples| StateCache::size(backbone, examples) as f64;
    let (train, validation) = (size(&task.train), size(&task.validation));
    let share = memory as f64 / (train + validation).max(1.0);
    let cache = |part, size: f64| {
        let (backbone, task) = (Arc::clone(backbone), Arc::clone(task));
        StateCache::new(backbone, task, part, (share * size) as usize)
    };
    Ok([
        cache(Part::Train, train)?,
        cache(Part::Validation, validation)?,
    ])
}

fn dataset<'a>(examples: &'a Examples, states: &'a StateCache) -> Dataset<'a> {
    Dataset {
        examples,
        cache: Some(states),
    }
}

/// Fits the probe on the frozen features of the training part.
fn fit_probe(
    backbone: &Backbone,
    train: Dataset<'_>,
    validation: Dataset<'_>,
    classes: usize,
    batch_size: usize,
) -> Result<LinearProbe, ScoreError> {
    let width = backbone.description().width;
    let frozen = Model::new(backbone, Parameters::of_head(&Head::zero(classes, width)))?;
    let train = features(&frozen, train, batch_size)?;
    let validation = features(&frozen, validation, batch_size)?;
    LinearProbe::fit(&train, &validation, classes)
}
