//! Backbones, inputs and measures that the tests share.

use std::path::Path;

use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_backbone::{Backbone, BackboneError, Inputs, Pooling, SublayerScratch};
use adaplace_reference::{Transformer, embedded, mask};
use adaplace_testkit::{TinyBert, TinyVit, tiny_bert, tiny_vit};
use candle_core::{DType, Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::folders::set_config;

/// The number of real tokens in the three rows of [`ragged_inputs`].
pub const LENGTHS: [usize; 3] = [7, 4, 2];

pub fn bert(settings: &TinyBert) -> Backbone {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), settings);
    Backbone::load(folder.path(), None).unwrap()
}

pub fn vit() -> Backbone {
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(folder.path(), &TinyVit::default());
    Backbone::load(folder.path(), None).unwrap()
}

/// The bits of h_0 .. h_N, by the prepared chain.
pub fn bits_of_states(backbone: &Backbone, inputs: &Inputs) -> Vec<Vec<u32>> {
    let mut state = backbone.embed(inputs).unwrap();
    let offsets = backbone.offsets(inputs);
    let bits = |state: &[f32]| state.iter().map(|value| value.to_bits()).collect();
    let mut states = vec![bits(&state)];
    for sublayer in backbone.chain().unwrap().sublayers() {
        let mut next = Vec::new();
        let scratch = &mut SublayerScratch::default();
        let result = sublayer.forward(&state, &offsets, &mut next, None, scratch);
        result.unwrap();
        state = next;
        states.push(bits(&state));
    }
    states
}

/// A backbone with the definition that it is compared with.
pub struct Defined<A: Arithmetic = Cpu> {
    pub backbone: Backbone<A>,
    pub definition: Transformer,
}

impl Defined {
    fn read(folder: &Path, pooling: Option<Pooling>) -> Self {
        Self {
            backbone: Backbone::load(folder, pooling).unwrap(),
            definition: Transformer::read(folder),
        }
    }

    fn bert_pooled_by(pooling: Pooling) -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny_bert(folder.path(), &TinyBert::default());
        Self::read(folder.path(), Some(pooling))
    }

    pub fn bert(activation: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny_bert(folder.path(), &TinyBert::default());
        set_config(folder.path(), "hidden_act", json!(activation));
        Self::read(folder.path(), None)
    }

    pub fn vit(activation: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny_vit(folder.path(), &TinyVit::default());
        set_config(folder.path(), "hidden_act", json!(activation));
        Self::read(folder.path(), None)
    }
}

impl<A: Arithmetic> Defined<A> {
    pub fn on<B: Arithmetic>(self, arithmetic: B) -> Defined<B> {
        Defined {
            backbone: self.backbone.on(arithmetic),
            definition: self.definition,
        }
    }

    /// The hidden states h_0 .. h_N.
    pub fn states(&self, inputs: &Inputs) -> Vec<Tensor> {
        let mut states = vec![embedded(&self.backbone, inputs)];
        let mask = mask(inputs);
        for n in 0..self.definition.sublayers() {
            let next = self.definition.sublayer(n, &states[n], mask.as_ref());
            states.push(next.unwrap());
        }
        states
    }

    /// The pooled last state, (batch, width).
    pub fn pool(&self, last: &Tensor, inputs: &Inputs) -> Tensor {
        let pooling = self.backbone.description().pooling;
        let mask = mask(inputs);
        self.definition.pool(last, mask.as_ref(), pooling).unwrap()
    }
}

/// The token ids of three texts of [`LENGTHS`] tokens for the tiny BERT.
pub fn ragged_inputs() -> Inputs {
    let tokens = LENGTHS.iter().enumerate();
    let tokens = tokens.flat_map(|(row, &length)| (0..length).map(move |token| (row, token)));
    let (ids, type_ids) = tokens
        .map(|(row, token)| ((8 + 11 * row + 5 * token) as u32, u32::from(token > 2)))
        .unzip();
    Inputs::text(LENGTHS.to_vec(), ids, type_ids)
}

/// Two pictures of noise for the tiny ViT.
pub fn pictures() -> Inputs {
    let pixels = noise(&[2, 3, 16, 16], 5);
    Inputs::images([2, 3, 16, 16], values(&pixels))
}

/// The values of a tensor in row-major order.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The backbones with inputs for each, every pooling and every activation.
pub fn backbones() -> [(&'static str, Defined, Inputs); 6] {
    let pooled = |pooling| (Defined::bert_pooled_by(pooling), ragged_inputs());
    let (first, texts) = pooled(Pooling::Cls);
    let (last, same_texts) = pooled(Pooling::Last);
    [
        ("bert at its first token", first, texts),
        ("bert at its last token", last, same_texts),
        ("bert", Defined::bert("gelu"), ragged_inputs()),
        ("vit", Defined::vit("gelu"), pictures()),
        ("bert by tanh", Defined::bert("gelu_new"), ragged_inputs()),
        ("quick vit", Defined::vit("quick_gelu"), pictures()),
    ]
}

/// Uniform noise in +-sqrt(3), with mean 0 and variance 1.
pub fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let bound = 3.0_f32.sqrt();
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| random.random_range(-bound..bound))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The sum of x y, in f64.
pub fn dot(x: &Tensor, y: &Tensor) -> f64 {
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let sum = (wide(x) * wide(y)).unwrap().sum_all().unwrap();
    sum.to_scalar::<f64>().unwrap()
}

/// |found - expected| / |expected| in the Frobenius norm.
pub fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    let difference = (found - expected).unwrap();
    (dot(&difference, &difference) / dot(expected, expected)).sqrt()
}

/// The bits of the values, for exact comparison.
pub fn bits(tensor: &Tensor) -> Vec<u32> {
    values(tensor).into_iter().map(f32::to_bits).collect()
}

/// The gradient of sum f(x) weights with respect to x.
pub fn gradient(
    f: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    x: &Tensor,
    weights: &Tensor,
) -> Tensor {
    let x = Var::from_tensor(x).unwrap();
    let sum = (f(&x).unwrap() * weights).unwrap().sum_all().unwrap();
    sum.backward().unwrap().get(&x).unwrap().clone()
}

/// Compares `gradient` of sum f(x) weights with central differences along random directions v: (F(x + step v) - F(x -
/// step v)) / (2 step) = <gradient, v> + O(step^2). An f32 forward pass is exact to some 1e-6 per value, which the step
/// of 1e-2 turns into some 1e-4 of the gradient's norm, about as much as the error of the step itself.
pub fn check_by_differences(
    f: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    x: &Tensor,
    weights: &Tensor,
    gradient: &Tensor,
) {
    let step = 1e-2;
    let at = |direction: &Tensor, step: f64| {
        let moved = (x + (direction * step).unwrap()).unwrap();
        dot(&f(&moved).unwrap(), weights)
    };
    let norm = dot(gradient, gradient).sqrt();
    for seed in 0..4 {
        let direction = noise(x.dims(), 100 + seed);
        let difference = (at(&direction, step) - at(&direction, -step)) / (2.0 * step);
        let slope = dot(gradient, &direction);
        assert!(
            (difference - slope).abs() < 2e-3 * norm,
            "difference {difference}, slope {slope}, norm {norm}"
        );
    }
}

/// The message of a result that should be an error.
pub fn message<T>(result: Result<T, BackboneError>) -> String {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => error.to_string(),
    }
}

/// Checks that `message` contains all of `parts`.
pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}
