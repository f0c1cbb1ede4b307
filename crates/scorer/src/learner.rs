//! Trainings and evaluations on a backbone and a task, whatever computes them.

use std::fmt::Debug;
use std::sync::Arc;

use adaplace_arithmetic::{Arithmetic, Device, DeviceKind, Work};
use adaplace_backbone::Backbone;
use adaplace_search_space::Connection;
use adaplace_task::{Examples, Part, ProblemKind, Task};

use crate::evaluation::{evaluate, evaluate_together, features};
use crate::resources::TrainingSize;
use crate::{
    Dataset, Evaluation, GradientMap, GradientMapSettings, Head, LinearProbe, Model, Parameters,
    Resources, ScoreError, StateCache, Statistics, Trained, TrainingSettings, fine_tune_together,
    importances,
};

/// What trains adapters on a backbone and a task. The arithmetic that computes it is hidden behind this trait.
pub(crate) trait Learner: Debug + Send + Sync {
    /// The width of the hidden states.
    fn width(&self) -> usize;

    /// Fits the linear probe to the frozen features. For language modelling, the model as it is takes its place.
    fn fit_probe(&self, batch_size: usize) -> Result<LinearProbe, ScoreError>;

    /// See [`fine_tune_together`].
    fn train(
        &self,
        initial: Vec<Parameters>,
        settings: &TrainingSettings,
        steps: u32,
        seed: u64,
        repetition: u32,
    ) -> Result<Vec<Result<Trained, ScoreError>>, ScoreError>;

    /// The number of trainings side by side that fill the device and fit into its memory.
    fn trainings_at_once(&self, batch_size: usize) -> usize;

    /// The evaluations of several models on the validation part.
    fn validate(
        &self,
        parameters: Vec<Parameters>,
        batch_size: usize,
    ) -> Result<Vec<Evaluation>, ScoreError>;

    /// The evaluation on any examples, whose frozen states are not cached.
    fn evaluate(
        &self,
        parameters: Parameters,
        examples: &Examples,
        batch_size: usize,
    ) -> Result<Evaluation, ScoreError>;

    /// See [`importances()`], on the validation part.
    fn importances(
        &self,
        parameters: Parameters,
        batch_size: usize,
    ) -> Result<Vec<f64>, ScoreError>;

    /// See [`GradientMap::compute`], and with `validation` and `statistics` [`GradientMap::cross_fitted`].
    fn gradient_map(
        &self,
        parameters: Parameters,
        examples: &Examples,
        connections: &[Connection],
        cross_fitted: Option<(&Examples, &Statistics)>,
        settings: &GradientMapSettings,
    ) -> Result<GradientMap, ScoreError>;
}

/// What trains on the device of `resources`, in the precision of `backbone`.
///
/// # Errors
/// If the device cannot be used, or if the task's inputs are not of the backbone's kind.
pub(crate) fn learner(
    backbone: Arc<Backbone>,
    task: Arc<Task>,
    resources: Resources,
) -> Result<Box<dyn Learner>, ScoreError> {
    struct Caching(Arc<Backbone>, Arc<Task>, Option<usize>);

    impl Work for Caching {
        type Output = Result<Box<dyn Learner>, ScoreError>;

        fn with<A: Arithmetic>(self, arithmetic: A) -> Self::Output {
            let Self(backbone, task, memory) = self;
            let backbone = Arc::new(backbone.on(arithmetic));
            let free = backbone.arithmetic().free_memory();
            let memory = memory.or(free.map(|free| free / 2)).unwrap_or(usize::MAX);
            Ok(Box::new(CachedTask::new(backbone, task, memory)?))
        }
    }

    let Resources {
        device,
        cache_memory,
        ..
    } = resources;
    match device.kind {
        // The backbone may be prepared already.
        DeviceKind::Cpu => {
            let memory = cache_memory.unwrap_or(usize::MAX);
            Ok(Box::new(CachedTask::new(backbone, task, memory)?))
        }
        _ => {
            let precision = backbone.arithmetic().precision;
            device.compute(precision, Caching(backbone, task, cache_memory))?
        }
    }
}

/// The evaluation of `parameters` on `backbone`, computed by a device.
///
/// # Errors
/// If the device cannot be used, or if parameters or examples do not fit the backbone.
pub fn evaluate_on(
    device: Device,
    backbone: &Backbone,
    parameters: Parameters,
    examples: &Examples,
    batch_size: usize,
) -> Result<Evaluation, ScoreError> {
    struct Evaluating<'a>(&'a Backbone, Parameters, &'a Examples, usize);

    impl Work for Evaluating<'_> {
        type Output = Result<Evaluation, ScoreError>;

        fn with<A: Arithmetic>(self, arithmetic: A) -> Self::Output {
            let Self(backbone, parameters, examples, batch_size) = self;
            let backbone = backbone.on(arithmetic);
            evaluate(&Model::new(&backbone, parameters)?, examples, batch_size)
        }
    }

    match device.kind {
        DeviceKind::Cpu => evaluate(&Model::new(backbone, parameters)?, examples, batch_size),
        _ => device.compute(
            backbone.arithmetic().precision,
            Evaluating(backbone, parameters, examples, batch_size),
        )?,
    }
}

/// A backbone and a task, whose frozen states are cached.
#[derive(Debug)]
pub(crate) struct CachedTask<A: Arithmetic> {
    backbone: Arc<Backbone<A>>,
    task: Arc<Task>,
    train_states: StateCache<A>,
    validation_states: StateCache<A>,
}

impl<A: Arithmetic> CachedTask<A> {
    /// Caches the states of both parts, which share the memory in proportion to their size.
    ///
    /// # Errors
    /// If the task's inputs are not of the backbone's kind.
    pub(crate) fn new(
        backbone: Arc<Backbone<A>>,
        task: Arc<Task>,
        memory: usize,
    ) -> Result<Self, ScoreError> {
        let size = |examples| StateCache::size(&backbone, examples) as f64;
        let (train, validation) = (size(&task.train), size(&task.validation));
        let share = memory as f64 / (train + validation).max(1.0);
        let cache = |part, size: f64| {
            let (backbone, task) = (Arc::clone(&backbone), Arc::clone(&task));
            StateCache::new(backbone, task, part, (share * size) as usize)
        };
        Ok(Self {
            train_states: cache(Part::Train, train)?,
            validation_states: cache(Part::Validation, validation)?,
            backbone,
            task,
        })
    }

    fn model(&self, parameters: Parameters) -> Result<Model<'_, A>, ScoreError> {
        Model::new(&self.backbone, parameters)
    }

    fn models(&self, parameters: Vec<Parameters>) -> Result<Vec<Model<'_, A>>, ScoreError> {
        let models = parameters.into_iter();
        models.map(|parameters| self.model(parameters)).collect()
    }

    fn train_data(&self) -> Dataset<'_, A> {
        Dataset {
            examples: &self.task.train,
            cache: Some(&self.train_states),
        }
    }

    fn validation_data(&self) -> Dataset<'_, A> {
        Dataset {
            examples: &self.task.validation,
            cache: Some(&self.validation_states),
        }
    }
}

impl<A: Arithmetic> Learner for CachedTask<A> {
    fn width(&self) -> usize {
        self.backbone.description().width
    }

    fn fit_probe(&self, batch_size: usize) -> Result<LinearProbe, ScoreError> {
        let (outputs, width) = (self.task.outputs(), self.backbone.description().width);
        let frozen = self.model(Parameters::of_head(width, &Head::zero(outputs, width)))?;
        if self.task.problem() == ProblemKind::LanguageModelling {
            let train = evaluate(&frozen, self.train_data(), batch_size)?;
            let validation = evaluate(&frozen, self.validation_data(), batch_size)?;
            return Ok(LinearProbe::of_frozen(train, validation));
        }
        let train = features(&frozen, self.train_data(), batch_size)?;
        let validation = features(&frozen, self.validation_data(), batch_size)?;
        LinearProbe::fit(&train, &validation, outputs)
    }

    fn train(
        &self,
        initial: Vec<Parameters>,
        settings: &TrainingSettings,
        steps: u32,
        seed: u64,
        repetition: u32,
    ) -> Result<Vec<Result<Trained, ScoreError>>, ScoreError> {
        let models = self.models(initial)?;
        let models: Vec<&Model<'_, A>> = models.iter().collect();
        fine_tune_together(
            &models,
            self.train_data(),
            settings,
            steps,
            seed,
            repetition,
        )
    }

    fn trainings_at_once(&self, batch_size: usize) -> usize {
        let description = self.backbone.description();
        let mut lengths = self.task.train.lengths();
        if let Some(tokens) = description.input.fixed_tokens() {
            lengths.fill(tokens);
        }
        let training = TrainingSize::new(description, &lengths, batch_size);
        training.at_once(self.backbone.arithmetic().free_memory())
    }

    fn validate(
        &self,
        parameters: Vec<Parameters>,
        batch_size: usize,
    ) -> Result<Vec<Evaluation>, ScoreError> {
        let models = self.models(parameters)?;
        let models: Vec<&Model<'_, A>> = models.iter().collect();
        evaluate_together(&models, self.validation_data(), batch_size)
    }

    fn evaluate(
        &self,
        parameters: Parameters,
        examples: &Examples,
        batch_size: usize,
    ) -> Result<Evaluation, ScoreError> {
        evaluate(&self.model(parameters)?, examples, batch_size)
    }

    fn importances(
        &self,
        parameters: Parameters,
        batch_size: usize,
    ) -> Result<Vec<f64>, ScoreError> {
        importances(&self.model(parameters)?, self.validation_data(), batch_size)
    }

    fn gradient_map(
        &self,
        parameters: Parameters,
        examples: &Examples,
        connections: &[Connection],
        cross_fitted: Option<(&Examples, &Statistics)>,
        settings: &GradientMapSettings,
    ) -> Result<GradientMap, ScoreError> {
        let model = self.model(parameters)?;
        match cross_fitted {
            None => GradientMap::compute(&model, examples, connections, settings),
            Some((validation, statistics)) => {
                let parts = (examples, validation);
                GradientMap::cross_fitted(&model, parts, connections, settings, statistics)
            }
        }
    }
}
