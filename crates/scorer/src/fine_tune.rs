use adaplace_task::training_epoch;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::frozen::Frozen;
use crate::{Dataset, Model, ScoreError, seeds};

/// How adapters and head are trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Examples in a batch.
    pub batch_size: usize,
    /// Highest learning rate of the adapters.
    pub adapter_learning_rate: f64,
    /// Highest learning rate of the head.
    pub head_learning_rate: f64,
    /// Decoupled weight decay, as a share of the learning rate.
    pub weight_decay: f64,
    /// Share of the steps in which the learning rate climbs linearly; after them it falls linearly towards 0.
    pub warm_up: f64,
    /// The gradient of all trained tensors together is shortened to this norm.
    pub gradient_clip: f64,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            batch_size: 32,
            adapter_learning_rate: 3e-3,
            head_learning_rate: 1e-3,
            weight_decay: 1e-4,
            warm_up: 0.1,
            gradient_clip: 1.0,
        }
    }
}

impl TrainingSettings {
    /// Share of the highest learning rate at a step, counted from 0, of a training of `steps` steps.
    fn learning_rate_factor(&self, step: u32, steps: u32) -> f64 {
        let warm_up = (self.warm_up * f64::from(steps)).ceil();
        let (step, steps) = (f64::from(step), f64::from(steps));
        if step < warm_up {
            (step + 1.0) / warm_up
        } else {
            (steps - step) / (steps - warm_up)
        }
    }
}

/// What a training was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Mean cross-entropy of the batches of the last epoch, or of all if there was less than one.
    pub train_loss: f64,
}

/// Trains the adapters and the head of `model` for `steps` steps of AdamW (Loshchilov and Hutter, 2019).
///
/// The order of the examples follows from `seed` and `repetition` alone.
///
/// # Errors
/// [`ScoreError::Diverged`] if the loss or the gradient is not finite, [`ScoreError::NoGradient`] if an adapter
/// has no influence on the loss.
pub fn fine_tune<'a>(
    model: &Model<'_>,
    data: impl Into<Dataset<'a>>,
    settings: &TrainingSettings,
    steps: u32,
    seed: u64,
    repetition: u32,
) -> Result<Training, ScoreError> {
    let data = data.into();
    let lengths = data.examples.lengths();
    let mut order = ExampleOrder::new(lengths, settings.batch_size, seed, repetition);
    let mut optimiser = Optimiser::new(model, settings)?;
    let mut losses = Vec::new();
    for step in 0..steps {
        let rows = order.next_batch();
        let factor = settings.learning_rate_factor(step, steps);
        let loss = data.with_batch(model.backbone(), &rows, |frozen, labels| {
            optimiser.step(frozen, labels, step, factor)
        })?;
        losses.push(loss);
    }
    let epoch = data.examples.len().div_ceil(settings.batch_size.max(1));
    let last = &losses[losses.len().saturating_sub(epoch)..];
    Ok(Training {
        train_loss: last.iter().sum::<f64>() / last.len() as f64,
    })
}

/// Epoch after epoch of shuffled batches.
struct ExampleOrder {
    lengths: Vec<usize>,
    batch_size: usize,
    generator: ChaCha8Rng,
    epoch: std::vec::IntoIter<Vec<usize>>,
}

impl ExampleOrder {
    /// Of examples of these lengths.
    fn new(lengths: Vec<usize>, batch_size: usize, seed: u64, repetition: u32) -> Self {
        Self {
            lengths,
            batch_size,
            generator: seeds::example_order(seed, repetition),
            epoch: Vec::new().into_iter(),
        }
    }

    /// Indices of the examples.
    fn next_batch(&mut self) -> Vec<usize> {
        self.epoch.next().unwrap_or_else(|| {
            let epoch = training_epoch(&self.lengths, self.batch_size, &mut self.generator);
            self.epoch = epoch.into_iter();
            self.epoch.next().unwrap_or_default()
        })
    }
}

/// AdamW with one learning rate for the adapters and another for the head.
struct Optimiser<'a> {
    model: &'a Model<'a>,
    settings: &'a TrainingSettings,
    adapters: AdamW,
    head: AdamW,
    vars: Vec<Var>,
}

impl<'a> Optimiser<'a> {
    fn new(model: &'a Model<'a>, settings: &'a TrainingSettings) -> Result<Self, ScoreError> {
        let adapters = model.adapters().vars();
        let head = vec![model.head().weight.clone(), model.head().bias.clone()];
        let parameters = ParamsAdamW {
            weight_decay: settings.weight_decay,
            ..ParamsAdamW::default()
        };
        Ok(Self {
            model,
            settings,
            vars: adapters.iter().chain(&head).cloned().collect(),
            adapters: AdamW::new(adapters, parameters.clone())?,
            head: AdamW::new(head, parameters)?,
        })
    }

    /// One step on one batch; returns its loss before the step.
    fn step(
        &mut self,
        frozen: &Frozen<'_>,
        labels: &Tensor,
        step: u32,
        factor: f64,
    ) -> Result<f64, ScoreError> {
        let logits = self.model.logits_from(frozen)?;
        let loss = candle_nn::loss::cross_entropy(&logits, labels)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        finite(step, "training loss", value)?;
        let mut gradients = loss.backward()?;
        if step == 0 {
            self.check_gradient_flow(&gradients)?;
        }
        self.clip(&mut gradients, step)?;
        self.adapters
            .set_learning_rate(factor * self.settings.adapter_learning_rate);
        self.head
            .set_learning_rate(factor * self.settings.head_learning_rate);
        self.adapters.step(&gradients)?;
        self.head.step(&gradients)?;
        Ok(value)
    }

    /// Every adapter must move the loss. At the first step W_up is zero, so W_down has a gradient of zero by nature.
    fn check_gradient_flow(&self, gradients: &GradStore) -> Result<(), ScoreError> {
        for adapter in self.model.adapters().iter() {
            let flows = match gradients.get(&adapter.up_weight) {
                None => false,
                Some(gradient) => gradient.abs()?.max_all()?.to_scalar::<f32>()? != 0.0,
            };
            if !flows || adapter.vars().any(|var| gradients.get(var).is_none()) {
                return Err(ScoreError::NoGradient {
                    connection: adapter.connection,
                });
            }
        }
        Ok(())
    }

    /// Shortens the gradient of all trained tensors together to the norm of the settings.
    fn clip(&self, gradients: &mut GradStore, step: u32) -> Result<(), ScoreError> {
        let mut square = 0.0;
        for var in &self.vars {
            if let Some(gradient) = gradients.get(var) {
                square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let norm = square.sqrt();
        finite(step, "gradient's norm", norm)?;
        if norm <= self.settings.gradient_clip {
            return Ok(());
        }
        let factor = self.settings.gradient_clip / norm;
        for var in &self.vars {
            if let Some(gradient) = gradients.remove(var) {
                gradients.insert(var, (gradient * factor)?);
            }
        }
        Ok(())
    }
}

/// `step` counts from 0.
pub(crate) fn finite(step: u32, quantity: &'static str, value: f64) -> Result<(), ScoreError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(ScoreError::Diverged {
        step: step + 1,
        quantity,
        value,
    })
}

#[cfg(test)]
mod tests;
