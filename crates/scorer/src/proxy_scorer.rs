use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adaplace_arithmetic::DeviceKind;
use adaplace_backbone::Backbone;
use adaplace_search_space::{Connection, Fidelity, Placement};
use adaplace_task::{Examples, Task};
use serde::{Deserialize, Serialize};

use crate::error::finite;
use crate::learner::{Learner, learner};
use crate::measures::{OfLanguage, OfNumbers, OfSets, Parts};
use crate::{
    ByClass, Evaluation, GradientMap, GradientMapSettings, LinearProbe, Measures, OfTags,
    Parameters, Resources, ScoreError, Statistics, Trained, TrainingSettings,
};

/// The score of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Score {
    /// The mean loss of the batches of the last epoch: [`Evaluation::loss`].
    pub train_loss: f64,
    /// The mean loss on the validation part.
    pub validation_loss: f64,
    /// How good the predictions on the validation part are.
    pub measures: Measures,
}

/// A [`Score`] in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    train_loss: f64,
    validation_loss: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation_accuracy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_class: Option<ByClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<OfNumbers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sets: Option<OfSets>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<OfTags>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<OfLanguage>,
}

impl From<Score> for Written {
    fn from(score: Score) -> Self {
        let Parts {
            accuracy: validation_accuracy,
            by_class,
            numbers,
            sets,
            tags,
            language,
        } = score.measures.parts();
        Self {
            train_loss: score.train_loss,
            validation_loss: score.validation_loss,
            validation_accuracy,
            by_class,
            numbers,
            sets,
            tags,
            language,
        }
    }
}

impl TryFrom<Written> for Score {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let parts = Parts {
            accuracy: written.validation_accuracy,
            by_class: written.by_class,
            numbers: written.numbers,
            sets: written.sets,
            tags: written.tags,
            language: written.language,
        };
        Ok(Self {
            train_loss: written.train_loss,
            validation_loss: written.validation_loss,
            measures: Measures::of_parts(parts)?,
        })
    }
}

impl Score {
    /// The name and value of a number in the score that is not finite, which JSON cannot represent.
    #[must_use]
    pub fn not_finite(&self) -> Option<(&'static str, f64)> {
        let quantities = [
            ("train loss", self.train_loss),
            ("validation loss", self.validation_loss),
            ("validation measure", self.measures.headline()),
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

    /// The number of placements that [`Self::score_together`] scores faster than one after the other.
    fn side_by_side(&self) -> usize {
        1
    }

    /// Scores several placements by trainings of the same length and repetition. The scores are those of
    /// [`Self::score`], up to rounding.
    fn score_together(
        &self,
        placements: &[&Placement],
        fidelity: Fidelity,
        repetition: u32,
    ) -> Vec<Result<Score, ScoreError>> {
        let each = placements.iter();
        each.map(|placement| self.score(placement, fidelity, repetition))
            .collect()
    }
}

/// Scores a placement by a short training that starts from the linear probe.
///
/// Scores of the same kind of device are the same; those of another one differ by rounding.
#[derive(Debug)]
pub struct ProxyScorer {
    learner: Box<dyn Learner>,
    task: Arc<Task>,
    settings: TrainingSettings,
    seed: u64,
    probe: LinearProbe,
    /// The number of trainings side by side for which there is memory.
    side_by_side: AtomicUsize,
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
        Self::with_resources(backbone, task, settings, seed, Resources::default())
    }

    /// Fits the linear probe like [`Self::new`], and computes with the given resources.
    ///
    /// # Errors
    /// If the device cannot be used, or if the task's inputs are not of the backbone's kind.
    pub fn with_resources(
        backbone: Arc<Backbone>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
        resources: Resources,
    ) -> Result<Self, ScoreError> {
        let learner = learner(backbone, Arc::clone(&task), resources)?;
        let probe = learner.fit_probe(settings.batch_size.get())?;
        Ok(Self::of(learner, task, settings, seed, resources, probe))
    }

    /// Creates a scorer with a probe that was fitted earlier to the same backbone and task.
    ///
    /// # Errors
    /// If the device cannot be used, or if the memory for the states cannot be allocated.
    pub fn with_probe(
        backbone: Arc<Backbone>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
        resources: Resources,
        probe: LinearProbe,
    ) -> Result<Self, ScoreError> {
        let learner = learner(backbone, Arc::clone(&task), resources)?;
        Ok(Self::of(learner, task, settings, seed, resources, probe))
    }

    fn of(
        learner: Box<dyn Learner>,
        task: Arc<Task>,
        settings: TrainingSettings,
        seed: u64,
        resources: Resources,
        probe: LinearProbe,
    ) -> Self {
        let batch_size = settings.batch_size.get();
        let chosen = resources
            .side_by_side
            .unwrap_or_else(|| match resources.device.kind {
                DeviceKind::Cpu | DeviceKind::Candle => 1,
                DeviceKind::Cuda | DeviceKind::Metal => learner.trainings_at_once(batch_size),
            });
        Self {
            learner,
            task,
            settings,
            seed,
            probe,
            side_by_side: chosen.into(),
        }
    }

    /// The fitted probe.
    #[must_use]
    pub fn probe(&self) -> &LinearProbe {
        &self.probe
    }

    /// The probe's head and freshly initialised adapters.
    #[must_use]
    pub fn initial(&self, placement: &Placement, repetition: u32) -> Parameters {
        let head = self.probe.head();
        Parameters::initial(
            placement,
            self.learner.width(),
            &head,
            self.seed,
            repetition,
        )
    }

    /// Trains `placement` for `fidelity` steps.
    ///
    /// # Errors
    /// If the placement is out of the backbone's range, and the errors of [`fine_tune`](crate::fine_tune()).
    pub fn train(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Trained, ScoreError> {
        self.train_with(&self.settings, placement, fidelity, repetition)
    }

    /// Trains like [`Self::train`], but with the given settings.
    ///
    /// # Errors
    /// The errors of [`Self::train`].
    pub fn train_with(
        &self,
        settings: &TrainingSettings,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Trained, ScoreError> {
        let initial = vec![self.initial(placement, repetition)];
        let (steps, seed) = (fidelity.steps(), self.seed);
        let trained = self
            .learner
            .train(initial, settings, steps, seed, repetition)?;
        only(trained)
    }

    /// The evaluation of trained parameters on any examples.
    ///
    /// # Errors
    /// If the examples are not of the backbone's kind.
    pub fn evaluate(
        &self,
        parameters: &Parameters,
        examples: &Examples,
    ) -> Result<Evaluation, ScoreError> {
        let batch_size = self.settings.batch_size.get();
        self.learner
            .evaluate(parameters.clone(), examples, batch_size)
    }

    /// The score of parameters that were trained for `fidelity` steps.
    ///
    /// # Errors
    /// [`ScoreError::Diverged`] if the loss on the validation part is not finite.
    pub fn validate(&self, trained: &Trained, fidelity: Fidelity) -> Result<Score, ScoreError> {
        let batch_size = self.settings.batch_size.get();
        let parameters = vec![trained.parameters.clone()];
        let validation = only(self.learner.validate(parameters, batch_size)?);
        score_of(trained.train_loss, &validation, fidelity)
    }

    /// Trains like [`Self::train_with`] and validates, as many placements side by side as fill the device. Without memory for
    /// them, it continues with half as many at a time. A placement that diverges does not disturb the others.
    pub fn train_together(
        &self,
        settings: &TrainingSettings,
        placements: &[&Placement],
        fidelity: Fidelity,
        repetition: u32,
    ) -> Vec<Result<Scored, ScoreError>> {
        let one_by_one = |placements: &[&Placement]| {
            let validated = |placement: &&Placement| {
                let trained = self.train_with(settings, placement, fidelity, repetition)?;
                let score = self.validate(&trained, fidelity)?;
                Ok((trained, score))
            };
            placements.iter().map(validated).collect()
        };
        let most = match settings.learned_scale {
            true => 1,
            false => self.side_by_side.load(Ordering::Relaxed).max(1),
        };
        if most == 1 || placements.len() == 1 {
            return one_by_one(placements);
        }
        if placements.len() > most {
            let parts = placements.chunks(most);
            return parts
                .flat_map(|part| self.train_together(settings, part, fidelity, repetition))
                .collect();
        }
        match self.trained_at_once(settings, placements, fidelity, repetition) {
            Ok(trained) => trained,
            Err(ScoreError::Arithmetic(error)) => {
                let half = placements.len() / 2;
                if self.side_by_side.fetch_min(half, Ordering::Relaxed) > half {
                    tracing::warn!("{half} trainings side by side from now on: {error}");
                }
                self.train_together(settings, placements, fidelity, repetition)
            }
            // A placement that is refused has an error of its own.
            Err(_) => one_by_one(placements),
        }
    }

    /// Trains and validates placements at the same time.
    fn trained_at_once(
        &self,
        settings: &TrainingSettings,
        placements: &[&Placement],
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Vec<Result<Scored, ScoreError>>, ScoreError> {
        let initial = placements.iter();
        let initial = initial.map(|placement| self.initial(placement, repetition));
        let (steps, initial) = (fidelity.steps(), initial.collect());
        let trained = self
            .learner
            .train(initial, settings, steps, self.seed, repetition)?;
        let sound = trained.iter().flatten();
        let sound: Vec<Parameters> = sound.map(|one| one.parameters.clone()).collect();
        let validations = match sound.is_empty() {
            true => Vec::new(),
            false => self.learner.validate(sound, settings.batch_size.get())?,
        };
        let mut validations = validations.into_iter();
        let validated = |outcome: Result<Trained, ScoreError>| {
            let trained = outcome?;
            let validation = validations.next().expect("every sound model was validated");
            let score = score_of(trained.train_loss, &validation, fidelity)?;
            Ok((trained, score))
        };
        Ok(trained.into_iter().map(validated).collect())
    }

    /// The gradient map of some connections at the frozen model with the probe's head. It judges sets of them and contains
    /// at least `statistics`. It uses as many validation examples as there are `examples`.
    ///
    /// # Errors
    /// The errors of [`GradientMap::cross_fitted`].
    pub fn gradient_map(
        &self,
        examples: &Examples,
        connections: &[Connection],
        settings: &GradientMapSettings,
        statistics: &Statistics,
    ) -> Result<GradientMap, ScoreError> {
        let validation = self.task.validation.spread(examples.len());
        let cross_fitted = Some((&validation, statistics));
        self.learner
            .gradient_map(self.frozen(), examples, connections, cross_fitted, settings)
    }

    /// The gradient map of [`Self::gradient_map`] with the statistics of one pass over `examples` alone.
    ///
    /// # Errors
    /// The errors of [`GradientMap::compute`].
    pub fn plain_gradient_map(
        &self,
        examples: &Examples,
        connections: &[Connection],
        settings: &GradientMapSettings,
    ) -> Result<GradientMap, ScoreError> {
        self.learner
            .gradient_map(self.frozen(), examples, connections, None, settings)
    }

    /// The probe's head without adapters.
    fn frozen(&self) -> Parameters {
        Parameters::of_head(self.learner.width(), &self.probe.head())
    }

    /// The importance of each adapter of `together` on the validation part after all of them were trained for
    /// `fidelity` steps: [`importances()`](crate::importances()), in the placement's order.
    ///
    /// # Errors
    /// The errors of [`Self::train`].
    pub fn importances(
        &self,
        together: &Placement,
        fidelity: Fidelity,
    ) -> Result<Vec<f64>, ScoreError> {
        let trained = self.train(together, fidelity, 0)?;
        self.learner
            .importances(trained.parameters, self.settings.batch_size.get())
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

    fn side_by_side(&self) -> usize {
        match self.settings.learned_scale {
            true => 1,
            false => self.side_by_side.load(Ordering::Relaxed).max(1),
        }
    }

    fn score_together(
        &self,
        placements: &[&Placement],
        fidelity: Fidelity,
        repetition: u32,
    ) -> Vec<Result<Score, ScoreError>> {
        let trained = self.train_together(&self.settings, placements, fidelity, repetition);
        let scores = trained.into_iter();
        scores
            .map(|trained| trained.map(|(_, score)| score))
            .collect()
    }
}

/// A training and its score.
pub type Scored = (Trained, Score);

fn only<T>(of: Vec<T>) -> T {
    let mut all = of.into_iter();
    all.next().expect("one was asked for")
}

fn score_of(
    train_loss: f64,
    validation: &Evaluation,
    fidelity: Fidelity,
) -> Result<Score, ScoreError> {
    finite(fidelity.steps(), "validation loss", validation.loss)?;
    Ok(Score {
        train_loss,
        validation_loss: validation.loss,
        measures: validation.measures,
    })
}

#[cfg(test)]
mod tests;
