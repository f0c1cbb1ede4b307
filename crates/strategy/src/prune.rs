//! All connections trained together, and dropped.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use adaplace_search_space::{Connection, Fidelity, Placement, SearchSpace};
use serde::{Deserialize, Serialize};

use crate::proxy::promises;
use crate::{ConnectionProxy, Outcome, Proposal, Strategy, StrategyError};

/// How [`Prune`] prunes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PruneSettings {
    /// Times that what is left is trained together and the least important of it dropped, at least 1.
    pub rounds: usize,
    /// Connections to begin with, at least 1: the most promising; all of the space where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<usize>,
}

impl Default for PruneSettings {
    fn default() -> Self {
        PruneSettings {
            rounds: 2,
            start: None,
        }
    }
}

/// Trains the connections of the space together, an adapter on each, and drops the least important until as many are left as
/// the largest placement has: from m to k in R rounds, `m (k / m)^(i / R)` are left by round i. How important a connection is
/// after a training is [`ConnectionProxy::importance`]; what was dropped later counts as more important.
///
/// Proposes the most important connections that fit the budget together, then exchanges: sets of as many connections by the sum of
/// their places in the order of importance, so that the weakest one kept gives way to the strongest one dropped first.
/// Scores have no influence. Finished when no other set fits.
///
/// The strongest simple rival of a search: pruning by the first-order Taylor term (Molchanov et al. 2019, arXiv 1906.10771).
pub struct Prune<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    settings: PruneSettings,
    exchanges: Option<Exchanges>,
}

impl<'proxy> Prune<'proxy> {
    /// # Errors
    ///
    /// [`StrategyError::OutOfRange`] without a round or a connection to begin with.
    pub fn new(
        proxy: Arc<dyn ConnectionProxy + 'proxy>,
        fidelity: Fidelity,
        settings: PruneSettings,
    ) -> Result<Self, StrategyError> {
        for (setting, value) in [
            ("rounds", settings.rounds),
            ("start", settings.start.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(StrategyError::OutOfRange {
                    strategy: "prune",
                    setting,
                    value: 0.0,
                    range: "at least 1",
                });
            }
        }
        Ok(Prune {
            proxy,
            fidelity,
            settings,
            exchanges: None,
        })
    }

    /// The space's connections that a placement may have, the most important first.
    fn by_importance(&self, space: &SearchSpace) -> Result<Vec<Connection>, StrategyError> {
        let size = space.largest_size();
        let nothing = Placement::new();
        // Each with the adapter that it would have in a placement of k.
        let all: Vec<_> = space
            .connections()
            .iter()
            .filter_map(|&connection| {
                Some((connection, space.even_split(&nothing, connection, size)?))
            })
            .collect();
        let connections: Vec<Connection> = all.iter().map(|&(connection, _)| connection).collect();
        let promises = promises(&*self.proxy, &nothing, &connections)?;
        let mut order = sorted(connections, &promises);
        let start = self.settings.start.unwrap_or(order.len()).min(order.len());
        for left in rounds(start, size, self.settings.rounds) {
            let kept = &mut order[..left];
            let together: Placement = all
                .iter()
                .copied()
                .filter(|(connection, _)| kept.contains(connection))
                .collect();
            let importance = importance(&*self.proxy, &together)?;
            kept.copy_from_slice(&sorted(together.connections().collect(), &importance));
        }
        Ok(order)
    }
}

/// Connections trained together in each round, from `start` towards `size`; the first places of the last are what is kept.
fn rounds(start: usize, size: usize, rounds: usize) -> Vec<usize> {
    let ratio = size.min(start) as f64 / start as f64;
    let left =
        |round: usize| (start as f64 * ratio.powf(round as f64 / rounds as f64)).round() as usize;
    (0..rounds)
        .map(|round| left(round).clamp(size.min(start), start))
        .collect()
}

/// Sorted by value, the greatest first; equal ones keep their order.
fn sorted(connections: Vec<Connection>, values: &[f64]) -> Vec<Connection> {
    let mut pairs: Vec<(f64, Connection)> = values.iter().copied().zip(connections).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    pairs
        .into_iter()
        .map(|(_, connection)| connection)
        .collect()
}

/// The importance of the connections of `together`, checked.
fn importance(
    proxy: &dyn ConnectionProxy,
    together: &Placement,
) -> Result<Vec<f64>, StrategyError> {
    let values = proxy.importance(together).map_err(StrategyError::Proxy)?;
    if values.len() != together.len() {
        return Err(StrategyError::ProxyLength {
            values: values.len(),
            connections: together.len(),
        });
    }
    match together
        .connections()
        .zip(&values)
        .find(|(_, value)| !value.is_finite())
    {
        Some((connection, &value)) => Err(StrategyError::ProxyNotFinite { connection, value }),
        None => Ok(values),
    }
}

/// Sets of places in an order, by the sum of the places: a set follows from one with a smaller sum, in which one place is by one
/// smaller.
struct Exchanges {
    order: Vec<Connection>,
    /// The most important that fit together: proposed first.
    first: Option<Placement>,
    proposed: BTreeSet<Placement>,
    /// By sum, then by the places, ascending.
    open: BinaryHeap<Reverse<(usize, Vec<usize>)>>,
    found: BTreeSet<Vec<usize>>,
}

impl Exchanges {
    /// Sets that are looked at for one proposal, at most: few of them may fit a tight budget.
    const LOOKS: usize = 10_000;

    fn new(order: Vec<Connection>, space: &SearchSpace) -> Self {
        let size = space.largest_size();
        let places: Vec<usize> = (0..size.min(order.len())).collect();
        let first = placed(space, order.iter().copied(), size);
        Exchanges {
            first: Some(first).filter(|first| first.len() == size),
            proposed: BTreeSet::new(),
            open: BinaryHeap::from([Reverse((places.iter().sum(), places.clone()))]),
            found: BTreeSet::from([places]),
            order,
        }
    }

    fn next(&mut self, space: &SearchSpace) -> Option<Placement> {
        if let Some(first) = self.first.take() {
            self.proposed.insert(first.clone());
            return Some(first);
        }
        for _ in 0..Self::LOOKS {
            let Reverse((sum, places)) = self.open.pop()?;
            for n in 0..places.len() {
                let next = places[n] + 1;
                let limit = places.get(n + 1).copied().unwrap_or(self.order.len());
                if next < limit {
                    let mut other = places.clone();
                    other[n] = next;
                    if self.found.insert(other.clone()) {
                        self.open.push(Reverse((sum + 1, other)));
                    }
                }
            }
            let connections = places.iter().map(|&place| self.order[place]);
            let placement = placed(space, connections, places.len());
            if placement.len() == places.len()
                && space.contains(&placement)
                && self.proposed.insert(placement.clone())
            {
                return Some(placement);
            }
        }
        self.open.clear();
        None
    }
}

/// The first of `connections` that fit a placement of `size` together.
fn placed(
    space: &SearchSpace,
    connections: impl Iterator<Item = Connection>,
    size: usize,
) -> Placement {
    let mut placement = Placement::new();
    for connection in connections {
        if placement.len() == size {
            break;
        }
        if let Some(adapter) = space.even_split(&placement, connection, size) {
            placement = placement.with(connection, adapter);
        }
    }
    placement
}

impl Strategy for Prune<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        let mut exchanges = match self.exchanges.take() {
            Some(exchanges) => exchanges,
            None => Exchanges::new(self.by_importance(space)?, space),
        };
        let fidelity = self.fidelity;
        let proposals = (0..n)
            .map_while(|_| exchanges.next(space))
            .map(|placement| Proposal {
                placement,
                fidelity,
            });
        let proposals = proposals.collect();
        self.exchanges = Some(exchanges);
        Ok(proposals)
    }

    fn observe(&mut self, _proposal: &Proposal, _outcome: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_shrink_by_the_same_factor() {
        assert_eq!(rounds(64, 4, 2), [64, 16]);
        assert_eq!(rounds(64, 1, 3), [64, 16, 4]);
        assert_eq!(rounds(169, 4, 1), [169]);
        assert_eq!(rounds(3, 4, 2), [3, 3]);
    }
}
