//! A cheap judgement of single connections.

use std::collections::BTreeMap;
use std::error::Error;

use adaplace_search_space::{Connection, Placement};

use crate::StrategyError;

/// Why connections could not be judged.
pub type ProxyError = Box<dyn Error + Send + Sync>;

/// Judges single connections without training them, for instance by a statistic of the gradient map.
pub trait ConnectionProxy: Send + Sync {
    /// How promising an adapter on each of `connections` is, given the adapters of `given`; one finite number for
    /// each, in their order, larger is more promising. The same arguments give the same numbers.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from judging.
    fn promise(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError>;
}

/// A table of promises, the same whatever has been placed: for replays and tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FixedProxy(BTreeMap<Connection, f64>);

impl FixedProxy {
    /// Promises as given by the table.
    pub fn new(promises: BTreeMap<Connection, f64>) -> Self {
        FixedProxy(promises)
    }
}

impl FromIterator<(Connection, f64)> for FixedProxy {
    fn from_iter<I: IntoIterator<Item = (Connection, f64)>>(promises: I) -> Self {
        FixedProxy(promises.into_iter().collect())
    }
}

impl ConnectionProxy for FixedProxy {
    fn promise(
        &self,
        _given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        let of = |connection: &Connection| {
            let promise = self.0.get(connection).copied();
            promise.ok_or_else(|| {
                format!("the table has no promise for connection `{connection}`").into()
            })
        };
        connections.iter().map(of).collect()
    }
}

/// The promises of `connections`, checked.
pub(crate) fn promises(
    proxy: &dyn ConnectionProxy,
    given: &Placement,
    connections: &[Connection],
) -> Result<Vec<f64>, StrategyError> {
    let promises = proxy
        .promise(given, connections)
        .map_err(StrategyError::Proxy)?;
    if promises.len() != connections.len() {
        return Err(StrategyError::ProxyLength {
            values: promises.len(),
            connections: connections.len(),
        });
    }
    match connections
        .iter()
        .zip(&promises)
        .find(|(_, promise)| !promise.is_finite())
    {
        Some((&connection, &value)) => Err(StrategyError::ProxyNotFinite { connection, value }),
        None => Ok(promises),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_checked() {
        let connections = [Connection::new(0, 0), Connection::new(0, 1)];
        let given = Placement::new();
        let incomplete: FixedProxy = [(connections[0], 1.0)].into_iter().collect();
        assert!(matches!(
            promises(&incomplete, &given, &connections),
            Err(StrategyError::Proxy(_))
        ));
        let infinite: FixedProxy = connections.into_iter().zip([1.0, f64::INFINITY]).collect();
        assert!(matches!(
            promises(&infinite, &given, &connections),
            Err(StrategyError::ProxyNotFinite { connection, .. }) if connection == connections[1]
        ));
    }
}
