//! Training on freshly drawn pictures, none of which is seen twice.

use adaplace_arithmetic::AdamW;
use adaplace_quickstart::SIDE;
use adaplace_quickstart::pretraining::{CLASSES, Example};
use anyhow::{Context, Result, ensure};
use candle_core::{D, DType, Device, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::vit::{Logits, PATCH, PATCH_VALUES, PATCHES, Vit, Weights};

const WEIGHT_DECAY: f64 = 0.05;
/// The share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.05;

/// The streams of the seed's generator.
const INITIAL_WEIGHTS: u64 = 0;
const TRAINING: u64 = 1;
const HELD_OUT: u64 = 2;

/// The settings of the training.
pub struct Settings {
    pub steps: usize,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub seed: u64,
}

/// Pictures as patches (pictures, patches, values), and their labels.
pub struct Batch {
    pub patches: Tensor,
    /// The labels of the pictures, (pictures).
    pub labels: Tensor,
    /// The labels of the patches, (pictures * patches).
    pub patch_labels: Tensor,
    /// The weight of each patch, which sum to 1. Background has a small weight because most of a picture is background.
    pub patch_weights: Tensor,
}

/// The weight of a background patch relative to one with an object.
const BACKGROUND: f32 = 0.1;

impl Batch {
    /// The next pictures of a generator.
    pub fn draw(count: usize, random: &mut ChaCha8Rng) -> Result<Self> {
        let mut patches = Vec::with_capacity(count * PATCHES * PATCH_VALUES);
        let (mut labels, mut patch_labels) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let example = Example::draw(random);
            append_patches(example.picture.as_raw(), &mut patches);
            labels.push(example.class);
            patch_labels.extend(example.patches);
        }
        let weight = |&label: &u32| if label == CLASSES { BACKGROUND } else { 1.0 };
        let weights: Vec<f32> = patch_labels.iter().map(weight).collect();
        let sum = f64::from(weights.iter().sum::<f32>());
        let device = &Device::Cpu;
        Ok(Self {
            patches: Tensor::from_vec(patches, (count, PATCHES, PATCH_VALUES), device)?,
            labels: Tensor::from_vec(labels, count, device)?,
            patch_labels: Tensor::from_vec(patch_labels, count * PATCHES, device)?,
            patch_weights: (Tensor::from_vec(weights, count * PATCHES, device)? / sum)?,
        })
    }
}

/// Appends the patches of a picture (height, width, 3), with levels from -1 to 1 as in `preprocessor_config.json`.
pub fn append_patches(picture: &[u8], patches: &mut Vec<f32>) {
    let side = SIDE as usize;
    for patch in 0..PATCHES {
        let grid = side / PATCH;
        let (top, left) = (patch / grid * PATCH, patch % grid * PATCH);
        for value in 0..PATCH_VALUES {
            let channel = value / (PATCH * PATCH);
            let (row, column) = (value / PATCH % PATCH, value % PATCH);
            let level = picture[((top + row) * side + left + column) * 3 + channel];
            patches.push(f32::from(level) / 127.5 - 1.0);
        }
    }
}

/// The cross-entropy of every row of logits (rows, classes).
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let normalizer = shifted.exp()?.sum(D::Minus1)?.log()?;
    let wanted = shifted.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
    Ok((normalizer - wanted)?)
}

/// The mean over the pictures plus the weighted mean over the patches.
pub fn loss(logits: &Logits, batch: &Batch) -> Result<Tensor> {
    let pictures = cross_entropy(&logits.pictures, &batch.labels)?.mean_all()?;
    let patches = cross_entropy(&logits.patches, &batch.patch_labels)?;
    Ok((pictures + (patches * &batch.patch_weights)?.sum_all()?)?)
}

/// The loss and its gradients with respect to all weights, in their order.
pub fn loss_and_gradients(
    weights: &Weights,
    variables: &[Var],
    batch: &Batch,
) -> Result<(f32, Vec<Vec<f32>>)> {
    let logits = Vit::new(weights, variables).logits(&batch.patches)?;
    let loss = loss(&logits, batch)?;
    let store = loss.backward()?;
    let mut gradients = Vec::with_capacity(variables.len());
    for (weight, variable) in weights.0.iter().zip(variables) {
        // Without this check, a weight that no gradient reaches would silently keep its initial value.
        let gradient = store
            .get(variable)
            .with_context(|| format!("`{}` gets no gradient", weight.name))?;
        gradients.push(gradient.flatten_all()?.to_vec1()?);
    }
    Ok((loss.to_scalar()?, gradients))
}

/// Draws weights and trains them. `report` is called after every step with its number and its loss.
pub fn train(settings: &Settings, mut report: impl FnMut(usize, f32)) -> Result<Weights> {
    let mut weights = Weights::new(&mut generator(settings, INITIAL_WEIGHTS));
    let mut random = generator(settings, TRAINING);
    let lengths: Vec<usize> = weights.0.iter().map(|weight| weight.values.len()).collect();
    let mut optimisers: Vec<AdamW> = weights
        .0
        .iter()
        .map(|weight| {
            // Biases and norms are vectors, and keep their size.
            let decay = if weight.shape.len() > 1 {
                WEIGHT_DECAY
            } else {
                0.0
            };
            AdamW::new(weight.values.len(), decay)
        })
        .collect();
    for step in 0..settings.steps {
        let batch = Batch::draw(settings.batch_size, &mut random)?;
        let variables = weights.variables()?;
        let (loss, mut gradients) = loss_and_gradients(&weights, &variables, &batch)?;
        ensure!(loss.is_finite(), "the loss of step {step} is not finite");
        clip(&mut gradients);
        let rate = learning_rate(settings, step);
        for ((optimiser, weight), (gradient, &length)) in optimisers
            .iter_mut()
            .zip(&mut weights.0)
            .zip(gradients.iter().zip(&lengths))
        {
            optimiser.step(&mut weight.values, gradient, &[(rate, length)]);
        }
        report(step, loss);
    }
    Ok(weights)
}

/// The accuracy on freshly drawn pictures that were not used for training.
pub fn held_out_accuracy(weights: &Weights, settings: &Settings, batches: usize) -> Result<f64> {
    accuracy(weights, settings, batches, HELD_OUT)
}

/// The accuracy on the first pictures of the training.
pub fn training_accuracy(weights: &Weights, settings: &Settings, batches: usize) -> Result<f64> {
    accuracy(weights, settings, batches, TRAINING)
}

fn accuracy(weights: &Weights, settings: &Settings, batches: usize, stream: u64) -> Result<f64> {
    let variables = weights.variables()?;
    let mut random = generator(settings, stream);
    let mut right = 0.0;
    for _ in 0..batches {
        let batch = Batch::draw(settings.batch_size, &mut random)?;
        let logits = Vit::new(weights, &variables).logits(&batch.patches)?;
        let hits = logits.pictures.argmax(D::Minus1)?.eq(&batch.labels)?;
        right += hits.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(right / (batches * settings.batch_size) as f64)
}

/// A learning rate that rises to its highest value and then falls to zero as half a cosine.
fn learning_rate(settings: &Settings, step: usize) -> f64 {
    let warm_up = (WARM_UP * settings.steps as f64).ceil();
    let step = step as f64 + 1.0;
    if step < warm_up {
        return settings.learning_rate * step / warm_up;
    }
    let done = (step - warm_up) / (settings.steps as f64 - warm_up).max(1.0);
    settings.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// Scales all gradients together to a norm of at most 1.
fn clip(gradients: &mut [Vec<f32>]) {
    let squares = gradients.iter().flatten().map(|&g| f64::from(g).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    if norm > 1.0 {
        let factor = (1.0 / norm) as f32;
        gradients.iter_mut().flatten().for_each(|g| *g *= factor);
    }
}

fn generator(settings: &Settings, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    random.set_stream(stream);
    random
}
