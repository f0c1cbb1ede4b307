//! The engine compared with its definition, with both arithmetics. The tests read nothing from outside, except for
//! `parity`, which needs real backbones and runs on request.

mod cross_fit;
mod definition;
mod engine;
mod forward;
mod gradient_map;
mod gradients;
mod measures;
mod parity;
mod tokens;

use adaplace_arithmetic::{Arithmetic, OnDevice};
use adaplace_backbone::{Backbone, Inputs};
use adaplace_search_space::Connection;
use adaplace_testkit::TinyVit;
use candle_core::Tensor;

use crate::engine::{Engine, Reuse, Shard, Workspace};
use crate::support::noise_values;
use crate::{GradientMap, GradientMapSettings, Model, Parameters, ScoreError};

/// The mean loss of a batch and its gradients, as a training computes them.
pub(crate) fn loss_and_gradients<A: Arithmetic>(
    model: &Model<'_, A>,
    inputs: &Inputs,
    labels: &[u32],
) -> (f64, Parameters) {
    let engine = Engine::new(model, Reuse::UnchangedStates).unwrap();
    let values = engine.written(&[model]).unwrap();
    let shard = Shard::of_inputs(model.backbone(), inputs, labels).unwrap();
    let count = labels.len();
    Workspace::with(|workspace| {
        let factor = 1.0 / count as f32;
        let losses = engine.loss_and_gradients(&values, &shard, factor, workspace);
        let losses = engine.arithmetic().numbers(&losses.unwrap()).unwrap();
        let gradients = engine.towards_values(workspace).unwrap().into_owned();
        let gradients = model.parameters().with_values(gradients);
        (losses[0][0] / count as f64, gradients)
    })
}

/// The hidden states h_0 .. h_N of the last pass, each (rows, width).
fn states<A: Arithmetic>(
    model: &Model<'_, A>,
    inputs: &Inputs,
) -> Result<Vec<Vec<f32>>, ScoreError> {
    // A training leaves out rows that nothing reads.
    let engine = Engine::new(model, Reuse::Nothing)?;
    let values = engine.written(&[model])?;
    let labels = vec![0; inputs.examples()];
    let shard = Shard::of_inputs(model.backbone(), inputs, &labels)?;
    Workspace::with(|workspace| engine.states(&values, &shard, workspace))
}

/// The gradient map of one batch.
fn gradient_map<A: Arithmetic>(
    model: &Model<'_, A>,
    inputs: &Inputs,
    labels: &[u32],
) -> GradientMap {
    let shard = Shard::of_inputs(model.backbone(), inputs, labels).unwrap();
    let all = Connection::all(model.backbone().description().hidden_states as u16);
    GradientMap::of_shards(model, &[shard], &all, &GradientMapSettings::default()).unwrap()
}

/// Tensors on the device that `ADAPLACE_DEVICE` names (`cuda`, with the feature `adaplace-arithmetic/cuda`), or on the
/// processor.
pub(crate) fn tensors() -> OnDevice {
    let name = std::env::var("ADAPLACE_DEVICE").unwrap_or_else(|_| "candle".to_owned());
    OnDevice::open(name.parse().unwrap()).unwrap()
}

pub(crate) fn tiny_vit() -> Backbone {
    let folder = tempfile::tempdir().unwrap();
    adaplace_testkit::tiny_vit(folder.path(), &TinyVit::default());
    Backbone::load(folder.path(), None).unwrap()
}

/// Three texts of 7, 4 and 2 tokens.
pub(crate) fn ragged_inputs() -> Inputs {
    let lengths = [7, 4, 2];
    let ids = lengths
        .iter()
        .enumerate()
        .flat_map(|(row, &length)| (0..length).map(move |token| (8 + 11 * row + 5 * token) as u32));
    Inputs::text(lengths.to_vec(), ids.collect(), vec![0; 13])
}

/// Two pictures of noise for the tiny ViT.
pub(crate) fn pictures() -> Inputs {
    let shape = [2, 3, 16, 16];
    Inputs::images(shape, noise_values(shape.iter().product(), 1.7, 5))
}

/// |found - expected| in the Frobenius norm, as a share of that of `expected`.
pub(crate) fn error_of(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| {
        let squares = values.map(|value| f64::from(value).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let differences = &mut found.iter().zip(expected).map(|(a, b)| a - b);
    norm(differences) / norm(&mut expected.iter().copied())
}

/// The values of a tensor in row-major order.
pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
