//! One connection at a time, each chosen by proxy training.

use std::sync::Arc;

use adaplace_search_space::{Connection, Fidelity, Placement, SearchSpace};

use crate::proxy::promises;
use crate::{ConnectionProxy, Merit, Outcome, Proposal, Strategy, StrategyError};

/// Places one adapter after the other: each stage trains the most promising additions to what has been placed and
/// keeps the best. The connections are judged anew, at the adapters placed, before every stage.
///
/// The greedy forward selection that arXiv 2410.15858 compares its placements with; the gradient map only chooses
/// which additions are worth a training. Finished with the last adapter, or when a whole stage fails.
pub struct Greedy<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    candidates: usize,
    placed: Placement,
    /// The additions of the stage that are still to be proposed, the next one last.
    pending: Vec<Placement>,
    outstanding: usize,
    /// The best addition of the stage so far.
    best: Option<(Merit, Placement)>,
    stage_running: bool,
    finished: bool,
}

impl<'proxy> Greedy<'proxy> {
    /// Greedy search which trains the `candidates` most promising additions in every stage.
    ///
    /// # Errors
    ///
    /// [`StrategyError::OutOfRange`] without a candidate.
    pub fn new(
        proxy: Arc<dyn ConnectionProxy + 'proxy>,
        fidelity: Fidelity,
        candidates: usize,
    ) -> Result<Self, StrategyError> {
        if candidates == 0 {
            return Err(StrategyError::OutOfRange {
                strategy: "greedy",
                setting: "candidates",
                value: 0.0,
                range: "at least 1",
            });
        }
        Ok(Greedy {
            proxy,
            fidelity,
            candidates,
            placed: Placement::new(),
            pending: Vec::new(),
            outstanding: 0,
            best: None,
            stage_running: false,
            finished: false,
        })
    }

    fn start_stage(&mut self, space: &SearchSpace) -> Result<(), StrategyError> {
        let size = space.largest_size();
        let mut connections: Vec<Connection> = space
            .extensions(&self.placed, size)
            .into_iter()
            .map(|(connection, _)| connection)
            .collect();
        connections.dedup();
        if connections.is_empty() {
            self.finished = true;
            return Ok(());
        }
        let promises = promises(&*self.proxy, &self.placed, &connections)?;
        let mut ranked: Vec<(f64, Connection)> = promises.into_iter().zip(connections).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(self.candidates);
        let addition = |(_, connection)| {
            let adapter = space.even_split(&self.placed, connection, size);
            adapter.map(|adapter| self.placed.with(connection, adapter))
        };
        self.pending = ranked.into_iter().rev().filter_map(addition).collect();
        self.stage_running = true;
        Ok(())
    }

    fn end_stage(&mut self) {
        self.stage_running = false;
        match self.best.take() {
            Some((_, placement)) => self.placed = placement,
            None => self.finished = true,
        }
    }
}

impl Strategy for Greedy<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        if !self.finished && !self.stage_running {
            self.start_stage(space)?;
        }
        let next = (0..n).map_while(|_| self.pending.pop());
        let proposals: Vec<Proposal> = next
            .map(|placement| Proposal {
                placement,
                fidelity: self.fidelity,
            })
            .collect();
        self.outstanding += proposals.len();
        Ok(proposals)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        if let Some(merit) = outcome.merit()
            && self.best.as_ref().is_none_or(|(best, _)| merit > *best)
        {
            self.best = Some((merit, proposal.placement.clone()));
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.stage_running && self.outstanding == 0 && self.pending.is_empty() {
            self.end_stage();
        }
    }
}
