//! DeBERTa-v2 and v3: the blocks of BERT with disentangled attention, in which scores depend on tokens and on their distance
//! (He et al., 2021 and 2023).

use adaplace_arithmetic::Attention;
use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::distances::{DistanceLayer, Distances, LogBuckets};
use crate::layers::{normalize, take_layer_norm};
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::token_embedding::{TokenEmbedding, TokenWeights};
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "encoder.layer",
    projection: ProjectionNames::Separate([
        "attention.self.query_proj",
        "attention.self.key_proj",
        "attention.self.value_proj",
    ]),
    attention_output: "attention.output.dense",
    mlp: MlpNames::Plain {
        up: "intermediate.dense",
        down: "output.dense",
    },
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "yes")]
    position_biased_input: bool,
    #[serde(default)]
    relative_attention: bool,
    #[serde(default = "none")]
    max_relative_positions: i64,
    #[serde(default = "none")]
    position_buckets: i64,
    #[serde(default)]
    pos_att_type: Option<Terms>,
    #[serde(default)]
    share_att_key: bool,
    #[serde(default)]
    norm_rel_ebd: Option<String>,
    #[serde(default)]
    conv_kernel_size: usize,
    embedding_size: Option<usize>,
    attention_head_size: Option<usize>,
}

/// The terms of the scores: a list, or its entries between bars.
#[derive(Deserialize)]
#[serde(untagged)]
enum Terms {
    Listed(Vec<String>),
    Joined(String),
}

impl Terms {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Listed(names) => names.clone(),
            Self::Joined(names) => {
                let names = names.split('|').map(|name| name.trim().to_lowercase());
                names.collect()
            }
        }
    }
}

fn gelu() -> String {
    "gelu".to_owned()
}
fn epsilon() -> f64 {
    1e-7
}
fn yes() -> bool {
    true
}
fn none() -> i64 {
    -1
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    config.check(source)?;
    let pooling = text_pooling(source, Pooling::Mean)?;
    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.word_embeddings.weight")?;
    let embedding = config.embedding(&mut checkpoint, source.model_type)?;
    let shape = config.shape(&mut checkpoint, source)?;
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint: &checkpoint,
        shape: &shape,
        sublayers,
        pooling,
        last_norm: None,
    };
    Ok(parts.with_tokens(embedding))
}

impl Config {
    fn check(&self, source: &Source<'_>) -> Result<(), BackboneError> {
        let refuse = |key, found: String, expected: &str| {
            Err(BackboneError::Setting {
                path: source.config.clone(),
                key,
                found,
                expected: expected.to_owned(),
            })
        };
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        check_heads(
            &source.config,
            ("hidden_size", width),
            ("num_attention_heads", heads),
        )?;
        if self.conv_kernel_size > 0 {
            let expected = "the convolution of the largest models of v2 is not supported; use v3";
            return refuse(
                "conv_kernel_size",
                self.conv_kernel_size.to_string(),
                expected,
            );
        }
        for (key, found, usual) in [
            ("embedding_size", self.embedding_size, width),
            (
                "attention_head_size",
                self.attention_head_size,
                width / heads,
            ),
        ] {
            if let Some(found) = found.filter(|found| *found != usual) {
                return refuse(
                    key,
                    found.to_string(),
                    &format!("only `{usual}` is supported"),
                );
            }
        }
        if let Ok(buckets @ 1..) = usize::try_from(self.position_buckets) {
            let farthest = self.farthest();
            if buckets < 2 || farthest <= buckets / 2 + 1 {
                let bound = 2 * farthest.saturating_sub(1);
                let expected = format!("for {farthest} distances, at least 2 and below {bound}");
                return refuse("position_buckets", buckets.to_string(), &expected);
            }
        }
        let known = |name: &String| name == "c2p" || name == "p2c";
        if let Some(unknown) = self.terms().into_iter().find(|name| !known(name)) {
            return refuse(
                "pos_att_type",
                unknown,
                "only `c2p` and `p2c` are supported",
            );
        }
        Ok(())
    }

    /// The number of distances to each side.
    fn farthest(&self) -> usize {
        match usize::try_from(self.max_relative_positions) {
            Ok(given @ 1..) => given,
            _ => self.max_position_embeddings,
        }
    }

    fn terms(&self) -> Vec<String> {
        let names = self.pos_att_type.as_ref().map(Terms::names);
        names.unwrap_or_default()
    }

    fn embedding(
        &self,
        checkpoint: &mut Checkpoint,
        model_type: &'static str,
    ) -> Result<TokenEmbedding, BackboneError> {
        let width = self.hidden_size;
        let words = "embeddings.word_embeddings.weight";
        let words = checkpoint.take_as_stored(words, &[self.vocab_size, width])?;
        let mut table = |name: &str, rows: usize| match rows {
            0 => Ok(None),
            rows => {
                let name = format!("embeddings.{name}_embeddings.weight");
                checkpoint.take(&name, &[rows, width]).map(Some)
            }
        };
        let longest = self.max_position_embeddings;
        let positions = table(
            "position",
            if self.position_biased_input {
                longest
            } else {
                0
            },
        )?;
        let types = table("token_type", self.type_vocab_size)?;
        let norm = take_layer_norm(
            checkpoint,
            "embeddings.LayerNorm",
            width,
            self.layer_norm_eps,
        )?;
        let weights = TokenWeights {
            positions,
            types,
            norm: Some(norm),
            ..TokenWeights::words(words, width)
        };
        Ok(TokenEmbedding::new(model_type, weights, longest))
    }

    fn shape(
        &self,
        checkpoint: &mut Checkpoint,
        source: &Source<'_>,
    ) -> Result<BlockShape, BackboneError> {
        let width = self.hidden_size;
        let terms = self.terms();
        let plain = BlockShape::plain(
            (
                self.num_hidden_layers,
                width,
                self.num_attention_heads,
                self.intermediate_size,
            ),
            activation(&source.config, "hidden_act", &self.hidden_act)?,
            self.layer_norm_eps,
            NormPosition::AfterResidual,
        );
        // Every term has its share of the scale.
        let scale = |attention: Attention| Attention {
            scale: ((attention.head_width * (1 + terms.len())) as f32)
                .sqrt()
                .recip(),
            ..attention
        };
        Ok(BlockShape {
            distances: match self.relative_attention {
                true => Some(self.distances(checkpoint, &terms)?),
                false => None,
            },
            attentions: plain.attentions.into_iter().map(scale).collect(),
            ..plain
        })
    }

    fn distances(
        &self,
        checkpoint: &mut Checkpoint,
        terms: &[String],
    ) -> Result<Distances, BackboneError> {
        let width = self.hidden_size;
        let farthest = self.farthest();
        let wider = usize::try_from(self.position_buckets).ok();
        let wider = wider.filter(|&buckets| buckets > 0);
        let span = wider.unwrap_or(farthest);
        let mut vectors = checkpoint.take("encoder.rel_embeddings.weight", &[2 * span, width])?;
        let normed = self.norm_rel_ebd.as_deref().unwrap_or("none");
        if normed
            .to_lowercase()
            .split('|')
            .any(|name| name.trim() == "layer_norm")
        {
            let norm =
                take_layer_norm(checkpoint, "encoder.LayerNorm", width, self.layer_norm_eps)?;
            vectors
                .chunks_exact_mut(width)
                .for_each(|row| normalize(&norm, row));
        }
        let layer = |term: &str, own| {
            let there = terms.iter().any(|name| name == term);
            there.then_some(match self.share_att_key {
                true => DistanceLayer::Shared,
                false => DistanceLayer::Own(own),
            })
        };
        Ok(Distances {
            vectors,
            keys: layer("c2p", "attention.self.pos_key_proj"),
            queries: layer("p2c", "attention.self.pos_query_proj"),
            positions: self.max_position_embeddings,
            buckets: LogBuckets {
                span,
                wider,
                farthest,
            },
        })
    }
}
