//! A tiny BERT.

use std::path::Path;

use serde_json::json;

use crate::weights::{WeightType, Weights};
use crate::{files, vocabulary};

/// The description of what [`tiny_bert`] writes. The default has 2 blocks, hence 5 hidden states of width 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TinyBert {
    /// The number L of transformer blocks.
    pub blocks: usize,
    /// The width d of the hidden states, a multiple of `heads`.
    pub width: usize,
    /// The number of attention heads.
    pub heads: usize,
    /// The width of the MLP's hidden layer.
    pub intermediate: usize,
    /// The number of tokens in the vocabulary, 16 to 2508.
    pub vocabulary: usize,
    /// The number of position embeddings, which is the length of the longest input in tokens.
    pub positions: usize,
    /// The number type of the stored weights.
    pub weight_type: WeightType,
    /// The prefix of every key of the backbone, empty or `bert.`. With a prefix the file also contains a `classifier`,
    /// like the checkpoints of models with a head.
    pub prefix: &'static str,
    /// The number of weight files. With 1 there is a plain `model.safetensors`.
    pub shards: usize,
    /// The seed of all weights. Prefix, shards and number type change only how the weights are stored.
    pub seed: u64,
}

impl Default for TinyBert {
    fn default() -> Self {
        TinyBert {
            blocks: 2,
            width: 32,
            heads: 4,
            intermediate: 64,
            vocabulary: 64,
            positions: 64,
            weight_type: WeightType::F32,
            prefix: "",
            shards: 1,
            seed: 0,
        }
    }
}

/// Writes a Hugging Face folder of `model_type` `bert`: `config.json`, the weights and `tokenizer.json`. The keys are
/// those of sentence-transformers/all-MiniLM-L6-v2.
///
/// # Panics
/// If the folder cannot be written, or if `width` is not a multiple of `heads`.
pub fn tiny_bert(folder: &Path, bert: &TinyBert) {
    assert_eq!(
        bert.width % bert.heads,
        0,
        "the width must be a multiple of the heads"
    );
    files::make_folder(folder);
    files::write_json(
        &folder.join("config.json"),
        &json!({
            "architectures": ["BertModel"],
            "model_type": "bert",
            "attention_probs_dropout_prob": 0.1,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": bert.width,
            "initializer_range": 0.02,
            "intermediate_size": bert.intermediate,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": bert.positions,
            "num_attention_heads": bert.heads,
            "num_hidden_layers": bert.blocks,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "torch_dtype": bert.weight_type.torch_name(),
            "type_vocab_size": 2,
            "use_cache": true,
            "vocab_size": bert.vocabulary,
        }),
    );
    files::write_json(
        &folder.join("tokenizer.json"),
        &vocabulary::tokenizer(bert.vocabulary),
    );
    weights(bert).write(folder, bert.shards);
}

fn weights(bert: &TinyBert) -> Weights {
    let (width, intermediate) = (bert.width, bert.intermediate);
    let mut weights = Weights::new(bert.seed, bert.weight_type, bert.prefix);
    let embeddings = [
        ("word", bert.vocabulary, 1.0),
        ("position", bert.positions, 0.5),
        ("token_type", 2, 0.3),
    ];
    for (name, rows, deviation) in embeddings {
        let name = format!("embeddings.{name}_embeddings.weight");
        weights.normal(&name, &[rows, width], 0.0, deviation);
    }
    weights.positions("embeddings.position_ids", bert.positions);
    weights.layer_norm("embeddings.LayerNorm", width);
    for block in 0..bert.blocks {
        let block = format!("encoder.layer.{block}");
        for map in ["query", "key", "value"] {
            weights.linear(&format!("{block}.attention.self.{map}"), width, width);
        }
        weights.linear(&format!("{block}.attention.output.dense"), width, width);
        weights.layer_norm(&format!("{block}.attention.output.LayerNorm"), width);
        weights.linear(&format!("{block}.intermediate.dense"), intermediate, width);
        weights.linear(&format!("{block}.output.dense"), width, intermediate);
        weights.layer_norm(&format!("{block}.output.LayerNorm"), width);
    }
    weights.linear("pooler.dense", width, width);
    if !bert.prefix.is_empty() {
        weights.normal_unprefixed("classifier.weight", &[2, width], 0.0, 0.1);
        weights.normal_unprefixed("classifier.bias", &[2], 0.0, 0.1);
    }
    weights
}
