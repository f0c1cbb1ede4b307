//! A frozen transformer, read from a Hugging Face folder and written with candle-nn as its paper describes it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use adaplace_backbone::Pooling;
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Linear, Module, ops};

/// The names of a family in its configuration and its weights.
struct Family {
    model_types: &'static [&'static str],
    /// The keys of the number of blocks and of heads in `config.json`.
    blocks_key: &'static str,
    heads_key: &'static str,
    /// The epsilon of the layer norms, unless `config.json` has `layer_norm_eps`.
    epsilon: f32,
    /// A weight whose full name shows what all names start with.
    first: &'static str,
    block: &'static str,
    /// Query, key, value and output of the attention.
    attention: [&'static str; 4],
    mlp: [&'static str; 2],
    /// The layer norms of the attention and of the MLP.
    norms: [&'static str; 2],
    /// LayerScale's factors for the outputs of the attention and of the MLP.
    scales: Option<[&'static str; 2]>,
    /// The layer norm after the last block, which only pre-norm models have.
    last_norm: Option<&'static str>,
}

const FAMILIES: [Family; 5] = [
    Family {
        model_types: &["bert", "roberta", "xlm-roberta", "electra"],
        blocks_key: "num_hidden_layers",
        heads_key: "num_attention_heads",
        epsilon: 1e-12,
        first: "embeddings.word_embeddings.weight",
        block: "encoder.layer",
        attention: [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ],
        mlp: ["intermediate.dense", "output.dense"],
        norms: ["attention.output.LayerNorm", "output.LayerNorm"],
        scales: None,
        last_norm: None,
    },
    Family {
        model_types: &["distilbert"],
        blocks_key: "n_layers",
        heads_key: "n_heads",
        epsilon: 1e-12,
        first: "embeddings.word_embeddings.weight",
        block: "transformer.layer",
        attention: [
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            "attention.out_lin",
        ],
        mlp: ["ffn.lin1", "ffn.lin2"],
        norms: ["sa_layer_norm", "output_layer_norm"],
        scales: None,
        last_norm: None,
    },
    Family {
        model_types: &["vit", "deit"],
        blocks_key: "num_hidden_layers",
        heads_key: "num_attention_heads",
        epsilon: 1e-12,
        first: "embeddings.cls_token",
        block: "encoder.layer",
        attention: [
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
            "attention.output.dense",
        ],
        mlp: ["intermediate.dense", "output.dense"],
        norms: ["layernorm_before", "layernorm_after"],
        scales: None,
        last_norm: Some("layernorm"),
    },
    Family {
        model_types: &["dinov2", "dinov2_with_registers"],
        blocks_key: "num_hidden_layers",
        heads_key: "num_attention_heads",
        epsilon: 1e-6,
        first: "embeddings.cls_token",
        block: "encoder.layer",
        attention: [
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
            "attention.output.dense",
        ],
        mlp: ["mlp.fc1", "mlp.fc2"],
        norms: ["norm1", "norm2"],
        scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
        last_norm: Some("layernorm"),
    },
    Family {
        model_types: &["clip_vision_model"],
        blocks_key: "num_hidden_layers",
        heads_key: "num_attention_heads",
        epsilon: 1e-5,
        first: "embeddings.class_embedding",
        block: "encoder.layers",
        attention: [
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.out_proj",
        ],
        mlp: ["mlp.fc1", "mlp.fc2"],
        norms: ["layer_norm1", "layer_norm2"],
        scales: None,
        last_norm: Some("post_layernorm"),
    },
];

/// The blocks of a frozen transformer. Sublayers 2l and 2l + 1 are the attention and the MLP of block l, each with its
/// residual and its layer norm. Everything is differentiable with respect to the states.
#[derive(Clone)]
pub struct Transformer {
    family: &'static Family,
    weights: HashMap<String, Tensor>,
    blocks: usize,
    heads: usize,
    activation: String,
    epsilon: f32,
}

impl Transformer {
    /// Reads `config.json` and the weights of a model folder.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let config = fs::read(folder.join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        let model_type = config["model_type"].as_str().unwrap();
        let family = FAMILIES
            .iter()
            .find(|family| family.model_types.contains(&model_type))
            .unwrap();
        let number = |key: &str| config[key].as_u64().unwrap() as usize;
        let stored: HashMap<String, Tensor> = weight_files(folder)
            .into_iter()
            .flat_map(|path| candle_core::safetensors::load(path, &Device::Cpu).unwrap())
            .collect();
        let prefix = stored
            .keys()
            .find_map(|name| name.strip_suffix(family.first))
            .unwrap();
        let weights = stored.iter().filter_map(|(name, tensor)| {
            let name = name.strip_prefix(prefix)?.to_owned();
            Some((name, tensor.to_dtype(DType::F32).unwrap()))
        });
        Self {
            family,
            weights: weights.collect(),
            blocks: number(family.blocks_key),
            heads: number(family.heads_key),
            activation: ["hidden_act", "activation"]
                .iter()
                .find_map(|key| config[key].as_str())
                .unwrap_or("gelu")
                .to_owned(),
            epsilon: config["layer_norm_eps"]
                .as_f64()
                .map_or(family.epsilon, |epsilon| epsilon as f32),
        }
    }

    /// The number of sublayers N.
    #[must_use]
    pub fn sublayers(&self) -> usize {
        2 * self.blocks
    }

    /// h_{n+1} from h_n, both (batch, tokens, width). `mask` is 1 for a real token and 0 for padding, which is not
    /// attended to, (batch, tokens).
    ///
    /// # Errors
    /// If candle refuses an operation.
    pub fn sublayer(&self, n: usize, state: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let block = format!("{}.{}", self.family.block, n / 2);
        let norm = format!("{block}.{}", self.family.norms[n % 2]);
        let transform = |x: &Tensor| {
            let transformed = match n % 2 {
                0 => self.attention(&block, x, mask)?,
                _ => self.mlp(&block, x)?,
            };
            match self.family.scales {
                None => Ok(transformed),
                Some(scales) => {
                    let factors = &self.weights[&format!("{block}.{}", scales[n % 2])];
                    transformed.broadcast_mul(factors)
                }
            }
        };
        match self.family.last_norm {
            Some(_) => state + transform(&self.norm(&norm, state)?)?,
            None => self.norm(&norm, &(state + transform(state)?)?),
        }
    }

    /// One vector for each example, (batch, width), from the last state (batch, tokens, width).
    ///
    /// # Errors
    /// If candle refuses an operation.
    pub fn pool(&self, state: &Tensor, mask: Option<&Tensor>, pooling: Pooling) -> Result<Tensor> {
        let state = self.normed(state)?;
        match (pooling, mask) {
            (Pooling::Cls, _) => state.narrow(1, 0, 1)?.squeeze(1),
            (Pooling::Last, None) => state.narrow(1, state.dim(1)? - 1, 1)?.squeeze(1),
            (Pooling::Last, Some(mask)) => {
                // The last real token is the one that no real one follows.
                let behind = mask
                    .narrow(1, 1, mask.dim(1)? - 1)?
                    .pad_with_zeros(1, 0, 1)?;
                let is_last = (mask - behind)?.unsqueeze(2)?;
                state.broadcast_mul(&is_last)?.sum(1)
            }
            (Pooling::Mean, None) => state.mean(1),
            (Pooling::Mean, Some(mask)) => {
                let real = mask.unsqueeze(2)?;
                let sum = state.broadcast_mul(&real)?.sum(1)?;
                sum.broadcast_div(&real.sum(1)?)
            }
        }
    }

    /// The last state behind the last norm, if there is one.
    ///
    /// # Errors
    /// If candle refuses an operation.
    pub fn normed(&self, state: &Tensor) -> Result<Tensor> {
        match self.family.last_norm {
            Some(name) => self.norm(name, state),
            None => Ok(state.clone()),
        }
    }

    /// Multi-head attention: output(softmax(Q K^T / sqrt(width / heads)) V).
    fn attention(&self, block: &str, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let [query, key, value, output] = self.family.attention;
        let by_head = |part: &str| {
            self.linear(&format!("{block}.{part}"), x)?
                .reshape((batch, tokens, self.heads, width / self.heads))?
                .transpose(1, 2)?
                .contiguous()
        };
        let (query, key, value) = (by_head(query)?, by_head(key)?, by_head(value)?);
        let scale = ((width / self.heads) as f64).sqrt().recip();
        let mut scores = (query.matmul(&key.t()?)? * scale)?;
        if let Some(mask) = mask {
            // 0 for a real token, the lowest number for any other.
            let lowest = f64::from(f32::MIN);
            let bias = mask.affine(-lowest, lowest)?;
            scores = scores.broadcast_add(&bias.reshape((batch, 1, 1, tokens))?)?;
        }
        let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&value)?;
        let mixed = mixed.transpose(1, 2)?.reshape((batch, tokens, width))?;
        self.linear(&format!("{block}.{output}"), &mixed)
    }

    fn mlp(&self, block: &str, x: &Tensor) -> Result<Tensor> {
        let [up, down] = self.family.mlp;
        let hidden = self.activate(&self.linear(&format!("{block}.{up}"), x)?)?;
        self.linear(&format!("{block}.{down}"), &hidden)
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        match self.activation.as_str() {
            "gelu" => x.gelu_erf(),
            // candle's `gelu` is the one by tanh.
            "gelu_new" => x.gelu(),
            "quick_gelu" => x * ops::sigmoid(&(x * 1.702)?)?,
            other => panic!("the activation `{other}` has no definition"),
        }
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.pair(name);
        Linear::new(weight.clone(), Some(bias.clone())).forward(x)
    }

    /// The fused layer norm of candle-nn has no backward pass.
    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.pair(name);
        ops::layer_norm_slow(x, weight, bias, self.epsilon)
    }

    fn pair(&self, name: &str) -> (&Tensor, &Tensor) {
        let part = |part| &self.weights[&format!("{name}.{part}")];
        (part("weight"), part("bias"))
    }
}

/// `model.safetensors`, or its shards.
fn weight_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let is_weights = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("model") && name.ends_with(".safetensors")
    };
    files.filter(is_weights).collect()
}
