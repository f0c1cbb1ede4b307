//! Why a strategy cannot go on.

use crate::ProxyError;

/// Why a strategy cannot be built or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// A name that no strategy has.
    #[error("there is no strategy `{name}`; choose one of {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// A space with more placements than trials.
    #[error(
        "the space has {} placements, more than the {trials} trials; allow that many trials, narrow the space, or \
         choose another strategy than `exhaustive`",
        count.map_or("more than 2^128".to_owned(), |count| count.to_string())
    )]
    SpaceTooLarge {
        /// The placements; `None` beyond `u128::MAX`.
        count: Option<u128>,
        /// The trials.
        trials: usize,
    },
    /// A sample of single connections from a space of larger placements.
    #[error(
        "`stratified` samples single connections, and the space's placements have up to {adapters} adapters; set \
         `adapters = 1`, or choose another strategy"
    )]
    NotSingle {
        /// Adapters of the largest placement.
        adapters: usize,
    },
    /// A strategy that judges connections without anything to judge them by.
    #[error(
        "strategy `{strategy}` needs a gradient map; provide one or choose `random` or `exhaustive`"
    )]
    NeedsProxy {
        /// The strategy.
        strategy: &'static str,
    },
    /// A setting out of its range.
    #[error("`{setting} = {value}` is out of range for strategy `{strategy}`; give {range}")]
    OutOfRange {
        /// The strategy.
        strategy: &'static str,
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// The values allowed, in words.
        range: &'static str,
    },
    /// A proxy that failed.
    #[error("cannot judge the connections: {0}; see to this first")]
    Proxy(ProxyError),
    /// A proxy that gave another number of values than there are connections.
    #[error(
        "the proxy gave {values} values for {connections} connections; it must give one for each"
    )]
    ProxyLength {
        /// The values.
        values: usize,
        /// The connections.
        connections: usize,
    },
    /// A promise that is infinite or no number.
    #[error("the proxy gave {value} for connection `{connection}`; it must give finite numbers")]
    ProxyNotFinite {
        /// The connection.
        connection: adaplace_search_space::Connection,
        /// The value.
        value: f64,
    },
}
