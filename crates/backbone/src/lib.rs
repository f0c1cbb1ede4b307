//! A frozen transformer as a chain of sublayers.
//!
//! A backbone of L blocks is a chain of N = 2L sublayers between the hidden states h_0 .. h_N: h_0 is what the
//! embedding gives, h_{2l+1} what the attention sublayer of block l gives (residual included), h_{2l+2} what its
//! MLP sublayer gives. All states have the shape (batch, tokens, width).
//!
//! Every sublayer is one node of candle's autograd graph. Its backward gives the gradient towards the incoming
//! state and nothing else: the weights are frozen, so their gradient is never computed.
//!
//! ```no_run
//! use adaplace_backbone::{Backbone, Inputs, Pooling};
//!
//! let backbone = Backbone::load("backbones/minilm-l6".as_ref(), None)?;
//! let inputs = Inputs::text(1, 3, &[101, 7592, 102], &[0; 3], &[1; 3])?;
//! let mut state = backbone.embed(&inputs)?; // h_0, (1, 3, 384)
//! for sublayer in backbone.sublayers() {
//!     state = sublayer.forward(&state, inputs.mask())?;
//! }
//! let features = backbone.pool(&state, inputs.mask())?; // (1, 384)
//! # assert_eq!(backbone.description().pooling, Pooling::Mean);
//! # Ok::<(), adaplace_backbone::BackboneError>(())
//! ```

mod bert;
mod bicubic;
mod blocks;
mod chain;
mod checkpoint;
pub mod composition;
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
pub use composition::normalize;
pub use error::BackboneError;
pub use inputs::{Inputs, TokenMask};
pub use kernels::frozen_product::Precision;
pub use kernels::instruction_set::{InstructionSet, NoInstructionSet};
pub use packed::{PackedSublayer, SavedSublayer, SublayerScratch};
pub use pooling::{Pooling, SavedPooling};
pub use sublayer::Sublayer;
