//! The contract of every strategy.

use adaplace_search_space::{Placement, SearchSpace};

use crate::{Outcome, Proposal, StrategyError};

/// Proposes placements of a space and learns from their scores.
///
/// The caller
/// - passes the same space in every call,
/// - observes every proposal of one call of [`Strategy::propose`], once each and in its order, before it asks for more.
///   How many trials it runs in parallel in between is up to the caller.
///
/// The strategy
/// - is deterministic: the same settings, seed, numbers of proposals and outcomes lead to the same proposals,
/// - never proposes the same placement at the same fidelity twice,
/// - never proposes a placement over the budget. A strategy that places one adapter after the other may propose
///   placements with fewer adapters than the space requires, if they can be completed within the budget,
/// - accepts any outcomes, even if all are equal or all have failed.
pub trait Strategy: Send {
    /// The next proposals, at most `n`, which is at least 1. Fewer than `n` do not mean the end, but none at all do:
    /// the strategy is finished and stays so.
    ///
    /// # Errors
    /// [`StrategyError::Proxy`], [`StrategyError::ProxyLength`] or [`StrategyError::ProxyNotFinite`] if the connections
    /// cannot be judged.
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError>;

    /// Learns from the outcome of `proposal`.
    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome);

    /// At most `n` of the placements observed at the full fidelity, starting with the one that the strategy believes to
    /// be the best. An empty list, the default, means that it knows no more than their scores: the best trials are the
    /// best placements.
    fn recommend(&self, space: &SearchSpace, n: usize) -> Vec<Placement> {
        let _ = (space, n);
        Vec::new()
    }
}
