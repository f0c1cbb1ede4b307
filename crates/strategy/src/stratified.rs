//! A sample of single connections that represents all of them.

use adaplace_search_space::{Fidelity, Placement, SearchSpace};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::listed::Listed;
use crate::{Outcome, Proposal, Strategy, StrategyError};

/// A systematic sample of a space of single connections: they are ordered by kind, then target, then source, and
/// proposed at a constant interval from a random start. So each kind, and each part of the chain within it, is
/// represented by its share.
#[derive(Clone, Debug)]
pub struct Stratified(Listed);

impl Stratified {
    /// A sample of at most `trials` placements of `space`.
    ///
    /// # Errors
    /// [`StrategyError::NotSingle`] if placements have more than one adapter.
    pub fn new(
        space: &SearchSpace,
        fidelity: Fidelity,
        seed: u64,
        trials: usize,
    ) -> Result<Self, StrategyError> {
        let size = space.largest_size();
        if size != 1 {
            return Err(StrategyError::NotSingle { adapters: size });
        }
        let mut all = space.extensions(&Placement::new(), size);
        all.sort_by_key(|(connection, adapter)| {
            let (source, target) = (connection.source, connection.target);
            (connection.kind(), target, source, adapter.rank)
        });
        let count = trials.min(all.len());
        let start: f64 = ChaCha8Rng::seed_from_u64(seed).random();
        let step = all.len() as f64 / count.max(1) as f64;
        let placements: Vec<Placement> = (0..count)
            .map(|index| {
                let place = ((index as f64 + start) * step) as usize;
                let (connection, adapter) = all[place.min(all.len() - 1)];
                Placement::new().with(connection, adapter)
            })
            .collect();
        Ok(Stratified(Listed::new(fidelity, placements)))
    }
}

impl Strategy for Stratified {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        self.0.propose(space, n)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.0.observe(proposal, outcome);
    }
}
