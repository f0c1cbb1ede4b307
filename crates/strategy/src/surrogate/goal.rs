//! The goal that a proposal is to improve on.

use adaplace_search_space::Fidelity;
use rand::Rng;

use super::acquisition::{Tchebycheff, expected_improvement};
use crate::{Merit, Objectives, nondominated_order};

/// A tried placement, with its posterior mean and its costs.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) mean: f64,
    pub(crate) costs: Vec<f64>,
}

/// The indices of `known`, the best first: by the mean, or with costs by front and crowding distance. Among equals the
/// earlier comes first.
pub(crate) fn best_first(known: &[Known], fidelity: Fidelity) -> Vec<usize> {
    let mut order: Vec<usize> = (0..known.len()).collect();
    if known.iter().all(|one| one.costs.is_empty()) {
        order.sort_by(|&a, &b| known[b].mean.total_cmp(&known[a].mean).then(a.cmp(&b)));
        return order;
    }
    let merits = known.iter().map(|one| Merit::new(fidelity, one.mean, 0.0));
    let points: Option<Vec<Objectives>> = merits
        .zip(known)
        .map(|(merit, one)| {
            let costs = one.costs.clone();
            merit.map(|merit| Objectives { merit, costs })
        })
        .collect();
    points.map_or(order, |points| nondominated_order(&points))
}

/// The goal by which the next proposal is chosen.
pub(crate) enum Goal {
    /// To exceed the best posterior mean.
    Merit {
        /// The best posterior mean.
        best: f64,
    },
    /// To fall below the least weighted sum of merit and costs tried so far, with random weights.
    Weighted {
        scalar: Tchebycheff,
        least: f64,
        /// For each cost, its least value and its range among the tried placements.
        ranges: Vec<(f64, f64)>,
    },
}

impl Goal {
    /// The goal of improving on `known`, which is not empty. With costs, the weights are drawn uniformly from those
    /// that sum to 1.
    pub(crate) fn new<R: Rng + ?Sized>(known: &[Known], random: &mut R) -> Self {
        let (worst, best) = range(known.iter().map(|one| one.mean));
        let costs = known.first().map_or(0, |one| one.costs.len());
        if costs == 0 {
            return Goal::Merit { best };
        }
        let ranges: Vec<(f64, f64)> = (0..costs)
            .map(|cost| {
                let (least, most) = range(known.iter().map(|one| one.costs[cost]));
                (least, positive(most - least))
            })
            .collect();
        let draws = (0..=costs).map(|_| -(1.0 - random.random::<f64>()).ln());
        let draws: Vec<f64> = draws.collect();
        let total = positive(draws.iter().sum());
        let weights: Vec<f64> = draws.iter().map(|draw| draw / total).collect();
        let scalar = Tchebycheff::new(&weights, best, positive(best - worst));
        let numbers = known
            .iter()
            .map(|one| scalar.at(one.mean, &shares(&ranges, &one.costs)));
        let (least, _) = range(numbers);
        Goal::Weighted {
            scalar,
            least,
            ranges,
        }
    }

    /// The expected improvement of a placement with these costs, whose merit is normal with this mean and standard
    /// deviation.
    pub(crate) fn improvement(&self, mean: f64, deviation: f64, costs: &[f64]) -> f64 {
        match self {
            Goal::Merit { best } => expected_improvement(mean, deviation, *best),
            Goal::Weighted {
                scalar,
                least,
                ranges,
            } => scalar.expected_improvement((mean, deviation), &shares(ranges, costs), *least),
        }
    }
}

/// The costs as shares of their ranges.
fn shares(ranges: &[(f64, f64)], costs: &[f64]) -> Vec<f64> {
    let pairs = ranges.iter().zip(costs);
    pairs
        .map(|((least, range), cost)| (cost - least) / range)
        .collect()
}

/// The smallest and the largest of some numbers.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), value| (least.min(value), most.max(value)),
    )
}

fn positive(width: f64) -> f64 {
    if width > 0.0 { width } else { 1.0 }
}
