//! Pruning: all connections are trained together, and the least important dropped.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use adaplace_search_space::{Connection, Fidelity, Placement, SearchSpace};
use serde::{Deserialize, Serialize};

use crate::proxy::connection_scores;
use crate::{ConnectionProxy, Outcome, Proposal, Strategy, StrategyError};

/// The settings of [`Prune`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PruneSettings {
    /// The number of rounds, at least 1. In each of them the remaining connections are trained together and the least
    /// important are dropped.
    pub rounds: usize,
    /// The number of connections in the first round, at least 1: the most promising ones. By default it is all of the
    /// space.
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

/// Trains the connections of the space together, with an adapter on each, and drops the least important until as many
/// are left as the largest placement has.
///
/// From m to k connections in R rounds, round i (starting with 0) trains `m (k / m)^(i / R)` of them. The importance of
/// a connection after a training is [`ConnectionProxy::importance`]. A connection dropped later counts as more
/// important.
///
/// The strategy first proposes the most important connections that fit the budget together. It continues with
/// exchanges: sets of the same size, ordered by the sum of their places in the order of importance, so the first
/// exchange replaces the weakest connection kept by the strongest one dropped. Scores have no influence. The strategy
/// is finished when no other set fits.
///
/// It is the strongest simple baseline for a search: pruning by the first-order Taylor term (Molchanov et al. 2019,
/// arXiv 1906.10771).
pub struct Prune<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    settings: PruneSettings,
    exchanges: Option<Exchanges>,
}

impl<'proxy> Prune<'proxy> {
    /// Pruning with these settings and the importances of `proxy`.
    ///
    /// # Errors
    /// [`StrategyError::OutOfRange`] if there are no rounds or no connections to start with.
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

    /// The connections of the space that a placement may have, the most important first.
    fn by_importance(&self, space: &SearchSpace) -> Result<Vec<Connection>, StrategyError> {
        let size = space.largest_size();
        let nothing = Placement::new();
        // Each connection comes with the adapter that it would have in a placement of k.
        let all: Vec<_> = space
            .connections()
            .iter()
            .filter_map(|&connection| {
                Some((connection, space.even_split(&nothing, connection, size)?))
            })
            .collect();
        let connections: Vec<Connection> = all.iter().map(|&(connection, _)| connection).collect();
        let connection_scores = connection_scores(&*self.proxy, &nothing, &connections)?;
        let mut order = sorted(connections, &connection_scores);
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

/// The number of connections trained together in each round, from `start` towards `size`. The connections kept are the
/// most important of the last round.
fn rounds(start: usize, size: usize, rounds: usize) -> Vec<usize> {
    let ratio = size.min(start) as f64 / start as f64;
    let left =
        |round: usize| (start as f64 * ratio.powf(round as f64 / rounds as f64)).round() as usize;
    (0..rounds)
        .map(|round| left(round).clamp(size.min(start), start))
        .collect()
}

/// The connections sorted by value, the largest first. Equal values are ordered by connection.
fn sorted(connections: Vec<Connection>, values: &[f64]) -> Vec<Connection> {
    let mut pairs: Vec<(f64, Connection)> = values.iter().copied().zip(connections).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    pairs
        .into_iter()
        .map(|(_, connection)| connection)
        .collect()
}

/// The importance of the connections of `together`, after checking the number of values and that they are finite.
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

/// Sets of places in an order, enumerated by the sum of their places. Each set follows from one with a smaller sum, in
/// which one place is smaller by one.
struct Exchanges {
    order: Vec<Connection>,
    /// The most important connections that fit together, which are proposed first.
    first: Option<Placement>,
    proposed: BTreeSet<Placement>,
    /// The sets not looked at yet, ordered by sum and then by places, ascending.
    open: BinaryHeap<Reverse<(usize, Vec<usize>)>>,
    found: BTreeSet<Vec<usize>>,
}

impl Exchanges {
    /// The largest number of sets that are examined for one proposal, since few of them may fit a tight budget.
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
