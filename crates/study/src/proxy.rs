use std::sync::Arc;

use adaplace_scorer::{GradientMap, GradientMapSettings, ProxyScorer, Statistic};
use adaplace_search_space::{Connection, Fidelity, Placement};
use adaplace_strategy::{ConnectionProxy, ProxyError};
use adaplace_task::Examples;

/// A connection's promise is a statistic of its gradient matrix, taken at the adapters that stand already.
pub struct GradientProxy<'a> {
    scorer: &'a ProxyScorer<'a>,
    examples: &'a Examples,
    settings: GradientMapSettings,
    statistic: Statistic,
    fidelity: Fidelity,
    /// The map of the frozen model.
    frozen: Arc<GradientMap>,
}

impl<'a> GradientProxy<'a> {
    /// `frozen` is the map of the frozen model; others are made when they are asked for, of `examples` and at the
    /// adapters that a training of `fidelity` steps gives.
    #[must_use]
    pub fn new(
        scorer: &'a ProxyScorer<'a>,
        examples: &'a Examples,
        frozen: Arc<GradientMap>,
        statistic: Statistic,
        fidelity: Fidelity,
    ) -> Self {
        Self {
            scorer,
            examples,
            settings: *frozen.settings(),
            statistic,
            fidelity,
            frozen,
        }
    }
}

impl ConnectionProxy for GradientProxy<'_> {
    fn promise(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        let map = if given.is_empty() {
            Arc::clone(&self.frozen)
        } else {
            let map =
                self.scorer
                    .gradient_map(given, self.fidelity, self.examples, &self.settings)?;
            Arc::new(map)
        };
        let table = map.table(self.statistic);
        Ok(connections
            .iter()
            .map(|connection| table[usize::from(connection.source)][usize::from(connection.target)])
            .collect())
    }
}
