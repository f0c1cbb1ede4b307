//! What may be placed where: connections, adapters, placements, budgets and search spaces.
//!
//! The hidden states `h_0 .. h_N` of a frozen backbone are joined by [`Connection`]s `i -> j`, each carrying an
//! adapter ([`AdapterSpec`]). A [`Placement`] is a set of such connections, a [`SearchSpace`] the set of all
//! placements which a [`SpaceDescription`] allows on one [`ChainShape`]. Sampling, mutation, crossover and
//! enumeration meet the [`Budget`] by construction: nothing is drawn and then rejected.

mod adapter;
mod budget;
mod chain_shape;
mod completion;
mod connection;
mod counting;
mod decimal;
mod description;
mod enumeration;
mod error;
mod fidelity;
mod file;
mod hash;
mod named;
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
pub use connection::{Connection, ConnectionKind};
pub use description::{AdapterRules, BudgetRules, ConnectionRules, SpaceDescription};
pub use enumeration::Placements;
pub use error::SpaceError;
pub use fidelity::Fidelity;
pub use file::{
    Activation, AdapterForm, BackboneReference, InputNorm, PLACEMENT_FORMAT, PlacementFile,
};
pub use hash::PlacementHash;
pub use placement::Placement;
pub use space::SearchSpace;
pub use spacing::Spacing;
