//! A single placement chosen by the gradient map alone.

use std::cmp::Ordering;
use std::sync::Arc;

use adaplace_search_space::{AdapterSpec, Connection, Fidelity, Placement, SearchSpace};

use crate::proxy::connection_scores;
use crate::{ConnectionProxy, Outcome, Proposal, Strategy, StrategyError};

/// Gradient-guided greedy placement (GGA): picks one connection after the other, each time the one with the highest
/// score given those already picked, without any training in between, and proposes that one placement.
///
/// In arXiv 2410.15858 the score is the rank of the gradient, with a discount near the connections already picked. Here
/// the proxy takes them into account, so a connection that does what they do scores low, however far away it is.
pub struct GradientGreedy<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    proposed: bool,
}

impl<'proxy> GradientGreedy<'proxy> {
    /// Greedy placement by the connection scores of `proxy`.
    #[must_use]
    pub fn new(proxy: Arc<dyn ConnectionProxy + 'proxy>, fidelity: Fidelity) -> Self {
        GradientGreedy {
            proxy,
            fidelity,
            proposed: false,
        }
    }

    fn place(&self, space: &SearchSpace) -> Result<Placement, StrategyError> {
        let size = space.largest_size();
        let mut placement = Placement::new();
        while placement.len() < size {
            let adapter = |&connection: &Connection| {
                let adapter = space.even_split(&placement, connection, size)?;
                Some((connection, adapter))
            };
            let (connections, adapters): (Vec<Connection>, Vec<AdapterSpec>) =
                space.connections().iter().filter_map(adapter).unzip();
            let connection_scores = connection_scores(&*self.proxy, &placement, &connections)?;
            let candidates = connections.into_iter().zip(adapters).zip(connection_scores);
            // Of equal scores the first connection wins.
            let best = candidates.reduce(|best, other| match other.1.total_cmp(&best.1) {
                Ordering::Greater => other,
                Ordering::Less | Ordering::Equal => best,
            });
            let Some(((pick, adapter), _)) = best else {
                break;
            };
            placement = placement.with(pick, adapter);
        }
        Ok(placement)
    }
}

impl Strategy for GradientGreedy<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        if self.proposed || n == 0 {
            return Ok(Vec::new());
        }
        let placement = self.place(space)?;
        self.proposed = true;
        Ok(vec![Proposal {
            placement,
            fidelity: self.fidelity,
        }])
    }

    fn observe(&mut self, _proposal: &Proposal, _outcome: &Outcome) {}
}
