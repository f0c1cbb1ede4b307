//! A tiny GPT-2.

use std::path::Path;

use serde_json::json;

use crate::weights::{WeightType, Weights};
use crate::{files, vocabulary};

/// The description of what [`tiny_gpt2`] writes. The default has 2 blocks, hence 5 hidden states of width 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TinyGpt2 {
    /// The number L of transformer blocks.
    pub blocks: usize,
    /// The width d of the hidden states, a multiple of 4.
    pub width: usize,
    /// The number of tokens in the vocabulary, 16 to 2508.
    pub vocabulary: usize,
    /// The number of position embeddings, which is the length of the longest input in tokens.
    pub positions: usize,
    /// Whether the head has weights of its own instead of the embeddings of the words.
    pub own_head: bool,
    /// The seed of all weights.
    pub seed: u64,
}

impl Default for TinyGpt2 {
    fn default() -> Self {
        TinyGpt2 {
            blocks: 2,
            width: 32,
            vocabulary: 64,
            positions: 64,
            own_head: false,
            seed: 0,
        }
    }
}

/// Writes a Hugging Face folder of `model_type` `gpt2` with the head of a language model: `config.json`, the weights and the
/// `tokenizer.json` of the tiny BERT, whose `[CLS]` and `[SEP]` are the beginning and the end of a text.
///
/// # Panics
/// If the folder cannot be written, or if `width` is not a multiple of 4.
pub fn tiny_gpt2(folder: &Path, gpt2: &TinyGpt2) {
    let width = gpt2.width;
    assert_eq!(width % 4, 0, "the width must be a multiple of the heads");
    files::make_folder(folder);
    files::write_json(
        &folder.join("config.json"),
        &json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "bos_token_id": 2,
            "eos_token_id": 3,
            "layer_norm_epsilon": 1e-5,
            "n_embd": width,
            "n_head": 4,
            "n_layer": gpt2.blocks,
            "n_positions": gpt2.positions,
            "tie_word_embeddings": !gpt2.own_head,
            "vocab_size": gpt2.vocabulary,
        }),
    );
    files::write_json(
        &folder.join("tokenizer.json"),
        &vocabulary::tokenizer(gpt2.vocabulary),
    );
    weights(gpt2).write(folder, 1);
}

fn weights(gpt2: &TinyGpt2) -> Weights {
    let width = gpt2.width;
    let mut weights = Weights::new(gpt2.seed, WeightType::F32, "transformer.");
    weights.normal("wte.weight", &[gpt2.vocabulary, width], 0.0, 0.5);
    weights.normal("wpe.weight", &[gpt2.positions, width], 0.0, 0.3);
    for block in 0..gpt2.blocks {
        let block = format!("h.{block}");
        weights.layer_norm(&format!("{block}.ln_1"), width);
        weights.layer_norm(&format!("{block}.ln_2"), width);
        for (name, inputs, outputs) in [
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ] {
            let name = format!("{block}.{name}");
            // Its layers are stored as convolutions.
            let deviation = 1.0 / (inputs as f32).sqrt();
            weights.normal(
                &format!("{name}.weight"),
                &[inputs, outputs],
                0.0,
                deviation,
            );
            weights.normal(&format!("{name}.bias"), &[outputs], 0.0, 0.05);
        }
    }
    weights.layer_norm("ln_f", width);
    if gpt2.own_head {
        weights.normal_unprefixed("lm_head.weight", &[gpt2.vocabulary, width], 0.0, 0.5);
    }
    weights
}
