//! The contract that every strategy keeps.

use adaplace_search_space::{Placement, SearchSpace};

use crate::{Outcome, Proposal, StrategyError};

/// Proposes placements of a space and learns from their scores.
///
/// The caller
/// - passes the same space in every call,
/// - observes every proposal of one call of [`Strategy::propose`], once each and in its order, before it proposes
///   again; how many trials it runs at the same time in between is its own affair.
///
/// The strategy
/// - is deterministic: the same settings, seed, numbers asked for and outcomes give the same proposals,
/// - never proposes the same placement at the same fidelity twice,
/// - never proposes a placement over the budget. A strategy that places one adapter after the other may propose
///   placements with fewer adapters than the space asks for, if they can be completed within the budget,
/// - survives any outcomes: all equal, all failed.
pub trait Strategy: Send {
    /// At most `n` (at least 1) proposals. Fewer are no sign of the end; none at all is: the strategy is finished
    /// and stays so.
    ///
    /// # Errors
    ///
    /// [`StrategyError::Proxy`] and its kin when the connections cannot be judged.
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError>;

    /// Takes notice of the outcome of `proposal`.
    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome);

    /// At most `n` of the placements observed at the full fidelity, the one first that the strategy believes best. None, as by
    /// default, means that it knows no more than their scores: the best trials are the best.
    fn recommend(&self, space: &SearchSpace, n: usize) -> Vec<Placement> {
        let _ = (space, n);
        Vec::new()
    }
}
