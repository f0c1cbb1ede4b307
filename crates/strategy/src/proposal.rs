//! A proposal of a strategy.

use adaplace_search_space::{Fidelity, Placement};

/// A placement to be scored at a fidelity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    /// The placement to train.
    pub placement: Placement,
    /// The number of optimiser steps to train for.
    pub fidelity: Fidelity,
}
