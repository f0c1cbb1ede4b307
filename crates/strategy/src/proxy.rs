//! Cheap judgements of connections and of placements.

use adaplace_search_space::{Connection, Placement};
use std::collections::BTreeMap;

use crate::{ProxyError, StrategyError};

/// Judges connections and placements without training them, for instance by a statistic of the gradient map.
///
/// A proxy must judge single connections. Judging several together is optional. The same arguments always lead to the
/// same numbers.
pub trait ConnectionProxy: Send + Sync {
    /// The score of an adapter on each of `connections`, given the adapters of `given`: one finite number for each,
    /// in their order, where larger is better.
    ///
    /// # Errors
    /// Anything that keeps the proxy from judging.
    fn connection_scores(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError>;

    /// The score of each of `placements` as a whole: one finite number for each, in their order, where larger is
    /// better. By default it is the sum of the connection scores.
    ///
    /// # Errors
    /// Anything that keeps the proxy from judging.
    fn joint_scores(&self, placements: &[Placement]) -> Result<Vec<f64>, ProxyError> {
        let nothing = Placement::new();
        let sum = |placement: &Placement| {
            let connections: Vec<Connection> = placement.connections().collect();
            let connection_scores = self.connection_scores(&nothing, &connections)?;
            Ok(connection_scores.iter().sum())
        };
        placements.iter().map(sum).collect()
    }

    /// The features of each of `connections` apart from its position: a row of finite numbers for each, all of the same
    /// length. Connections with similar rows are likely to have similar results.
    ///
    /// # Errors
    /// Anything that keeps the proxy from judging.
    fn features(&self, connections: &[Connection]) -> Result<Vec<Vec<f64>>, ProxyError> {
        let connection_scores = self.connection_scores(&Placement::new(), connections)?;
        Ok(connection_scores
            .into_iter()
            .map(|connection_score| vec![connection_score])
            .collect())
    }

    /// The importance of the adapter on each connection of `together` after all of them have been trained together: one
    /// finite number for each, in the placement's order, where larger is more important. By default it is the
    /// connection score.
    ///
    /// # Errors
    /// Anything that keeps the proxy from judging.
    fn importance(&self, together: &Placement) -> Result<Vec<f64>, ProxyError> {
        let connections: Vec<Connection> = together.connections().collect();
        self.connection_scores(&Placement::new(), &connections)
    }
}

/// A table of connection scores that do not depend on the adapters already placed, for replays and tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FixedProxy(BTreeMap<Connection, f64>);

impl FixedProxy {
    /// A proxy that answers from the table `connection_scores`.
    pub fn new(connection_scores: BTreeMap<Connection, f64>) -> Self {
        FixedProxy(connection_scores)
    }
}

impl FromIterator<(Connection, f64)> for FixedProxy {
    fn from_iter<I: IntoIterator<Item = (Connection, f64)>>(connection_scores: I) -> Self {
        FixedProxy(connection_scores.into_iter().collect())
    }
}

impl ConnectionProxy for FixedProxy {
    fn connection_scores(
        &self,
        _given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        let of = |connection: &Connection| {
            let connection_score = self.0.get(connection).copied();
            connection_score.ok_or_else(|| {
                format!("the table has no score for connection `{connection}`").into()
            })
        };
        connections.iter().map(of).collect()
    }
}

/// The scores of `connections`, after checking their number and that they are finite.
pub(crate) fn connection_scores(
    proxy: &dyn ConnectionProxy,
    given: &Placement,
    connections: &[Connection],
) -> Result<Vec<f64>, StrategyError> {
    let connection_scores = proxy
        .connection_scores(given, connections)
        .map_err(StrategyError::Proxy)?;
    if connection_scores.len() != connections.len() {
        return Err(StrategyError::ProxyLength {
            values: connection_scores.len(),
            connections: connections.len(),
        });
    }
    match connections
        .iter()
        .zip(&connection_scores)
        .find(|(_, connection_score)| !connection_score.is_finite())
    {
        Some((&connection, &value)) => Err(StrategyError::ProxyNotFinite { connection, value }),
        None => Ok(connection_scores),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_scores_are_checked() {
        let connections = [Connection::new(0, 0), Connection::new(0, 1)];
        let given = Placement::new();
        let incomplete: FixedProxy = [(connections[0], 1.0)].into_iter().collect();
        assert!(matches!(
            connection_scores(&incomplete, &given, &connections),
            Err(StrategyError::Proxy(_))
        ));
        let infinite: FixedProxy = connections.into_iter().zip([1.0, f64::INFINITY]).collect();
        assert!(matches!(
            connection_scores(&infinite, &given, &connections),
            Err(StrategyError::ProxyNotFinite { connection, .. }) if connection == connections[1]
        ));
    }
}
