//! The errors of strategies.

use std::error::Error;

/// The reason why connections could not be judged.
pub type ProxyError = Box<dyn Error + Send + Sync>;

/// An error that keeps a strategy from being built or from continuing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// No strategy has this name.
    #[error("there is no strategy `{name}`; choose one of {}", known.join(", "))]
    Unknown {
        /// The unknown name.
        name: String,
        /// The names of all strategies.
        known: &'static [&'static str],
    },
    /// The space has more placements than there are trials.
    #[error(
        "the space has {} placements, more than the {trials} trials; allow that many trials, narrow the space, or \
         choose a strategy other than `exhaustive`",
        count.map_or("more than 2^128".to_owned(), |count| count.to_string())
    )]
    SpaceTooLarge {
        /// The number of placements, or `None` if it exceeds `u128::MAX`.
        count: Option<u128>,
        /// The number of trials.
        trials: usize,
    },
    /// A sample of single connections was asked for, but the placements of the space are larger.
    #[error(
        "`stratified` samples single connections, and the space's placements have up to {adapters} adapters; set \
         `adapters = 1`, or choose another strategy"
    )]
    NotSingle {
        /// The number of adapters of the largest placement.
        adapters: usize,
    },
    /// The strategy judges connections, but there is no proxy.
    #[error(
        "strategy `{strategy}` needs a gradient map; provide one or choose `random` or `exhaustive`"
    )]
    NeedsProxy {
        /// The name of the strategy.
        strategy: &'static str,
    },
    /// A setting is out of range.
    #[error("`{setting} = {value}` is out of range for strategy `{strategy}`; it must be {range}")]
    OutOfRange {
        /// The name of the strategy.
        strategy: &'static str,
        /// The name of the setting.
        setting: &'static str,
        /// The value of the setting.
        value: f64,
        /// The allowed values, in words.
        range: &'static str,
    },
    /// The proxy failed.
    #[error("cannot judge the connections: {0}; fix this first")]
    Proxy(ProxyError),
    /// The proxy returned the wrong number of values.
    #[error(
        "the proxy returned {values} values for {connections} connections; it must return one for each"
    )]
    ProxyLength {
        /// The number of values that the proxy returned.
        values: usize,
        /// The number of connections that it was asked about.
        connections: usize,
    },
    /// The proxy returned a value that is not finite.
    #[error(
        "the proxy returned {value} for connection `{connection}`; it must return finite numbers"
    )]
    ProxyNotFinite {
        /// The connection that it was asked about.
        connection: adaplace_search_space::Connection,
        /// The value that the proxy returned.
        value: f64,
    },
}
