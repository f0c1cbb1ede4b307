use adaplace_backbone::Backbone;
use adaplace_search_space::{Fidelity, Placement};
use adaplace_task::{Examples, Task};
use serde::{Deserialize, Serialize};

use crate::evaluation::{evaluate, features};
use crate::fine_tune::{fine_tune, finite};
use crate::{
    Adapters, GradientMap, GradientMapSettings, LinearProbe, Model, ScoreError, TrainingSettings,
};

/// How good a placement turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Mean cross-entropy of the last epoch's batches, in nats.
    pub train_loss: f64,
    /// Mean cross-entropy on the validation part, in nats.
    pub validation_loss: f64,
    /// Share of the validation part that is classified correctly, 0 to 1.
    pub validation_accuracy: f64,
}

/// Scores placements.
///
/// A score depends on nothing but the arguments: not on the trials before, nor on the threads, of which several may
/// call at once.
pub trait Scorer: Sync {
    /// Scores `placement` by a training of `fidelity` steps; repetitions differ in initial adapters and data order.
    ///
    /// # Errors
    /// [`ScoreError::Diverged`] is a failed trial; any other error is one of the study.
    fn score(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Score, ScoreError>;
}

/// Scores a placement by a short training that starts from the linear probe.
#[derive(Debug)]
pub struct ProxyScorer<'a> {
    backbone: &'a Backbone,
    task: &'a Task,
    settings: TrainingSettings,
    seed: u64,
    probe: LinearProbe,
}

impl<'a> ProxyScorer<'a> {
    /// Fits the linear probe, the common start of all trainings.
    ///
    /// # Errors
    /// If the task's inputs are not of the backbone's kind.
    pub fn new(
        backbone: &'a Backbone,
        task: &'a Task,
        settings: TrainingSettings,
        seed: u64,
    ) -> Result<Self, ScoreError> {
        let probe = fit_probe(backbone, task, settings.batch_size)?;
        Ok(Self {
            backbone,
            task,
            settings,
            seed,
            probe,
        })
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
    ) -> Result<Model<'a>, ScoreError> {
        let width = self.backbone.description().width;
        let adapters = Adapters::initial(placement, width, self.seed, repetition)?;
        Model::new(self.backbone, adapters, self.probe.head()?)
    }

    /// Trains `placement` for `fidelity` steps; gives the model and its mean training loss over the last epoch.
    ///
    /// # Errors
    /// As [`fine_tune`].
    pub fn train(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<(Model<'a>, f64), ScoreError> {
        let model = self.untrained(placement, repetition)?;
        let training = fine_tune(
            &model,
            &self.task.train,
            &self.settings,
            fidelity.steps(),
            self.seed,
            repetition,
        )?;
        Ok((model, training.train_loss))
    }

    /// The gradient map at the adapters of `given`, trained for `fidelity` steps; at the frozen model for an empty one.
    ///
    /// # Errors
    /// As [`fine_tune`], or if singular values cannot be computed.
    pub fn gradient_map(
        &self,
        given: &Placement,
        fidelity: Fidelity,
        examples: &Examples,
        settings: &GradientMapSettings,
    ) -> Result<GradientMap, ScoreError> {
        let model = if given.is_empty() {
            self.untrained(given, 0)?
        } else {
            self.train(given, fidelity, 0)?.0
        };
        GradientMap::compute(&model, examples, settings)
    }
}

impl Scorer for ProxyScorer<'_> {
    fn score(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Score, ScoreError> {
        let (model, train_loss) = self.train(placement, fidelity, repetition)?;
        let validation = evaluate(&model, &self.task.validation, self.settings.batch_size)?;
        finite(fidelity.steps(), "validation loss", validation.loss)?;
        Ok(Score {
            train_loss,
            validation_loss: validation.loss,
            validation_accuracy: validation.accuracy,
        })
    }
}

/// Fits the probe on the frozen features of the training part.
fn fit_probe(
    backbone: &Backbone,
    task: &Task,
    batch_size: usize,
) -> Result<LinearProbe, ScoreError> {
    let (width, classes) = (backbone.description().width, task.classes.len());
    let head = crate::Head::new(&vec![0.0; classes * width], &vec![0.0; classes], width)?;
    let frozen = Model::new(backbone, Adapters::default(), head)?;
    let train = features(&frozen, &task.train, batch_size)?;
    let validation = features(&frozen, &task.validation, batch_size)?;
    LinearProbe::fit(&train, &validation, classes)
}
