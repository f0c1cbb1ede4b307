//! Successive halving of another strategy's proposals.

use std::collections::VecDeque;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};

use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Synchronous successive halving: trains the proposals of another strategy for a fraction of the steps and promotes
/// the best of each rung to the next.
///
/// With reduction `R` and rungs `0 .. m-1`, rung `i` trains for `ceil(full / R^(m-1-i))` steps. Of the `n` placements
/// on a rung the best `ceil(n / R)` are promoted, unless they failed. A bracket starts with `R^(m-1)` proposals, or
/// with as many as the inner strategy makes at a time. When it ends, the inner strategy observes each of them, in its
/// own order, with the outcome at its highest fidelity. Every promotion is a new training from the start and counts as
/// a trial of its own.
///
/// Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization".
pub struct Halving<'inner> {
    inner: Box<dyn Strategy + 'inner>,
    reduction: usize,
    /// The fidelities of the rungs, ascending. The last one is the full fidelity.
    fidelities: Vec<Fidelity>,
    bracket: Vec<Entry>,
    rung: usize,
    /// The indices of the entries on the current rung.
    on_rung: Vec<usize>,
    /// The entries on this rung that have not been proposed.
    pending: VecDeque<usize>,
    /// The entries on this rung that have been proposed but not observed.
    outstanding: VecDeque<usize>,
}

struct Entry {
    /// The proposal as the inner strategy made it.
    proposal: Proposal,
    outcome: Outcome,
}

impl<'inner> Halving<'inner> {
    /// The default number of rungs.
    pub const RUNGS: u32 = 3;

    /// Successive halving of the proposals of `inner` up to the fidelity `full`. Rungs with the same number of steps as
    /// the next one are left out.
    ///
    /// # Errors
    /// [`StrategyError::OutOfRange`] if `reduction` is below 2 or `rungs` is 0.
    pub fn new(
        inner: Box<dyn Strategy + 'inner>,
        reduction: u32,
        full: Fidelity,
        rungs: u32,
    ) -> Result<Self, StrategyError> {
        for (setting, value, least, range) in [
            ("reduction", reduction, 2, "at least 2"),
            ("rungs", rungs, 1, "at least 1"),
        ] {
            if value < least {
                return Err(StrategyError::OutOfRange {
                    strategy: "halving",
                    setting,
                    value: f64::from(value),
                    range,
                });
            }
        }
        let mut fidelities: Vec<Fidelity> = (0..rungs)
            .rev()
            .filter_map(|reductions| {
                let divisor = reduction.saturating_pow(reductions);
                Fidelity::new(full.steps().div_ceil(divisor)).ok()
            })
            .collect();
        fidelities.dedup();
        Ok(Halving {
            inner,
            reduction: reduction as usize,
            fidelities,
            bracket: Vec::new(),
            rung: 0,
            on_rung: Vec::new(),
            pending: VecDeque::new(),
            outstanding: VecDeque::new(),
        })
    }

    fn start_bracket(&mut self, space: &SearchSpace) -> Result<(), StrategyError> {
        let size = self.fidelities[1..]
            .iter()
            .fold(1_usize, |size, _| size.saturating_mul(self.reduction));
        let proposals = self.inner.propose(space, size)?;
        let untried = |proposal| Entry {
            proposal,
            outcome: Outcome::Failed,
        };
        self.bracket = proposals.into_iter().map(untried).collect();
        self.rung = 0;
        self.start_rung((0..self.bracket.len()).collect());
        Ok(())
    }

    fn start_rung(&mut self, entries: Vec<usize>) {
        self.pending = entries.iter().copied().collect();
        self.on_rung = entries;
    }

    fn end_rung(&mut self) {
        let quota = self.on_rung.len().div_ceil(self.reduction);
        let merit = |&index: &usize| {
            self.bracket[index]
                .outcome
                .merit()
                .map(|merit| (merit, index))
        };
        let mut scored: Vec<_> = self.on_rung.iter().filter_map(merit).collect();
        // Of equal merits the one proposed first wins.
        scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate(quota);
        if self.rung + 1 < self.fidelities.len() && !scored.is_empty() {
            self.rung += 1;
            self.start_rung(scored.into_iter().map(|(_, index)| index).collect());
        } else {
            for entry in self.bracket.drain(..) {
                self.inner.observe(&entry.proposal, &entry.outcome);
            }
        }
    }
}

impl Strategy for Halving<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        if self.bracket.is_empty() {
            self.start_bracket(space)?;
        }
        let next: Vec<usize> = self.pending.drain(..n.min(self.pending.len())).collect();
        self.outstanding.extend(&next);
        let fidelity = self.fidelities[self.rung];
        let proposal = |index: usize| Proposal {
            placement: self.bracket[index].proposal.placement.clone(),
            fidelity,
        };
        Ok(next.into_iter().map(proposal).collect())
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        let Some(index) = self.outstanding.pop_front() else {
            return;
        };
        debug_assert_eq!(
            self.bracket[index].proposal.placement, proposal.placement,
            "observed out of order"
        );
        self.bracket[index].outcome = *outcome;
        if self.pending.is_empty() && self.outstanding.is_empty() {
            self.end_rung();
        }
    }

    fn recommend(&self, space: &SearchSpace, n: usize) -> Vec<Placement> {
        self.inner.recommend(space, n)
    }
}
