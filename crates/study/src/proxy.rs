use std::sync::Arc;

use adaplace_scorer::{GradientMap, GradientMapSettings, ProxyScorer, Statistics};
use adaplace_search_space::{Connection, Fidelity, Placement};
use adaplace_strategy::{ConnectionProxy, ProxyError};
use adaplace_task::Examples;

use crate::Promises;

/// A connection's promise is a statistic of its gradient matrix, or the mean rank by several, taken at the adapters that
/// stand already.
pub struct GradientProxy<'a> {
    scorer: &'a ProxyScorer<'a>,
    examples: &'a Examples,
    settings: GradientMapSettings,
    statistics: Statistics,
    fidelity: Fidelity,
    /// The map of the frozen model.
    frozen: Arc<GradientMap>,
    /// What other maps said.
    promises: Promises,
}

impl<'a> GradientProxy<'a> {
    /// `frozen` is the map of the frozen model; others are made when they are asked for, of `examples` and at the
    /// adapters that a training of `fidelity` steps gives, where `promises` does not hold them yet.
    #[must_use]
    pub fn new(
        scorer: &'a ProxyScorer<'a>,
        examples: &'a Examples,
        frozen: Arc<GradientMap>,
        statistics: Statistics,
        fidelity: Fidelity,
        promises: Promises,
    ) -> Self {
        Self {
            scorer,
            examples,
            settings: *frozen.settings(),
            statistics,
            fidelity,
            frozen,
            promises,
        }
    }

    fn promises_of(&self, map: &GradientMap) -> Result<Vec<Vec<f64>>, ProxyError> {
        let made_without = || format!("the gradient map was made without `{}`", self.statistics);
        Ok(map.promise(&self.statistics).ok_or_else(made_without)?)
    }
}

impl ConnectionProxy for GradientProxy<'_> {
    fn promise(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        if given.is_empty() {
            let table = self.promises_of(&self.frozen)?;
            let of = |c: &Connection| table[usize::from(c.source)][usize::from(c.target)];
            return Ok(connections.iter().map(of).collect());
        }
        self.promises.promise(given, connections, || {
            let map = self.scorer.gradient_map(
                given,
                self.fidelity,
                self.examples,
                &self.settings,
                &self.statistics,
            )?;
            self.promises_of(&map)
        })
    }

    /// As a training of all of them for the proxy's steps gives it.
    fn importance(&self, together: &Placement) -> Result<Vec<f64>, ProxyError> {
        let measure = || Ok(self.scorer.importances(together, self.fidelity)?);
        self.promises.importances().of(together, measure)
    }
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::{Statistic, TrainingSettings};
    use adaplace_search_space::AdapterSpec;
    use adaplace_testkit::{TextTask, TinyBert, text_task, tiny_bert};

    use super::*;
    use crate::Setting;

    #[test]
    fn connections_are_judged_at_the_adapters_given() {
        let folder = tempfile::tempdir().unwrap();
        let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
        tiny_bert(&backbone, &TinyBert::default());
        text_task(&task, &TextTask::default());
        let setting = Setting::for_search((&backbone, None), &task, None, Some(30), 0).unwrap();
        let task = &setting.task;
        let scorer =
            ProxyScorer::new(&setting.backbone, task, TrainingSettings::default(), 0).unwrap();
        let settings = GradientMapSettings::default();
        let steps = Fidelity::new(4).unwrap();
        let statistics: Statistics = Statistic::NuclearNorm.into();
        let map = |given: &Placement| {
            scorer
                .gradient_map(given, steps, &task.train, &settings, &statistics)
                .unwrap()
        };
        let frozen = map(&Placement::new());
        let proxy = GradientProxy::new(
            &scorer,
            &task.train,
            Arc::new(frozen),
            statistics.clone(),
            steps,
            Promises::at(folder.path().join("promises.jsonl")),
        );
        let adapter = AdapterSpec::new(2, 1.0).unwrap();
        let given = Placement::new().with(Connection::new(0, 1), adapter);
        let connections = [Connection::new(0, 4), Connection::new(3, 1)];
        let promises = |given: &Placement| proxy.promise(given, &connections).unwrap();
        for placement in [Placement::new(), given.clone()] {
            let table = map(&placement).table(Statistic::NuclearNorm).unwrap();
            assert_eq!(promises(&placement), [table[0][4], table[3][1]]);
        }
        assert_ne!(promises(&Placement::new()), promises(&given));

        let together = given.with(Connection::new(3, 1), adapter);
        let expected = scorer.importances(&together, steps).unwrap();
        assert_eq!(proxy.importance(&together).unwrap(), expected);
        assert!(folder.path().join("importances.jsonl").exists());
    }
}
