use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_search_space::{Count, Positive, Share};
use adaplace_task::{Examples, training_epoch};
use learned_scale::LearnedScale;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Reuse, Workspace, shards};
use crate::optimiser::AdamW;
use crate::parameters::PlacedAdapter;
use crate::{Dataset, Model, Parameters, ScoreError, seeds};

/// The settings of the training of adapters and head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// The number of examples in a batch.
    pub batch_size: Count,
    /// The highest learning rate of the adapters.
    pub adapter_learning_rate: Positive,
    /// The highest learning rate of the head.
    pub head_learning_rate: Positive,
    /// The decoupled weight decay, as a share of the learning rate.
    pub weight_decay: Share,
    /// The share of the steps in which the learning rate rises linearly. After them it falls linearly towards 0.
    pub warm_up: Share,
    /// The largest norm of the gradient of all trained tensors together. A longer gradient is shortened to it.
    pub gradient_clip: Positive,
    /// Whether each adapter's output is multiplied by a trained vector, as in Adapter+. After the training it is part
    /// of W_up and b_up.
    // This is never skipped, because a scorer is pickled in a format that does not contain field names.
    #[serde(default)]
    pub learned_scale: bool,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            batch_size: Count::of(32),
            adapter_learning_rate: Positive::of(3e-3),
            head_learning_rate: Positive::of(1e-3),
            weight_decay: Share::of(1e-4),
            warm_up: Share::of(0.1),
            gradient_clip: Positive::of(1.0),
            learned_scale: false,
        }
    }
}

impl TrainingSettings {
    /// The share of the highest learning rate at a step, counted from 0, of a training of `steps` steps.
    fn learning_rate_factor(&self, step: u32, steps: u32) -> f64 {
        let warm_up = (self.warm_up.get() * f64::from(steps)).ceil();
        let (step, steps) = (f64::from(step), f64::from(steps));
        if step < warm_up {
            (step + 1.0) / warm_up
        } else {
            (steps - step) / (steps - warm_up)
        }
    }
}

/// The result of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The trained values.
    pub parameters: Parameters,
    /// The mean cross-entropy of the batches of the last epoch, or of all batches if there was less than one epoch.
    pub train_loss: f64,
}

/// Trains the adapters and the head of `model` for `steps` steps of [`AdamW`], and returns what it trained.
///
/// The order of the examples follows from `seed` and `repetition` alone.
///
/// # Errors
/// [`ScoreError::Diverged`] if the loss or the gradient is not finite, [`ScoreError::NoGradient`] if an adapter has no
/// influence on the loss, [`ScoreError::FeaturesSayNothing`] if that is because the head is zero.
pub fn fine_tune<'a, A: Arithmetic>(
    model: &Model<'_, A>,
    data: impl Into<Dataset<'a, A>>,
    settings: &TrainingSettings,
    steps: u32,
    seed: u64,
    repetition: u32,
) -> Result<Trained, ScoreError> {
    let data = data.into();
    let lengths = data.examples.lengths();
    let batches = training_batches(lengths, settings.batch_size.get(), steps, seed, repetition);
    let mut trainer = Trainer::new(model, settings)?;
    let mut losses = Vec::new();
    for (step, rows) in (0..steps).zip(batches) {
        let factor = settings.learning_rate_factor(step, steps);
        let loss = trainer.step(data, &rows, step, factor);
        losses.push(loss.map_err(|error| explained(error, model, data.examples))?);
    }
    let epoch = data.examples.len().div_ceil(settings.batch_size.get());
    let last = &losses[losses.len().saturating_sub(epoch)..];
    let train_loss = last.iter().sum::<f64>() / last.len() as f64;
    Ok(Trained {
        parameters: model.parameters().with_values(trainer.values),
        train_loss,
    })
}

/// Explains a missing gradient by a head of zeros, which does not pass gradients on to the adapters.
fn explained<A: Arithmetic>(
    error: ScoreError,
    model: &Model<'_, A>,
    examples: &Examples,
) -> ScoreError {
    let weight = model.parameters().head().weight;
    let zero = weight.iter().all(|&w| w == 0.0);
    match error {
        ScoreError::NoGradient { .. } if zero => {
            let lengths = examples.lengths();
            let longest = lengths.iter().copied().max().unwrap_or(0);
            ScoreError::FeaturesSayNothing {
                examples: examples.len(),
                distinct: examples.distinct(),
                longest,
                at_longest: lengths.iter().filter(|&&one| one == longest).count(),
            }
        }
        error => error,
    }
}

/// The batches that [`fine_tune`] sees, one for each step, as indices into examples of these `lengths`.
#[must_use]
pub fn training_batches(
    lengths: Vec<usize>,
    batch_size: usize,
    steps: u32,
    seed: u64,
    repetition: u32,
) -> Vec<Vec<usize>> {
    let mut order = ExampleOrder::new(lengths, batch_size, seed, repetition);
    (0..steps).map(|_| order.next_batch()).collect()
}

/// Shuffled batches, epoch after epoch.
struct ExampleOrder {
    lengths: Vec<usize>,
    batch_size: usize,
    generator: ChaCha8Rng,
    epoch: std::vec::IntoIter<Vec<usize>>,
}

impl ExampleOrder {
    /// The order of examples with these lengths.
    fn new(lengths: Vec<usize>, batch_size: usize, seed: u64, repetition: u32) -> Self {
        Self {
            lengths,
            batch_size,
            generator: seeds::example_order(seed, repetition),
            epoch: Vec::new().into_iter(),
        }
    }

    /// The indices of the examples in the next batch.
    fn next_batch(&mut self) -> Vec<usize> {
        self.epoch.next().unwrap_or_else(|| {
            let epoch = training_epoch(&self.lengths, self.batch_size, &mut self.generator);
            self.epoch = epoch.into_iter();
            self.epoch.next().unwrap_or_default()
        })
    }
}

/// The values of a model during its training.
struct Trainer<'a, A: Arithmetic = Cpu> {
    engine: Engine<'a, A>,
    settings: &'a TrainingSettings,
    /// The values in the engine's layout.
    values: Vec<f32>,
    /// The same values, as the arithmetic reads them.
    written: A::Buffer,
    /// The gradients with respect to the values, or with a learned scale with respect to what is trained instead of
    /// them.
    gradients: Vec<f32>,
    learned_scale: Option<LearnedScale>,
    optimiser: AdamW,
    /// The share of each shard in the gradients.
    shares: Vec<Vec<f32>>,
}

impl<'a, A: Arithmetic> Trainer<'a, A> {
    fn new(model: &Model<'a, A>, settings: &'a TrainingSettings) -> Result<Self, ScoreError> {
        let engine = Engine::new(model, Reuse::UnchangedStates)?;
        let layout = engine.layout();
        let values = model.parameters().values().to_vec();
        let (learned_scale, scales) = match settings.learned_scale {
            true => (
                Some(LearnedScale::new(layout, &values)),
                LearnedScale::count(layout),
            ),
            false => (None, 0),
        };
        let trained = values.len() + scales;
        Ok(Self {
            settings,
            gradients: vec![0.0; trained],
            optimiser: AdamW::new(trained, settings.weight_decay.get()),
            learned_scale,
            values,
            written: A::Buffer::default(),
            engine,
            shares: Vec::new(),
        })
    }

    /// Makes one step on the examples at `rows`, and returns their mean loss before the step.
    fn step(
        &mut self,
        data: Dataset<'_, A>,
        rows: &[usize],
        step: u32,
        factor: f64,
    ) -> Result<f64, ScoreError> {
        let loss = self.loss_and_gradients(data, rows)?;
        finite(step, "training loss", loss)?;
        if step == 0 {
            self.check_gradient_flow()?;
        }
        let layout = self.engine.layout();
        if let Some(scale) = &self.learned_scale {
            scale.pull_back(layout, &mut self.gradients);
        }
        self.clip(step)?;
        let layout = self.engine.layout();
        let adapter_rate = factor * self.settings.adapter_learning_rate.get();
        let head_rate = factor * self.settings.head_learning_rate.get();
        let rates = [
            (adapter_rate, layout.head.begin),
            (head_rate, layout.len() - layout.head.begin),
            (adapter_rate, self.gradients.len() - layout.len()),
        ];
        match &mut self.learned_scale {
            None => self
                .optimiser
                .step(&mut self.values, &self.gradients, &rates),
            Some(scale) => {
                self.optimiser
                    .step(scale.trained(), &self.gradients, &rates);
                scale.merge(layout, &mut self.values);
            }
        }
        Ok(loss)
    }

    /// Computes the mean loss of the examples at `rows`, and its gradients.
    fn loss_and_gradients(
        &mut self,
        data: Dataset<'_, A>,
        rows: &[usize],
    ) -> Result<f64, ScoreError> {
        let Self {
            engine,
            values,
            written,
            gradients,
            shares,
            ..
        } = self;
        engine.write(values, written)?;
        let written = &*written;
        let shards = shards(engine.backbone(), data, rows)?;
        if shares.len() < shards.len() {
            shares.resize(shards.len(), vec![0.0; values.len()]);
        }
        let factor = 1.0 / rows.len() as f32;
        let losses = shards
            .par_iter()
            .zip(&mut *shares)
            .map(|(shard, share)| {
                Workspace::with(|workspace| {
                    let loss = engine.loss_and_gradients(written, shard, factor, workspace)?;
                    share.copy_from_slice(&engine.towards_values(workspace)?);
                    Ok(loss)
                })
            })
            .collect::<Result<Vec<f64>, ScoreError>>()?;
        gradients.fill(0.0);
        for share in &shares[..shards.len()] {
            for (sum, &share) in gradients.iter_mut().zip(share) {
                *sum += share;
            }
        }
        Ok(losses.iter().sum::<f64>() / rows.len() as f64)
    }

    /// Checks that every adapter has an influence on the loss. At the first step W_up is zero, so the gradient of
    /// W_down is always zero.
    fn check_gradient_flow(&self) -> Result<(), ScoreError> {
        for &PlacedAdapter { connection, place } in &self.engine.layout().adapters {
            let gradients = place.of(&self.gradients);
            if gradients.up_weight.iter().all(|&g| g == 0.0) {
                return Err(ScoreError::NoGradient { connection });
            }
        }
        Ok(())
    }

    /// Shortens the gradient of all trained values together to the norm in the settings.
    fn clip(&mut self, step: u32) -> Result<(), ScoreError> {
        let squares = self.gradients.iter().map(|&g| f64::from(g) * f64::from(g));
        let norm = squares.sum::<f64>().sqrt();
        finite(step, "gradient's norm", norm)?;
        let clip = self.settings.gradient_clip.get();
        if norm > clip {
            let factor = (clip / norm) as f32;
            self.gradients.iter_mut().for_each(|g| *g *= factor);
        }
        Ok(())
    }
}

/// Refuses a value that is not finite. `step` counts from 0.
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

mod learned_scale;
#[cfg(test)]
mod tests;
