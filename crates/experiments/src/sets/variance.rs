//! Variance components of the results of a bench.

use adaplace_analysis::{
    Components, Kernel, Measured, bootstrap, components, explained, folds, held_out, spearman,
};
use adaplace_search_space::{Connection, Placement};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::repeated::{Trained, means};

const FOLDS: usize = 10;

/// Candidate length scales of source and target, in states.
const LENGTHS: [f64; 3] = [1.0, 2.5, 6.0];

/// Relative similarity of two connections of different kinds.
const OTHER_KIND: f64 = 0.5;

/// Candidate shares of pairs in the kernel, besides 0.
const PAIRS: [f64; 2] = [0.3, 0.7];

/// Variance components of one result, accuracy or loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetVariance {
    /// Shares of the variance of single trainings; none without repetitions or variance.
    pub shares: Option<VarianceShares>,
    /// The placement's share of the variance of the mean over its repetitions.
    pub reliability: Option<f64>,
    /// Cross-validated R^2 of a sum over the placement's connections as a prediction of that mean; below 0 if it
    /// predicts worse than the overall mean.
    pub sum: Option<Measured>,
    /// How much a sum over pairs of connections adds to that R^2; none for single connections.
    pub pairs: Option<Measured>,
    /// Spearman's rho between the residuals, after the sum, of the mean result and of the mean distance between the
    /// connections. Larger results are better: above 0, closeness hurts beyond the effects of single connections.
    pub distance: Option<Measured>,
}

/// The shares of the variance of single trainings, which sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarianceShares {
    /// The share of the placement.
    pub placement: f64,
    /// The share of the order of the examples, common to all placements.
    pub order: f64,
    /// The rest: noise, and the interaction of order and placement.
    pub rest: f64,
}

impl VarianceShares {
    fn of(components: Components) -> Option<Self> {
        let Components {
            rows,
            columns,
            rest,
        } = components;
        let total = rows + columns + rest;
        (total > 0.0).then(|| Self {
            placement: rows / total,
            order: columns / total,
            rest: rest / total,
        })
    }
}

impl SetVariance {
    /// R^2 as a share of the reliability, the upper bound of any prediction; none if the reliability is unknown or 0.
    #[must_use]
    pub fn of_own(&self, explained: Measured) -> Option<Measured> {
        let reliability = self.reliability.filter(|&own| own > 0.0)?;
        Some(Measured {
            value: explained.value / reliability,
            low: explained.low.map(|low| low / reliability),
            high: explained.high.map(|high| high / reliability),
        })
    }

    /// The variance components of accuracy and of negated loss.
    pub(super) fn of(trained: &Trained, seed: u64) -> [Self; 2] {
        let placements = &trained.placements;
        let tables = [&trained.accuracy, &trained.loss];
        let results = tables.map(|table| means(table));
        let distances: Option<Vec<f64>> = placements.iter().map(Placement::mean_distance).collect();
        let sums: Vec<Kernel> = LENGTHS
            .iter()
            .map(|&length| sum_kernel(placements, length))
            .collect();
        let mut targets: Vec<&[f64]> = results.iter().map(Vec::as_slice).collect();
        targets.extend(distances.as_deref());
        let of_sums = predictions(&sums, &targets, seed);
        let of_pairs = distances.as_ref().and_then(|_| {
            let mut kernels = sums.clone();
            for kernel in &sums {
                kernels.extend(PAIRS.iter().map(|&share| with_pairs(kernel, share)));
            }
            predictions(&kernels, &targets[..2], seed)
        });
        let left = |target: usize| -> Option<Vec<f64>> {
            let predicted = of_sums.as_ref()?.get(target)?.iter();
            let pairs = targets.get(target)?.iter().zip(predicted);
            Some(pairs.map(|(value, predicted)| value - predicted).collect())
        };
        std::array::from_fn(|target| {
            let result = &results[target];
            let found = components(tables[target]);
            let sum = of_sums.as_ref().map(|all| &all[target]);
            let pairs = of_pairs.as_ref().map(|all| &all[target]);
            let measure = |value: &dyn Fn(&[usize]) -> Option<f64>| {
                let all: Vec<usize> = (0..result.len()).collect();
                let interval = bootstrap(result.len(), seed, |drawn| value(drawn));
                Some(Measured::new(value(&all)?, interval))
            };
            let share = |predicted: &[f64], drawn: &[usize]| {
                explained(&picked(result, drawn), &picked(predicted, drawn))
            };
            Self {
                shares: found.and_then(VarianceShares::of),
                reliability: found.and_then(|found| found.reliability(trained.repetitions)),
                sum: sum.and_then(|sum| measure(&|drawn| share(sum, drawn))),
                pairs: sum.zip(pairs).and_then(|(sum, pairs)| {
                    measure(&|drawn| Some(share(pairs, drawn)? - share(sum, drawn)?))
                }),
                distance: left(target)
                    .zip(left(2))
                    .and_then(|(of_result, of_distance)| {
                        measure(&|drawn| {
                            spearman(&picked(&of_distance, drawn), &picked(&of_result, drawn))
                        })
                    }),
            }
        })
    }
}

fn picked(values: &[f64], drawn: &[usize]) -> Vec<f64> {
    drawn.iter().map(|&index| values[index]).collect()
}

/// The cross-validated prediction for each placement, for each target.
fn predictions(kernels: &[Kernel], targets: &[&[f64]], seed: u64) -> Option<Vec<Vec<f64>>> {
    let count = targets.first()?.len();
    let folds = folds(count, FOLDS, seed);
    let found: Vec<_> = folds
        .par_iter()
        .map(|fold| held_out(kernels, targets, fold))
        .collect::<Option<_>>()?;
    let mut predictions = vec![vec![0.0; count]; targets.len()];
    for (fold, found) in folds.iter().zip(found) {
        for (of_target, found) in predictions.iter_mut().zip(found) {
            for (&index, value) in fold.iter().zip(found) {
                of_target[index] = value;
            }
        }
    }
    Some(predictions)
}

/// The kernel of f(P) = sum over c in P of g(c): sum over c in P and d in Q of exp(-(ds^2 + dt^2) / (2 l^2)), halved if
/// the kinds differ, with ds and dt the differences of source and target. It is scaled to a mean diagonal of 1.
fn sum_kernel(placements: &[Placement], length: f64) -> Kernel {
    let alike = |c: Connection, d: Connection| {
        let square = |a: u16, b: u16| f64::from(a.abs_diff(b)).powi(2);
        let squares = square(c.source, d.source) + square(c.target, d.target);
        let kinds = if c.kind() == d.kind() {
            1.0
        } else {
            OTHER_KIND
        };
        kinds * (-squares / (2.0 * length * length)).exp()
    };
    let sets: Vec<Vec<Connection>> = placements
        .iter()
        .map(|placement| placement.connections().collect())
        .collect();
    let between = |p: &[Connection], q: &[Connection]| -> f64 {
        let terms = p.iter().flat_map(|&c| q.iter().map(move |&d| alike(c, d)));
        terms.sum()
    };
    let row = |p: &Vec<Connection>| sets.iter().map(|q| between(p, q)).collect();
    scaled(sets.iter().map(row).collect())
}

/// The kernel of f(P) = sum over c of g(c) + sum over c and c' of h(c, c'): the kernel of the second part is the square
/// of the sum's kernel, so that the similarity of two pairs is the product of the similarities of their connections.
fn with_pairs(sum: &Kernel, share: f64) -> Kernel {
    let square = |row: &Vec<f64>| row.iter().map(|value| value * value).collect();
    let squared = scaled(sum.iter().map(square).collect());
    let mixed = |(row, squared): (&Vec<f64>, Vec<f64>)| {
        let pairs = row.iter().zip(squared);
        pairs
            .map(|(value, square)| (1.0 - share) * value + share * square)
            .collect()
    };
    sum.iter().zip(squared).map(mixed).collect()
}

/// The kernel, scaled to a mean diagonal of 1.
fn scaled(mut kernel: Kernel) -> Kernel {
    let trace: f64 = kernel.iter().enumerate().map(|(n, row)| row[n]).sum();
    let mean = trace / kernel.len() as f64;
    kernel.iter_mut().flatten().for_each(|value| *value /= mean);
    kernel
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::AdapterSpec;

    use super::*;

    /// All pairs of the 16 connections of four states, with the results given by `worth`.
    fn trained(worth: impl Fn(Connection, Connection) -> f64) -> Trained {
        let all: Vec<Connection> = (0..16).map(|n| Connection::new(n / 4, n % 4)).collect();
        let adapter = AdapterSpec::new(1, 1.0).unwrap();
        let mut placements = Vec::new();
        let mut accuracy = Vec::new();
        for (index, &one) in all.iter().enumerate() {
            for &other in &all[..index] {
                placements.push(Placement::from_iter([(one, adapter), (other, adapter)]));
                let value = worth(one, other);
                // Orders differ by 0.3, with noise of plus and minus 0.01.
                let noise = if placements.len().is_multiple_of(2) {
                    0.01
                } else {
                    -0.01
                };
                accuracy.push(vec![value + noise, value + 0.3 - noise]);
            }
        }
        Trained {
            loss: accuracy.clone(),
            placements,
            accuracy,
            repetitions: 2,
        }
    }

    fn alone(connection: Connection) -> f64 {
        f64::from(connection.source * 7 % 4) - f64::from(connection.target * 3 % 4)
    }

    #[test]
    fn what_sums_is_told_from_what_pairs_add() {
        let [sums, loss] = SetVariance::of(&trained(|a, b| alone(a) + alone(b)), 0);
        assert_eq!(sums, loss);
        let shares = sums.shares.unwrap();
        assert!((shares.placement + shares.order + shares.rest - 1.0).abs() < 1e-12);
        assert!(shares.placement > 0.9 && shares.order > shares.rest);
        assert!(sums.reliability.unwrap() > 0.99);
        assert!(sums.sum.unwrap().value > 0.95, "{sums:?}");
        assert!(sums.pairs.unwrap().value < 0.02, "{sums:?}");

        let together = |a: Connection, b: Connection| {
            let same = f64::from(u8::from(a.source == b.source));
            alone(a) + alone(b) + 6.0 * same
        };
        let [pairs, _] = SetVariance::of(&trained(together), 0);
        assert!(pairs.sum.unwrap().value < 0.8, "{pairs:?}");
        assert!(pairs.pairs.unwrap().low.unwrap() > 0.05, "{pairs:?}");
    }

    #[test]
    fn nearness_that_hurts_shows_beside_the_sum() {
        let rho = |weight: f64| {
            let worth = |a: Connection, b: Connection| {
                alone(a) + alone(b) + weight * f64::from(a.distance(b))
            };
            let [found, _] = SetVariance::of(&trained(worth), 0);
            found.distance.unwrap()
        };
        assert!(rho(0.5).low.unwrap() > 0.5, "{:?}", rho(0.5));
        assert!(rho(-0.5).high.unwrap() < -0.5, "{:?}", rho(-0.5));
    }

    #[test]
    fn a_share_of_what_is_the_placements_own() {
        let variance = SetVariance {
            shares: None,
            reliability: Some(0.8),
            sum: None,
            pairs: None,
            distance: None,
        };
        let explained = Measured {
            value: 0.6,
            low: Some(0.4),
            high: None,
        };
        let own = variance.of_own(explained).unwrap();
        assert!((own.value - 0.75).abs() < 1e-12 && (own.low.unwrap() - 0.5).abs() < 1e-12);
        let unknown = SetVariance {
            reliability: Some(0.0),
            ..variance
        };
        assert_eq!(unknown.of_own(explained), None);
    }

    /// The kernel of 0->0 and 2->0 alone is exp(-4 / 2 l^2) / 2, as the first is sequential and the second recurrent.
    #[test]
    fn the_kernel_of_single_connections_by_hand() {
        let adapter = AdapterSpec::new(1, 1.0).unwrap();
        let single = |source| Placement::from_iter([(Connection::new(source, 0), adapter)]);
        let kernel = sum_kernel(&[single(0), single(2)], 2.0);
        assert!((kernel[0][1] - 0.5 * (-0.5_f64).exp()).abs() < 1e-12);
        assert_eq!((kernel[0][0], kernel[1][1]), (1.0, 1.0));
        let pairs = with_pairs(&kernel, 0.3);
        let expected = 0.7 * kernel[0][1] + 0.3 * kernel[0][1].powi(2);
        assert!((pairs[1][0] - expected).abs() < 1e-12);
    }
}
