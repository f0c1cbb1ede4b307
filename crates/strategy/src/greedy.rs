//! One connection at a time, each chosen by proxy training.

use std::sync::Arc;

use adaplace_search_space::{Connection, Fidelity, Placement, SearchSpace};

use crate::proxy::promises;
use crate::{ConnectionProxy, Merit, Outcome, Proposal, Strategy, StrategyError};

/// Places one adapter after the other: each stage trains additions to what has been placed and keeps the best. Half of
/// them are those that promise the most beside what has been placed, judged before every stage; the others are near the best
/// of the stage so far, because near connections give much the same results.
///
/// The greedy forward selection that arXiv 2410.15858 compares its placements with, with a local search in each stage; the
/// gradient map only chooses which additions are worth a training. Finished with the last adapter, or when a whole stage
/// fails.
pub struct Greedy<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    candidates: usize,
    placed: Placement,
    stage: Option<Stage>,
    finished: bool,
}

/// The additions to what has been placed.
struct Stage {
    /// Those not proposed yet, in the order in which they will be.
    open: Vec<Addition>,
    /// How many more are trained for their promise alone ..
    promising: usize,
    /// .. and how many near the best.
    near: usize,
    /// Those that are being trained.
    proposed: Vec<Addition>,
    /// Those that gave a score, the best first, earlier ones before equal ones.
    scored: Vec<(Merit, Addition)>,
}

#[derive(Clone)]
struct Addition {
    /// By promise, 0 the most promising.
    place: usize,
    connection: Connection,
    placement: Placement,
}

impl Stage {
    fn new(open: Vec<Addition>, candidates: usize) -> Self {
        let promising = candidates.div_ceil(2);
        Stage {
            open,
            promising,
            near: candidates - promising,
            proposed: Vec::new(),
            scored: Vec::new(),
        }
    }

    /// The next ones, `n` at most; none at the end of the stage.
    fn next(&mut self, n: usize) -> Vec<Addition> {
        if self.promising > 0 {
            let count = n.min(self.promising).min(self.open.len());
            self.promising -= count;
            return self.open.drain(..count).collect();
        }
        // A round of half of what is left lets the later ones learn from it.
        let count = n.min(self.near.div_ceil(2)).min(self.open.len());
        self.near -= count;
        self.sort_by_nearness();
        self.open.drain(..count).collect()
    }

    /// Those near the best first, then those near the second best, and so on, each by promise.
    fn sort_by_nearness(&mut self) {
        let scored = &self.scored;
        let near_which = |addition: &Addition| {
            let near = |(_, other): &(Merit, Addition)| {
                other.connection.distance(addition.connection) <= SearchSpace::NEAR
            };
            scored.iter().position(near).unwrap_or(scored.len())
        };
        self.open
            .sort_by_cached_key(|addition| (near_which(addition), addition.place));
    }

    fn observe(&mut self, placement: &Placement, merit: Option<Merit>) {
        let same = |addition: &Addition| addition.placement == *placement;
        let Some(index) = self.proposed.iter().position(same) else {
            return;
        };
        let addition = self.proposed.remove(index);
        if let Some(merit) = merit {
            let place = self.scored.partition_point(|(other, _)| *other >= merit);
            self.scored.insert(place, (merit, addition));
        }
    }
}

impl<'proxy> Greedy<'proxy> {
    /// Greedy search which trains `candidates` additions in every stage.
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
            stage: None,
            finished: false,
        })
    }

    fn start_stage(&self, space: &SearchSpace) -> Result<Option<Stage>, StrategyError> {
        let size = space.largest_size();
        let mut connections: Vec<Connection> = space
            .extensions(&self.placed, size)
            .into_iter()
            .map(|(connection, _)| connection)
            .collect();
        connections.dedup();
        if connections.is_empty() {
            return Ok(None);
        }
        let promises = promises(&*self.proxy, &self.placed, &connections)?;
        let mut ranked: Vec<(f64, Connection)> = promises.into_iter().zip(connections).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let addition = |(place, (_, connection))| {
            let adapter = space.even_split(&self.placed, connection, size)?;
            Some(Addition {
                place,
                connection,
                placement: self.placed.with(connection, adapter),
            })
        };
        let open = ranked.into_iter().enumerate();
        let open = open.filter_map(addition).collect();
        Ok(Some(Stage::new(open, self.candidates)))
    }
}

impl Strategy for Greedy<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        while !self.finished {
            if self.stage.is_none() {
                self.stage = self.start_stage(space)?;
            }
            let Some(stage) = &mut self.stage else {
                self.finished = true;
                break;
            };
            let next = stage.next(n);
            if !next.is_empty() {
                stage.proposed = next.clone();
                let fidelity = self.fidelity;
                let proposal = |Addition { placement, .. }| Proposal {
                    placement,
                    fidelity,
                };
                return Ok(next.into_iter().map(proposal).collect());
            }
            match stage.scored.first() {
                Some((_, best)) => self.placed = best.placement.clone(),
                None => self.finished = true,
            }
            self.stage = None;
        }
        Ok(Vec::new())
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        if let Some(stage) = &mut self.stage {
            stage.observe(&proposal.placement, outcome.merit());
        }
    }
}
