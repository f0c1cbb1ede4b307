//! How well a single training ranks placements by each metric, compared with their other trainings.

use adaplace_analysis::spearman;
use adaplace_scorer::Measures;
use adaplace_study::Metric;
use adaplace_task::ProblemKind;
use serde::{Deserialize, Serialize};

use super::repeated::{Trained, means};

/// How well a single training ranks placements by one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankedBy {
    /// The metric.
    pub metric: Metric,
    /// Spearman's rho between one training by the metric, signed so that larger is better, and the mean accuracy of the
    /// placement's other trainings, averaged over the choice of the one. None if the metric or the accuracy is the same
    /// for all.
    pub rho: Option<f64>,
}

/// The result for each metric; empty without repetitions.
pub(super) fn ranked(trained: &Trained) -> Vec<RankedBy> {
    if trained.repetitions < 2 {
        return Vec::new();
    }
    // A bench tabulates classifications.
    let metrics = Metric::of_two(ProblemKind::Classification).into_iter();
    let ranked = metrics.map(|metric| RankedBy {
        metric,
        rho: rho(trained, metric),
    });
    ranked.collect()
}

fn rho(trained: &Trained, metric: Metric) -> Option<f64> {
    let of_one = |one: usize| {
        let rows = trained.accuracy.iter().zip(&trained.loss);
        let (merits, others): (Vec<f64>, Vec<Vec<f64>>) = rows
            .map(|(accuracy, negated)| {
                let measures = Measures::of_accuracy(accuracy[one]);
                let merit = metric.signed(metric.of(&measures, -negated[one]));
                let mut others = accuracy.clone();
                others.remove(one);
                (merit, others)
            })
            .unzip();
        spearman(&merits, &means(&others))
    };
    let rhos: Option<Vec<f64>> = (0..trained.repetitions).map(of_one).collect();
    Some(rhos?.iter().sum::<f64>() / trained.repetitions as f64)
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::Placement;

    use super::*;

    /// Accuracies order three placements the same way twice, losses in reverse. Half of a loss difference of 1
    /// outweighs an accuracy difference of 0.1.
    #[test]
    fn metrics_by_hand() {
        let mut trained = Trained {
            placements: vec![Placement::new(); 3],
            accuracy: vec![vec![0.1, 0.1], vec![0.2, 0.2], vec![0.3, 0.3]],
            loss: vec![vec![-1.0, -1.0], vec![-2.0, -2.0], vec![-3.0, -3.0]],
            repetitions: 2,
        };
        let rhos = |trained: &Trained| -> Vec<(Metric, Option<f64>)> {
            let ranked = ranked(trained).into_iter();
            ranked.map(|one| (one.metric, one.rho)).collect()
        };
        let expected = [
            (Metric::Accuracy, Some(1.0)),
            (Metric::Loss, Some(-1.0)),
            (Metric::Combined, Some(-1.0)),
        ];
        assert_eq!(rhos(&trained), expected);
        // In the second training all losses are equal, so they give no order.
        trained.loss.iter_mut().for_each(|row| row[1] = -1.0);
        assert_eq!(rhos(&trained)[1], (Metric::Loss, None));
        trained.repetitions = 1;
        assert_eq!(rhos(&trained), []);
    }
}
