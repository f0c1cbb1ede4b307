use std::sync::Arc;

use adaplace_analysis::ranks;
use adaplace_scorer::{GradientMap, JointJudgement, ProxyScorer, ScoreError, Statistics};
use adaplace_search_space::{Connection, Fidelity, Placement};
use adaplace_strategy::{ConnectionProxy, ProxyError};
use rayon::prelude::*;

use crate::Importances;

/// A proxy from the gradient map of the frozen model. It judges a single connection by a statistic of its gradient
/// matrix or by the mean rank of several, and a set of connections by its joint gain.
pub struct GradientProxy {
    scorer: Arc<ProxyScorer>,
    map: Arc<GradientMap>,
    statistics: Statistics,
    /// Length of the trainings of many connections together.
    fidelity: Fidelity,
    importances: Importances,
}

impl GradientProxy {
    /// A proxy from the `map` of the frozen model. Importances that are not in `importances` come from trainings for
    /// `fidelity` steps.
    #[must_use]
    pub fn new(
        scorer: Arc<ProxyScorer>,
        map: Arc<GradientMap>,
        statistics: Statistics,
        fidelity: Fidelity,
        importances: Importances,
    ) -> Self {
        Self {
            scorer,
            map,
            statistics,
            fidelity,
            importances,
        }
    }

    fn joint(&self) -> Result<&JointJudgement, ProxyError> {
        let made_without = || "the gradient map was made without a validation part";
        Ok(self.map.joint().ok_or_else(made_without)?)
    }
}

impl ConnectionProxy for GradientProxy {
    /// With given adapters, the score is what a connection adds to their joint gain.
    fn connection_scores(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        let Some((_, adapter)) = given.iter().next() else {
            let made_without =
                || format!("the gradient map was made without `{}`", self.statistics);
            let table = self
                .map
                .connection_scores(&self.statistics)
                .ok_or_else(made_without)?;
            let of = |&connection| {
                let score = table.get(connection);
                Ok(score.ok_or(ScoreError::NotInMap { connection })?)
            };
            return connections.iter().map(of).collect();
        };
        let joint = self.joint()?;
        let alone = joint.gain(given)?;
        let added = |&connection| Ok(joint.gain(&given.with(connection, adapter))? - alone);
        connections.par_iter().map(added).collect()
    }

    fn joint_scores(&self, placements: &[Placement]) -> Result<Vec<f64>, ProxyError> {
        let joint = self.joint()?;
        let gain = |placement| Ok(joint.gain(placement)?);
        placements.par_iter().map(gain).collect()
    }

    /// The ranks of the connections by each statistic.
    fn features(&self, connections: &[Connection]) -> Result<Vec<Vec<f64>>, ProxyError> {
        let of_map: Vec<Vec<f64>> = self
            .statistics
            .as_slice()
            .iter()
            .filter_map(|&statistic| self.map.table(statistic))
            .map(|table| ranks(&table.values().collect::<Vec<f64>>()))
            .collect();
        let of = |&connection: &Connection| {
            let place = self.map.connections().binary_search(&connection);
            let place = place.map_err(|_| ScoreError::NotInMap { connection })?;
            Ok(of_map.iter().map(|ranks| ranks[place]).collect())
        };
        connections.iter().map(of).collect()
    }

    /// The importance of each adapter after a joint training for the proxy's steps.
    fn importance(&self, together: &Placement) -> Result<Vec<f64>, ProxyError> {
        let measure = || Ok(self.scorer.importances(together, self.fidelity)?);
        self.importances.of(together, measure)
    }
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::{GradientMapSettings, Statistic, TrainingSettings};
    use adaplace_search_space::AdapterSpec;
    use adaplace_testkit::{TextTask, TinyBert, text_task, tiny_bert};

    use super::*;
    use crate::Problem;

    #[test]
    fn connections_are_judged_beside_those_given() {
        let folder = tempfile::tempdir().unwrap();
        let (backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
        tiny_bert(&backbone, &TinyBert::default());
        text_task(&task, &TextTask::default());
        let problem = Problem::for_search(
            (&backbone, None),
            (&task, &adaplace_task::Reading::default()),
            None,
            Some(30),
            0,
        )
        .unwrap();
        let (backbone, task) = problem.shared();
        let scorer = ProxyScorer::new(backbone, Arc::clone(&task), TrainingSettings::default(), 0);
        let scorer = Arc::new(scorer.unwrap());
        let settings = GradientMapSettings::default();
        let steps = Fidelity::of(4);
        let statistics: Statistics = Statistic::NuclearNorm.into();
        let map = scorer
            .gradient_map(&task.train, &Connection::all(5), &settings, &statistics)
            .unwrap();
        let path = folder.path().join("importances.jsonl");
        let map = Arc::new(map);
        let importances = Importances::at(path.clone());
        let proxy = GradientProxy::new(
            Arc::clone(&scorer),
            Arc::clone(&map),
            statistics,
            steps,
            importances,
        );
        let adapter = AdapterSpec::new(2, 1.0).unwrap();
        let given = Placement::new().with(Connection::new(0, 1), adapter);
        let connections = [Connection::new(0, 4), Connection::new(3, 1)];
        let connection_scores =
            |given: &Placement| proxy.connection_scores(given, &connections).unwrap();
        let table = map.table(Statistic::NuclearNorm).unwrap();
        assert_eq!(
            connection_scores(&Placement::new()),
            connections.map(|connection| table.get(connection).unwrap())
        );

        let together = connections.map(|connection| given.with(connection, adapter));
        let [alone, first, second] = [&given, &together[0], &together[1]]
            .map(|placement| map.joint().unwrap().gain(placement).unwrap());
        assert_eq!(connection_scores(&given), [first - alone, second - alone]);
        assert_eq!(proxy.joint_scores(&together).unwrap(), [first, second]);

        let expected = scorer.importances(&together[1], steps).unwrap();
        assert_eq!(proxy.importance(&together[1]).unwrap(), expected);
        assert!(path.exists());
    }
}
