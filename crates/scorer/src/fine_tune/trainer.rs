//! The steps of a training.

use adaplace_arithmetic::{Arithmetic, OptimiserPlan};
use rayon::prelude::*;

use super::course::{Course, Norms};
use super::learned_scale::ScaledUpdate;
use crate::engine::{Engine, Reuse, Workspace, shards};
use crate::parameters::PlacedAdapter;
use crate::{Dataset, Model, ScoreError, TrainingSettings};

/// The values of several models during their training.
pub(super) struct Trainer<'m, 'a, A: Arithmetic> {
    models: &'m [&'m Model<'a, A>],
    pub(super) engine: Engine<'a, A>,
    /// The values in the layout of the group.
    pub(super) values: A::Buffer,
    /// The gradients with respect to the values.
    pub(super) gradients: A::Buffer,
    pub(super) update: Update<A>,
    /// The share of each shard in the gradients.
    shares: Vec<A::Buffer>,
}

/// What changes the values.
pub(super) enum Update<A: Arithmetic> {
    Plain(A::Optimiser),
    /// With a learned scale, other values are trained instead of those that the engine computes with.
    Scaled(Box<ScaledUpdate>),
}

impl<'m, 'a, A: Arithmetic> Trainer<'m, 'a, A> {
    /// # Panics
    /// If several models are to be trained with a learned scale.
    pub(super) fn new(
        models: &'m [&'m Model<'a, A>],
        settings: &TrainingSettings,
    ) -> Result<Self, ScoreError> {
        let engine = Engine::of_group(models, Reuse::UnchangedStates)?;
        let update = match settings.learned_scale {
            true => {
                assert_eq!(models.len(), 1, "a learned scale is trained one by one");
                Update::Scaled(Box::new(ScaledUpdate::new(
                    models[0].parameters(),
                    settings,
                )?))
            }
            false => {
                let group = engine.group();
                Update::Plain(engine.arithmetic().optimiser(OptimiserPlan {
                    rates: vec![
                        (settings.adapter_learning_rate.get(), group.adapter_values()),
                        (
                            settings.head_learning_rate.get(),
                            group.len() - group.adapter_values(),
                        ),
                    ],
                    models: group.positions(),
                    weight_decay: settings.weight_decay.get(),
                    clip: settings.gradient_clip.get(),
                })?)
            }
        };
        Ok(Self {
            values: engine.written(models)?,
            gradients: A::Buffer::default(),
            shares: Vec::new(),
            models,
            engine,
            update,
        })
    }

    pub(super) fn arithmetic(&self) -> &'a A {
        self.engine.arithmetic()
    }

    /// The trained values of each model.
    pub(super) fn into_values(self) -> Result<Vec<Vec<f32>>, ScoreError> {
        let values = self.arithmetic().read(&self.values)?;
        Ok(self.engine.group().split(&values))
    }

    /// Makes one step on the examples at `rows`, at `factor` times the highest learning rates. `first` says that it is
    /// the first one, after which it is known whether every adapter has a gradient.
    pub(super) fn step(
        &mut self,
        data: Dataset<'_, A>,
        rows: &[usize],
        (first, factor): (bool, f64),
        course: &mut Course<A>,
    ) -> Result<(), ScoreError> {
        let losses = self.losses_and_gradients(data, rows)?;
        course.add_losses(losses, data.examples.total_weight(rows));
        if first {
            course.settle(self.arithmetic())?;
            self.check_gradient_flow(course)?;
        }
        course.add_norms(self.optimise(factor)?);
        Ok(())
    }

    /// Changes the values along the gradients, and returns the norms of these.
    fn optimise(&mut self, factor: f64) -> Result<Norms<A>, ScoreError> {
        let arithmetic = self.engine.arithmetic();
        match &mut self.update {
            Update::Plain(optimiser) => {
                let (values, gradients) = (&mut self.values, &mut self.gradients);
                let norms = arithmetic.optimise(optimiser, factor, values, gradients)?;
                Ok(Norms::Computed(norms))
            }
            Update::Scaled(update) => {
                let norm = update.step(factor, &arithmetic.read(&self.gradients)?)?;
                self.engine.write(update.values(), &mut self.values)?;
                Ok(Norms::Known(vec![norm]))
            }
        }
    }

    /// Computes sums of the losses of the examples at `rows`, one or more for each shard, and the gradients of their mean.
    pub(super) fn losses_and_gradients(
        &mut self,
        data: Dataset<'_, A>,
        rows: &[usize],
    ) -> Result<Vec<A::Numbers>, ScoreError> {
        let Self {
            engine,
            values,
            gradients,
            shares,
            ..
        } = self;
        let values = &*values;
        let shards = shards(engine.backbone(), data, rows, engine.group().models())?;
        if shares.len() < shards.len() {
            shares.resize_with(shards.len(), A::Buffer::default);
        }
        let factor = 1.0 / data.examples.total_weight(rows) as f32;
        let losses = shards
            .par_iter()
            .zip(&mut *shares)
            .map(|(shard, share)| {
                Workspace::with(|workspace| {
                    let losses = engine.loss_and_gradients(values, shard, factor, workspace)?;
                    engine.copy_towards_values(workspace, share)?;
                    Ok(losses)
                })
            })
            .collect::<Result<Vec<Vec<A::Numbers>>, ScoreError>>()?;
        let arithmetic = engine.arithmetic();
        arithmetic.zero((1, engine.group().len()), gradients)?;
        for share in &shares[..shards.len()] {
            arithmetic.add(share, gradients)?;
        }
        Ok(losses.into_iter().flatten().collect())
    }

    /// Checks that every adapter has an influence on the loss. At the first step W_up is zero, so the gradient of
    /// W_down is always zero.
    fn check_gradient_flow(&self, course: &mut Course<A>) -> Result<(), ScoreError> {
        let gradients = self.arithmetic().read(&self.gradients)?;
        let each = self.engine.group().split(&gradients);
        for (index, (model, gradients)) in self.models.iter().zip(each).enumerate() {
            for &PlacedAdapter { connection, place } in &model.parameters().layout().adapters {
                if place.of(&gradients).up_weight.iter().all(|&g| g == 0.0) {
                    course.fail(index, ScoreError::NoGradient { connection });
                }
            }
        }
        Ok(())
    }
}
