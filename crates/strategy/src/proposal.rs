//! What a strategy asks to be tried.

use adaplace_search_space::{Fidelity, Placement};

/// A placement to be scored at a fidelity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    /// What to train.
    pub placement: Placement,
    /// For how many optimiser steps.
    pub fidelity: Fidelity,
}
