//! Near connections carry much the same gradient, so that one is worth less beside another.

use adaplace_search_space::Connection;

use crate::StrategyError;

/// Leaves `1 - gamma^distance` of a connection's worth beside another one (arXiv 2410.15858), where the distance between
/// `i -> j` and `k -> l` is `|i - k| + |j - l|`; all of it with `gamma = 0`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Discount {
    gamma: f64,
}

impl Discount {
    /// For `strategy`.
    ///
    /// # Errors
    ///
    /// [`StrategyError::OutOfRange`] unless `0 <= gamma < 1`.
    pub(crate) fn new(strategy: &'static str, gamma: f64) -> Result<Self, StrategyError> {
        if !(0.0..1.0).contains(&gamma) {
            return Err(StrategyError::OutOfRange {
                strategy,
                setting: "gamma",
                value: gamma,
                range: "at least 0 and less than 1",
            });
        }
        Ok(Discount { gamma })
    }

    /// What is left of the worth of `connection` beside `other`, 0 to 1.
    pub(crate) fn beside(self, connection: Connection, other: Connection) -> f64 {
        1.0 - self.gamma.powf(f64::from(connection.distance(other)))
    }
}
