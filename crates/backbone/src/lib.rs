//! Frozen transformers as chains of sublayers.
//!
//! A backbone of L blocks is a chain of N = 2L sublayers between the hidden states h_0 .. h_N: h_0 is the output of the
//! embedding, h_{2l+1} that of the attention sublayer of block l (including the residual) and h_{2l+2} that of its MLP
//! sublayer. All states have the shape (batch, tokens, width).
//!
//! [`Backbone::chain`] has the sublayers as an [`Arithmetic`](adaplace_arithmetic::Arithmetic) computes them, forward
//! and backward, over rows without padding. The weights are frozen, so their gradient is never computed.
//!
//! ```no_run
//! use adaplace_backbone::{Backbone, FeatureRows, Inputs, SavedPooling, SublayerScratch};
//!
//! let backbone = Backbone::load("backbones/minilm-l6".as_ref(), None)?;
//! let inputs = Inputs::text(vec![3], vec![101, 7592, 102], vec![0; 3]); // one text of three tokens
//! let mut state = backbone.embed(&inputs)?; // h_0, 3 rows of 384 values
//! let rows = backbone.offsets(&inputs);
//! let chain = backbone.chain()?;
//! for sublayer in chain.sublayers() {
//!     let mut next = Vec::new();
//!     sublayer.forward(&state, &rows, &mut next, None, &mut SublayerScratch::default())?;
//!     state = next;
//! }
//! let mut features = Vec::new();
//! let pooled = FeatureRows::Pooled(&rows);
//! chain.pooler().forward(&state, pooled, &mut features, &mut SavedPooling::default())?;
//! # Ok::<(), adaplace_backbone::BackboneError>(())
//! ```

mod backbone;
mod bert;
mod bicubic;
mod blocks;
mod checkpoint;
mod deberta;
mod decoder;
mod description;
mod dinov2;
mod dinov3;
mod distances;
mod distilbert;
mod error;
mod gpt2;
mod image_embedding;
mod inputs;
mod layers;
mod load;
mod modernbert;
mod mpnet;
mod parts;
mod patch_rotation;
mod pooling;
mod pooling_config;
mod prepared;
mod projection;
mod rotary;
mod rotary_scaling;
mod source;
mod starcoder2;
mod sublayer;
mod timm;
mod token_embedding;
mod tower;
mod vit;
mod vocabulary_head;
mod weight_file;

pub use adaplace_arithmetic::{
    Device, DeviceKind, InstructionSet, NoDevice, NoInstructionSet, NotADevice, Precision,
};
pub use backbone::Backbone;
pub use description::{BackboneDescription, InputDescription};
pub use error::BackboneError;
pub use inputs::Inputs;
pub use pooling::{FeatureRows, Pooling, PreparedPooler, SavedPooling};
pub use prepared::{Chain, PreparedSublayer, SavedSublayer, SublayerScratch};
