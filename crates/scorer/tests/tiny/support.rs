//! Small models and tasks, for the tests of this folder and those inside the crate.

use std::sync::Arc;

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::{Backbone, Pooling};
use adaplace_scorer::{Head, Model, Parameters};
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use adaplace_task::{Encoder, Task, TaskOptions, TextEncoder};
use adaplace_testkit::{TextTask, TinyBert, text_task};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The width of the tiny backbones.
pub const WIDTH: usize = 32;
/// The number of classes of [`head`] and of the tiny tasks.
pub const CLASSES: usize = 3;

pub fn tiny_bert() -> Backbone {
    tiny_bert_pooled_by(None)
}

pub fn tiny_bert_pooled_by(pooling: Option<Pooling>) -> Backbone {
    let folder = tempfile::tempdir().unwrap();
    adaplace_testkit::tiny_bert(folder.path(), &TinyBert::default());
    Backbone::load(folder.path(), pooling).unwrap()
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

/// Uniform noise in +-bound.
pub fn noise_values(count: usize, bound: f32, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let draw = |_| random.random_range(-bound..bound);
    (0..count).map(draw).collect()
}

pub fn head() -> Head {
    Head {
        weight: noise_values(CLASSES * WIDTH, 0.3, 71),
        bias: noise_values(CLASSES, 0.1, 72),
    }
}

/// Adapters of rank 4 as after a training, without zero values. Every second one has a scale other than 1.
pub fn trained(connections: &[(u16, u16)], seed: u64) -> Parameters {
    let adapter = |(index, &(source, target)): (usize, &(u16, u16))| {
        let scale = if index % 2 == 0 { 1.0 } else { 0.7 };
        let spec = AdapterSpec::new(4, scale).unwrap();
        (Connection { source, target }, spec)
    };
    let placement: Placement = connections.iter().enumerate().map(adapter).collect();
    let parts = ["down.weight", "down.bias", "up.weight", "up.bias"];
    let adapters = Parameters::from_tensors(&placement, WIDTH, CLASSES, |name, shape| {
        let count = shape.iter().product();
        let adapter = connections.iter().enumerate().find_map(|(index, (s, t))| {
            let part = name.strip_prefix(&format!("{s}-{t}."))?;
            Some((index, parts.iter().position(|one| *one == part)?))
        });
        Ok::<_, ()>(match adapter {
            None => vec![0.0; count],
            Some((index, part)) => {
                let seed = 1000 * seed + 10 * index as u64 + part as u64;
                noise_values(count, 0.3, seed)
            }
        })
    });
    adapters.unwrap().with_head(&head())
}

pub fn model<'a, A: Arithmetic>(
    backbone: &'a Backbone<A>,
    connections: &[(u16, u16)],
) -> Model<'a, A> {
    Model::new(backbone, trained(connections, 1)).unwrap()
}
