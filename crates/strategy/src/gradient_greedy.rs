//! A whole placement from the gradient map alone.

use std::sync::Arc;

use adaplace_search_space::{Connection, Fidelity, Placement, SearchSpace};

use crate::discount::Discount;
use crate::proxy::promises;
use crate::{ConnectionProxy, Outcome, Proposal, Strategy, StrategyError};

/// Gradient-guided greedy placement (GGA): picks the most promising connections one after the other, without any
/// training in between, and proposes that one placement.
///
/// A connection's score is its promise times `1 - gamma^distance` for every pick so far, where the distance between
/// `i -> j` and `k -> l` is `|i - k| + |j - l|`: near connections carry much the same gradient. `gamma = 0` is no
/// discount. Promises should not be negative, as ranks and norms are not: discounting a negative one raises it.
///
/// arXiv 2410.15858, where the promise is the rank of the gradient.
pub struct GradientGreedy<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    discount: Discount,
    proposed: bool,
}

impl<'proxy> GradientGreedy<'proxy> {
    /// The usual `gamma`.
    pub const GAMMA: f64 = 0.6;

    /// GGA with discount `gamma`.
    ///
    /// # Errors
    ///
    /// [`StrategyError::OutOfRange`] unless `0 <= gamma < 1`.
    pub fn new(
        proxy: Arc<dyn ConnectionProxy + 'proxy>,
        fidelity: Fidelity,
        gamma: f64,
    ) -> Result<Self, StrategyError> {
        Ok(GradientGreedy {
            proxy,
            fidelity,
            discount: Discount::new("gradient-greedy", gamma)?,
            proposed: false,
        })
    }

    fn place(&self, space: &SearchSpace) -> Result<Placement, StrategyError> {
        let size = space.largest_size();
        let connections = space.connections();
        let promises = promises(&*self.proxy, &Placement::new(), connections)?;
        let mut scored: Vec<(Connection, f64)> =
            connections.iter().copied().zip(promises).collect();
        let mut placement = Placement::new();
        while placement.len() < size {
            let admissible = scored.iter().filter_map(|&(connection, score)| {
                let adapter = space.even_split(&placement, connection, size)?;
                Some((connection, adapter, score))
            });
            // On equal scores the first connection.
            let best = admissible.reduce(|best, other| {
                if other.2.total_cmp(&best.2).is_gt() {
                    other
                } else {
                    best
                }
            });
            let Some((pick, adapter, _)) = best else {
                break;
            };
            placement = placement.with(pick, adapter);
            for (connection, score) in &mut scored {
                *score *= self.discount.beside(*connection, pick);
            }
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
