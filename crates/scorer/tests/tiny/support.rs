//! Small models and tasks, for the tests of this folder and those inside the crate.

use std::sync::Arc;

use adaplace_backbone::{Backbone, Inputs};
use adaplace_scorer::{Adapter, Adapters, Head, Model};
use adaplace_search_space::{AdapterSpec, Connection};
use adaplace_task::{Encoder, Task, TaskOptions, TextEncoder};
use adaplace_testkit::{TextTask, TinyBert, text_task};
use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The width of the tiny backbones.
pub const WIDTH: usize = 32;
/// The number of classes of [`head`] and of the tiny tasks.
pub const CLASSES: usize = 3;

pub fn tiny_bert() -> Backbone {
    let folder = tempfile::tempdir().unwrap();
    adaplace_testkit::tiny_bert(folder.path(), &TinyBert::default());
    Backbone::load(folder.path(), None).unwrap()
}

/// The tiny text task, encoded for the tiny BERT.
pub fn tiny_task(settings: &TextTask) -> Task {
    let folder = tempfile::tempdir().unwrap();
    let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
    adaplace_testkit::tiny_bert(&backbone, &TinyBert::default());
    text_task(&task, settings);
    let encoder = TextEncoder::from_folder(&backbone, 64, 64, 32).unwrap();
    Task::load(&task, &Encoder::Text(encoder), &TaskOptions::default()).unwrap()
}

/// The tiny BERT and the tiny text task, to be shared.
pub fn tiny() -> (Arc<Backbone>, Arc<Task>) {
    (
        Arc::new(tiny_bert()),
        Arc::new(tiny_task(&TextTask::default())),
    )
}

/// Three texts of 7, 4 and 2 tokens.
pub fn ragged_inputs() -> Inputs {
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for (row, length) in [7, 4, 2].into_iter().enumerate() {
        for token in 0..7 {
            let real = token < length;
            ids.push(u32::from(real) * (8 + 11 * row + 5 * token) as u32);
            mask.push(u8::from(real));
        }
    }
    Inputs::text(3, 7, &ids, &[0; 21], &mask).unwrap()
}

/// Uniform noise in +-bound.
pub fn noise(shape: &[usize], bound: f32, seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| random.random_range(-bound..bound))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn noise_var(shape: &[usize], bound: f32, seed: u64) -> Var {
    Var::from_tensor(&noise(shape, bound, seed)).unwrap()
}

pub fn head() -> Head {
    Head {
        weight: noise_var(&[CLASSES, WIDTH], 0.3, 71),
        bias: noise_var(&[CLASSES], 0.1, 72),
    }
}

/// Adapters of rank 4 as after a training: none of their values is zero. Every second one has a scale other than 1.
pub fn trained_adapters(connections: &[(u16, u16)], seed: u64) -> Adapters {
    let adapter = |(index, &(source, target)): (usize, &(u16, u16))| {
        let seed = 1000 * seed + 10 * index as u64;
        let scale = if index % 2 == 0 { 1.0 } else { 0.7 };
        Adapter {
            connection: Connection { source, target },
            spec: AdapterSpec::new(4, scale).unwrap(),
            down_weight: noise_var(&[4, WIDTH], 0.3, seed),
            down_bias: noise_var(&[4], 0.3, seed + 1),
            up_weight: noise_var(&[WIDTH, 4], 0.3, seed + 2),
            up_bias: noise_var(&[WIDTH], 0.3, seed + 3),
        }
    };
    connections.iter().enumerate().map(adapter).collect()
}

pub fn model<'a>(backbone: &'a Backbone, connections: &[(u16, u16)]) -> Model<'a> {
    Model::new(backbone, trained_adapters(connections, 1), head()).unwrap()
}

/// |found - expected| in the Frobenius norm, as a share of that of `scale`.
pub fn error_by(scale: &Tensor, found: &Tensor, expected: &Tensor) -> f64 {
    let norm = |tensor: &Tensor| {
        let sum = tensor.sqr().unwrap().sum_all().unwrap();
        f64::from(sum.to_scalar::<f32>().unwrap()).sqrt()
    };
    norm(&(found - expected).unwrap()) / norm(scale)
}

/// The values of a tensor in row-major order.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
