//! The ViT with trainable weights, named as in a Hugging Face folder.

use adaplace_quickstart::pretraining::{self, CLASSES};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor, Var};
use rand::Rng;

use crate::operations::{attention, layer_norm, linear, mlp};

/// The number of blocks. The shape of the backbone agrees with `config.json` next to its weights.
pub const BLOCKS: usize = 6;
pub const WIDTH: usize = 64;
pub const HEADS: usize = 4;
pub const INTERMEDIATE: usize = 256;
pub const EPSILON: f64 = 1e-6;
/// The height and width of a patch in pixels.
pub const PATCH: usize = pretraining::PATCH as usize;
/// The number of patches in a picture.
pub const PATCHES: usize = (adaplace_quickstart::SIDE as usize / PATCH).pow(2);
/// The number of values in a patch: channel by channel, row by row.
pub const PATCH_VALUES: usize = 3 * PATCH * PATCH;

/// One weight tensor.
pub struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: Vec<f32>,
}

/// All weights of backbone and head, in the order in which they are drawn.
pub struct Weights(pub Vec<Weight>);

impl Weights {
    /// Freshly drawn weights.
    pub fn new(random: &mut impl Rng) -> Self {
        let mut weights = Self(Vec::new());
        let projection = "embeddings.patch_embeddings.projection";
        weights.draw(
            &format!("{projection}.weight"),
            &[WIDTH, 3, PATCH, PATCH],
            PATCH_VALUES,
            random,
        );
        weights.fill(&format!("{projection}.bias"), WIDTH, 0.0);
        // The deviation of 1/4 is smaller than that of the patches, but large enough to matter from the start.
        weights.draw("embeddings.cls_token", &[1, 1, WIDTH], 16, random);
        let positions = [1, PATCHES + 1, WIDTH];
        weights.draw("embeddings.position_embeddings", &positions, 16, random);
        for block in 0..BLOCKS {
            let block = format!("encoder.layer.{block}");
            weights.norm(&format!("{block}.layernorm_before"));
            for map in ["query", "key", "value"] {
                let name = format!("{block}.attention.attention.{map}");
                weights.linear(&name, WIDTH, WIDTH, random);
            }
            weights.linear(
                &format!("{block}.attention.output.dense"),
                WIDTH,
                WIDTH,
                random,
            );
            weights.norm(&format!("{block}.layernorm_after"));
            weights.linear(
                &format!("{block}.intermediate.dense"),
                WIDTH,
                INTERMEDIATE,
                random,
            );
            weights.linear(
                &format!("{block}.output.dense"),
                INTERMEDIATE,
                WIDTH,
                random,
            );
        }
        weights.norm("layernorm");
        let classes = CLASSES as usize;
        weights.linear(HEAD, WIDTH, classes, random);
        weights.linear(PATCH_HEAD, WIDTH, classes + 1, random);
        weights
    }

    /// The weights as variables.
    pub fn variables(&self) -> Result<Vec<Var>> {
        let variable = |weight: &Weight| {
            Var::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu)
        };
        Ok(self.0.iter().map(variable).collect::<Result<_, _>>()?)
    }

    fn norm(&mut self, name: &str) {
        self.fill(&format!("{name}.weight"), WIDTH, 1.0);
        self.fill(&format!("{name}.bias"), WIDTH, 0.0);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, random: &mut impl Rng) {
        self.draw(
            &format!("{name}.weight"),
            &[outputs, inputs],
            inputs,
            random,
        );
        self.fill(&format!("{name}.bias"), outputs, 0.0);
    }

    fn fill(&mut self, name: &str, count: usize, value: f32) {
        self.0.push(Weight {
            name: name.to_owned(),
            shape: vec![count],
            values: vec![value; count],
        });
    }

    /// Draws uniform values with a deviation of 1 / sqrt(`inputs`), which preserves the size of the input.
    fn draw(&mut self, name: &str, shape: &[usize], inputs: usize, random: &mut impl Rng) {
        let limit = (3.0 / inputs as f32).sqrt();
        let count = shape.iter().product::<usize>();
        self.0.push(Weight {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: (0..count)
                .map(|_| random.random_range(-limit..limit))
                .collect(),
        });
    }
}

/// The name of the linear layers after the backbone, on the class token and the patches, which are dropped after the
/// training.
pub const HEAD: &str = "classifier";
pub const PATCH_HEAD: &str = "patch_classifier";

/// The outputs of the heads.
pub struct Logits {
    /// The logits of the pictures, (pictures, classes).
    pub pictures: Tensor,
    /// The logits of the patches, (pictures * patches, classes + 1).
    pub patches: Tensor,
}

/// The network over the variables of all weights.
pub struct Vit<'a> {
    weights: &'a Weights,
    variables: &'a [Var],
}

impl<'a> Vit<'a> {
    pub fn new(weights: &'a Weights, variables: &'a [Var]) -> Self {
        Self { weights, variables }
    }

    /// The logits of patches (pictures, [`PATCHES`], [`PATCH_VALUES`]).
    pub fn logits(&self, patches: &Tensor) -> Result<Logits> {
        let state = self.state(patches)?;
        let (class_token, patches) = (state.narrow(1, 0, 1)?, state.narrow(1, 1, PATCHES)?);
        let pictures = self.linear(HEAD, &class_token.contiguous()?)?;
        let patches = self.linear(PATCH_HEAD, &patches.contiguous()?)?;
        Ok(Logits {
            pictures: pictures.squeeze(1)?,
            patches: patches.flatten_to(1)?,
        })
    }

    /// The last state after the last norm, (pictures, 1 + patches, width). A backbone pools its class token.
    pub fn state(&self, patches: &Tensor) -> Result<Tensor> {
        let mut state = self.embed(patches)?;
        for block in 0..BLOCKS {
            let block = format!("encoder.layer.{block}");
            let x = self.norm(&format!("{block}.layernorm_before"), &state)?;
            state = (state + self.attend(&block, &x)?)?;
            let x = self.norm(&format!("{block}.layernorm_after"), &state)?;
            let (up, down) = (
                self.pair(&format!("{block}.intermediate.dense"))?,
                self.pair(&format!("{block}.output.dense"))?,
            );
            state = (state + mlp(&x, up, down)?)?;
        }
        self.norm("layernorm", &state)
    }

    fn embed(&self, patches: &Tensor) -> Result<Tensor> {
        let (pictures, _, _) = patches.dims3()?;
        let (weight, bias) = self.pair("embeddings.patch_embeddings.projection")?;
        let projected = linear(patches, (&weight.reshape((WIDTH, PATCH_VALUES))?, bias))?;
        let class_token = self
            .weight("embeddings.cls_token")?
            .broadcast_as((pictures, 1, WIDTH))?
            .contiguous()?;
        let tokens = Tensor::cat(&[&class_token, &projected], 1)?;
        Ok(tokens.broadcast_add(self.weight("embeddings.position_embeddings")?)?)
    }

    fn attend(&self, block: &str, x: &Tensor) -> Result<Tensor> {
        let map = |name| self.pair(&format!("{block}.attention.attention.{name}"));
        let (query, key, value) = (map("query")?, map("key")?, map("value")?);
        let weight = Tensor::cat(&[query.0, key.0, value.0], 0)?;
        let bias = Tensor::cat(&[query.1, key.1, value.1], 0)?;
        let output = self.pair(&format!("{block}.attention.output.dense"))?;
        Ok(attention(x, (&weight, &bias), output, HEADS)?)
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, self.pair(name)?)?)
    }

    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(x, self.pair(name)?, EPSILON)?)
    }

    /// The tensors `name.weight` and `name.bias`.
    fn pair(&self, name: &str) -> Result<(&Tensor, &Tensor)> {
        let part = |part| self.weight(&format!("{name}.{part}"));
        Ok((part("weight")?, part("bias")?))
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        let mut weights = self.weights.0.iter().zip(self.variables);
        let (_, variable) = weights
            .find(|(weight, _)| weight.name == name)
            .with_context(|| format!("there is no weight `{name}`"))?;
        Ok(variable.as_tensor())
    }
}
