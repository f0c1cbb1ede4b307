//! Connections, adapters, placements, budgets and search spaces: what may be placed where.
//!
//! [`Connection`]s `i -> j` join the hidden states `h_0 .. h_N` of a frozen backbone, and each carries an adapter
//! ([`AdapterSpec`]). A [`Placement`] is a set of such connections. A [`SearchSpace`] is the set of all placements that
//! a [`SpaceDescription`] allows on one [`ChainShape`]. Sampling, mutation, crossover and enumeration meet the
//! [`Budget`] by construction: nothing is drawn and then rejected.
//!
//! ```
//! use adaplace_search_space::{ChainShape, SearchSpace, SpaceDescription};
//! use rand::SeedableRng;
//!
//! let chain = ChainShape {
//!     hidden_states: 13,
//!     width: 384,
//!     tokens: 10,
//!     sublayer_flops: vec![20_000_000; 12],
//! };
//! let description = SpaceDescription::named("extended").expect("`extended` is the name of a space");
//! let space = SearchSpace::resolve(&description, &chain)?;
//! assert_eq!(space.connections().len(), 169);
//! assert_eq!(space.count(), Some(790_244)); // 169 choose 3
//!
//! let placement = space.sample(&mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
//! assert_eq!(placement.len(), 3);
//! # Ok::<(), adaplace_search_space::SpaceError>(())
//! ```

mod adapter;
mod budget;
mod chain_shape;
mod completion;
mod connection;
mod connection_table;
mod counting;
mod decimal;
mod description;
mod enumeration;
mod error;
mod file;
mod hash;
mod named;
mod number;
mod pass_start;
mod placement;
mod rank_sums;
mod sampling;
mod space;
mod spacing;
mod variation;

pub use adapter::AdapterSpec;
pub use budget::{Budget, Cost};
pub use chain_shape::ChainShape;
pub use connection::{Connection, ConnectionKind, NotAConnection};
pub use connection_table::{ConnectionTable, NotSquare};
pub use description::{AdapterRules, BudgetRules, ConnectionRules, SpaceDescription};
pub use enumeration::Placements;
pub use error::SpaceError;
pub use file::{
    Activation, AdapterForm, BackboneReference, InputNorm, PLACEMENT_FORMAT, PlacementFile,
};
pub use hash::PlacementHash;
pub use number::{Count, Fidelity, OutOfRange, Positive, Reduction, Repetitions, Seed, Share};
pub use placement::Placement;
pub use space::SearchSpace;
pub use spacing::Spacing;
