//! Frozen transformers as chains of sublayers.
//!
//! A backbone of L blocks is a chain of N = 2L sublayers between the hidden states h_0 .. h_N: h_0 is the output of the
//! embedding, h_{2l+1} that of the attention sublayer of block l (including the residual) and h_{2l+2} that of its MLP
//! sublayer. All states have the shape (batch, tokens, width).
//!
//! [`Backbone::packed`] runs the sublayers on the processor, forward and backward, over rows without padding. The weights
//! are frozen, so their gradient is never computed.
//!
//! ```no_run
//! use adaplace_backbone::{Backbone, Inputs, Pooling, SavedPooling, SublayerScratch};
//!
//! let backbone = Backbone::load("backbones/minilm-l6".as_ref(), None)?;
//! let inputs = Inputs::text(1, 3, &[101, 7592, 102], &[0; 3], &[1; 3])?;
//! let examples = [0, 3]; // one text of three tokens
//! let mut state = backbone.embed_rows(&inputs)?; // h_0, 3 rows of 384 values
//! for sublayer in backbone.packed() {
//!     let mut next = vec![0.0; state.len()];
//!     sublayer.forward(&state, &examples, &mut next, None, &mut SublayerScratch::default());
//!     state = next;
//! }
//! let mut features = vec![0.0; 384];
//! backbone.pool_rows(&state, &examples, &mut features, &mut SavedPooling::default());
//! # assert_eq!(backbone.description().pooling, Pooling::Mean);
//! # Ok::<(), adaplace_backbone::BackboneError>(())
//! ```

mod bert;
mod bicubic;
mod blocks;
mod chain;
mod checkpoint;
mod dinov2;
mod distilbert;
mod error;
mod image_embedding;
mod inputs;
pub mod kernels;
mod layers;
mod packed;
mod pooling;
mod pooling_config;
mod sublayer;
mod token_embedding;
mod vit;

pub use chain::{Backbone, BackboneDescription, InputDescription};

pub use error::BackboneError;
pub use inputs::{Inputs, TokenMask};
pub use kernels::frozen_product::Precision;
pub use kernels::instruction_set::{InstructionSet, NoInstructionSet};
pub use packed::{PackedSublayer, SavedSublayer, SublayerScratch};
pub use pooling::{Pooling, SavedPooling};
