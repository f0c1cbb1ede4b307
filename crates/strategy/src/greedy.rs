//! Greedy search: one adapter after the other, each chosen by proxy trainings.

use std::sync::Arc;

use adaplace_search_space::{Connection, Fidelity, Placement, SearchSpace};

use crate::proxy::connection_scores;
use crate::{ConnectionProxy, Merit, Outcome, Proposal, Strategy, StrategyError};

/// Places one adapter after the other: each stage trains additions to the adapters placed so far and keeps the best.
///
/// Half of the additions are the ones with the highest connection scores given the placed adapters, which the proxy
/// judges before every stage. The others are near the best of the stage so far, because nearby connections have similar
/// results.
///
/// This is the greedy forward selection with which arXiv 2410.15858 compares its placements, plus a local search in
/// each stage. The gradient map only decides which additions are worth a training. The strategy is finished with the
/// last adapter, or when a whole stage fails.
pub struct Greedy<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    candidates: usize,
    placed: Placement,
    stage: Option<Stage>,
    finished: bool,
}

/// The possible additions to the adapters placed so far.
struct Stage {
    /// The additions that have not been proposed, in the order in which they will be.
    open: Vec<Addition>,
    /// The number of additions still to be trained for their connection score alone.
    promising: usize,
    /// The number of additions still to be trained because they are near the best.
    near: usize,
    /// The additions that are being trained.
    proposed: Vec<Addition>,
    /// The scored additions, the best first. Among equals the earliest comes first.
    scored: Vec<(Merit, Addition)>,
}

#[derive(Clone)]
struct Addition {
    /// The place in the order of connection scores, where 0 is the most promising.
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

    /// The next additions, at most `n`. There are none at the end of the stage.
    fn next(&mut self, n: usize) -> Vec<Addition> {
        if self.promising > 0 {
            let count = n.min(self.promising).min(self.open.len());
            self.promising -= count;
            return self.open.drain(..count).collect();
        }
        // Each round takes half of what is left, so that later rounds can learn from it.
        let count = n.min(self.near.div_ceil(2)).min(self.open.len());
        self.near -= count;
        self.sort_by_nearness();
        self.open.drain(..count).collect()
    }

    /// Sorts the additions near the best first, then those near the second best, and so on, each group by connection
    /// score.
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
    /// A greedy search that trains `candidates` additions in every stage.
    ///
    /// # Errors
    /// [`StrategyError::OutOfRange`] if `candidates` is 0.
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
        let connection_scores = connection_scores(&*self.proxy, &self.placed, &connections)?;
        let mut ranked: Vec<(f64, Connection)> =
            connection_scores.into_iter().zip(connections).collect();
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
