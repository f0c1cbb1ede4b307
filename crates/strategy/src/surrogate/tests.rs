#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use adaplace_search_space::{
    AdapterSpec, ChainShape, Connection, Fidelity, Placement, SearchSpace, SpaceDescription,
};
use faer::{Mat, Side};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gaussian_process::GaussianProcess;
use super::hyperparameters::Hyperparameters;
use super::judgement::Judgement;
use super::kernel::{ConnectionTable, Members, SetKernel, SetScales};
use super::model::{Model, Observation, Point};
use super::posterior::SurrogateModel;
use super::told::Told;
use crate::{FixedProxy, Merit, Outcome, Proposal};

const SCALES: SetScales = SetScales {
    states: 2.0,
    kinds: 0.5,
    features: 1.0,
    ranks: 2.0,
};

fn space(hidden_states: u16, adapters: u16, ranks: &str) -> SearchSpace {
    let shape = ChainShape {
        hidden_states,
        width: 4,
        tokens: 2,
        sublayer_flops: vec![1000; usize::from(hidden_states) - 1],
    };
    let description = format!(
        "[connections]\nkinds = [\"sequential\", \"parallel\", \"long-range\", \"recurrent\"]\n\
         [adapter]\nranks = {ranks}\n[budget]\nadapters = {adapters}\nmin_adapters = 1\n"
    );
    let description = SpaceDescription::from_toml(&description).unwrap();
    SearchSpace::resolve(&description, &shape).unwrap()
}

fn placement(adapters: &[(u16, u16, u16)]) -> Placement {
    let adapters = adapters.iter().map(|&(source, target, rank)| {
        let adapter = AdapterSpec::new(rank, 1.0).unwrap();
        (Connection::new(source, target), adapter)
    });
    adapters.collect()
}

fn close(found: f64, expected: f64) {
    let error = (found - expected).abs();
    assert!(
        error <= 1e-10 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

/// The covariance of two observations. A third point has covariances c with them and variance 1.
const K: f64 = 0.4;
const NOISE: f64 = 0.1;
const Y: [f64; 2] = [1.3, 0.2];
const C: [f64; 2] = [0.7, 0.3];

fn two() -> Mat<f64> {
    Mat::from_fn(2, 2, |a, b| if a == b { 1.0 + NOISE } else { K })
}

#[test]
fn the_posterior_of_two_observations_is_the_closed_form() {
    let process = GaussianProcess::fit(two(), &[0, 0], &Y).unwrap();
    let beliefs = process.beliefs(Mat::from_fn(2, 1, |row, _| C[row]), &[1.0], 0);
    // C has the eigenvectors (1, 1) and (1, -1). The constant takes up the first, the mean.
    let (common, contrast) = (1.0 + NOISE + K, 1.0 + NOISE - K);
    let (difference, sum) = (Y[0] - Y[1], C[0] + C[1]);
    let mean = (Y[0] + Y[1]) / 2.0 + (C[0] - C[1]) / 2.0 * difference / contrast;
    close(beliefs.means[0], mean);
    close(
        process.means(&Mat::from_fn(2, 1, |row, _| C[row]), 0)[0],
        mean,
    );
    let scale = difference * difference / 2.0 / contrast;
    let explained = sum * sum / 2.0 / common + (C[0] - C[1]).powi(2) / 2.0 / contrast;
    let open = (1.0 - sum / common).powi(2) / (2.0 / common);
    close(beliefs.variances[0], scale * (1.0 - explained + open));
    let determinants = (common * contrast).ln() + (2.0 / common).ln();
    let expected = -0.5 * ((std::f64::consts::TAU * scale).ln() + 1.0 + determinants);
    close(process.log_likelihood(), expected);
}

#[test]
fn an_only_observation_of_a_group_says_nothing_of_another() {
    let alone = GaussianProcess::fit(two(), &[0, 0], &Y).unwrap();
    let covariance = Mat::from_fn(3, 3, |a, b| match (a, b) {
        (2, 2) => 1.0 + NOISE,
        (2, _) | (_, 2) => 0.5,
        _ => two()[(a, b)],
    });
    let both = GaussianProcess::fit(covariance, &[0, 0, 1], &[Y[0], Y[1], 40.0]).unwrap();
    let cross = |rows| Mat::from_fn(rows, 1, |row, _| [C[0], C[1], 0.6][row]);
    let (alone, both) = (
        alone.beliefs(cross(2), &[1.0], 0),
        both.beliefs(cross(3), &[1.0], 0),
    );
    close(both.means[0], alone.means[0]);
    close(both.variances[0], alone.variances[0]);
}

#[test]
fn nothing_is_learnt_from_equal_values() {
    assert!(GaussianProcess::fit(two(), &[0, 0], &[0.5, 0.5]).is_none());
    assert!(GaussianProcess::fit(two(), &[0, 1], &Y).is_none());
    let singular = Mat::from_fn(2, 2, |_, _| 1.0);
    assert!(GaussianProcess::fit(singular, &[0, 0], &Y).is_none());
}

#[test]
fn a_belief_counts_as_an_observation() {
    // The points lie on a line, and the last two are unobserved.
    let covariance = |a: usize, b: usize| (-0.1 * (a.abs_diff(b) as f64).powi(2)).exp();
    let noisy = |size: usize| {
        Mat::from_fn(size, size, |a, b| {
            covariance(a, b) + if a == b { NOISE } else { 0.0 }
        })
    };
    let cross = |rows: usize| Mat::from_fn(rows, 2, |row, point| covariance(row, 4 + point));
    let values = [0.3, 1.0, -0.2, 0.7];
    let process = GaussianProcess::fit(noisy(4), &[0; 4], &values).unwrap();
    let mut beliefs = process.beliefs(cross(4), &[1.0; 2], 0);
    beliefs.believe(0, &[1.0, covariance(4, 5)], NOISE);
    let values = [values.to_vec(), vec![beliefs.means[0]]].concat();
    let told = GaussianProcess::fit(noisy(5), &[0; 5], &values).unwrap();
    let expected = told.beliefs(cross(5), &[1.0; 2], 0);
    for point in 0..2 {
        close(beliefs.means[point], expected.means[point]);
        // The same sum of squares has one more degree of freedom: 4 instead of 3.
        close(
            beliefs.variances[point],
            expected.variances[point] * 4.0 / 3.0,
        );
    }
}

#[test]
fn the_kernel_of_single_connections_is_the_product_of_its_factors() {
    let space = space(5, 2, "[4, 16]");
    // Of 25 connections, before standardisation, the first has 5 and the others 0.
    let features: Vec<Vec<f64>> = (0..25)
        .map(|n| vec![if n == 0 { 5.0 } else { 0.0 }, 1.0])
        .collect();
    let table = ConnectionTable::new(&space, &features);
    let kernel = SetKernel::new(&table, SCALES);
    let members = |adapters: &[(u16, u16, u16)]| table.members(&placement(adapters));
    let k = |p: &[(u16, u16, u16)], q: &[(u16, u16, u16)]| {
        kernel.cross(&[&members(p)], &[&members(q)])[(0, 0)]
    };
    // Long-range and recurrent: two states apart in source, one in target, and ranks two doublings apart.
    let apart = (-(4.0_f64 + 1.0) / 8.0).exp() * 0.5 * (-4.0_f64 / 8.0).exp();
    close(k(&[(1, 3, 4)], &[(3, 2, 16)]), apart);
    // The deviation of the first feature is sqrt(24)/5. The second is constant and thus irrelevant.
    let unlike = (-(25.0_f64 / 24.0 * 25.0) / 2.0).exp();
    close(
        k(&[(0, 0, 4)], &[(1, 1, 4)]),
        (-2.0_f64 / 8.0).exp() * unlike,
    );
    // A pair and a set with one of its members: K(P, Q) = (1 + a) / 2 and K(P, P) = (1 + a) / 2.
    let a = (-(4.0_f64 + 1.0) / 8.0).exp() * 0.5;
    close(
        k(&[(1, 3, 4), (3, 2, 4)], &[(1, 3, 4)]),
        ((1.0 + a) / 2.0).sqrt(),
    );
    assert_eq!(k(&[], &[(1, 3, 4)]), 0.0);
}

#[test]
fn the_kernel_is_symmetric_with_unit_diagonal_and_positive() {
    let space = space(7, 3, "[2, 8]");
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let features: Vec<Vec<f64>> = (0..49)
        .map(|_| vec![random.random(), random.random()])
        .collect();
    let table = ConnectionTable::new(&space, &features);
    let sets: Vec<Members> = (0..40)
        .map(|_| table.members(&space.sample(random)))
        .collect();
    let sets: Vec<&Members> = sets.iter().collect();
    for states in [1.5, 4.0, 12.0] {
        for kinds in [0.5, 1.0] {
            for features in [0.5, f64::INFINITY] {
                let scales = SetScales {
                    states,
                    kinds,
                    features,
                    ranks: 1.0,
                };
                let kernel = SetKernel::new(&table, scales);
                let gram = kernel.gram(&sets);
                let cross = kernel.cross(&sets, &sets);
                for curvature in [0.0, 3.0] {
                    let h = Hyperparameters {
                        curvature,
                        ..Hyperparameters::START
                    };
                    let curved = Mat::from_fn(40, 40, |a, b| h.set_covariance(gram[(a, b)]));
                    let eigenvalues = curved.self_adjoint_eigenvalues(Side::Lower).unwrap();
                    assert!(
                        eigenvalues.iter().all(|&value| value > -1e-12),
                        "{eigenvalues:?}"
                    );
                    for a in 0..40 {
                        close(curved[(a, a)], 1.0);
                        for b in 0..40 {
                            assert_eq!(gram[(a, b)], gram[(b, a)]);
                            close(cross[(a, b)], gram[(a, b)]);
                        }
                    }
                }
            }
        }
    }
}

/// The worth of a placement: a hill of connections, minus what nearby ones have in common.
fn worth(placement: &Placement) -> f64 {
    let hill = |c: Connection| {
        let (s, t) = (f64::from(c.source), f64::from(c.target));
        (-((s - 8.0).powi(2) + (t - 3.0).powi(2)) / 18.0).exp()
    };
    let connections: Vec<Connection> = placement.connections().collect();
    let mut sum: f64 = connections.iter().copied().map(hill).sum();
    for (n, &a) in connections.iter().enumerate() {
        for &b in &connections[..n] {
            sum -= 0.4 * (hill(a) * hill(b)).sqrt() * (-f64::from(a.distance(b)) / 3.0).exp();
        }
    }
    sum
}

/// A proxy with uninformative connection scores.
fn proxy() -> FixedProxy {
    let all = (0..13).flat_map(|s| (0..13).map(move |t| Connection::new(s, t)));
    let connection_score = |c: Connection| f64::from((c.source * 7 + c.target * 5) % 11);
    all.map(|c| (c, connection_score(c))).collect()
}

fn four() -> SearchSpace {
    let shape = space(13, 4, "[8]").shape().clone();
    let all = "[connections]\nkinds = [\"sequential\", \"parallel\", \"long-range\", \"recurrent\"]\n\
               [adapter]\nranks = [8]\n[budget]\nadapters = 4\n";
    SearchSpace::resolve(&SpaceDescription::from_toml(all).unwrap(), &shape).unwrap()
}

fn noise(random: &mut ChaCha8Rng, deviation: f64) -> f64 {
    let sum: f64 = (0..12).map(|_| random.random::<f64>()).sum();
    deviation * (sum - 6.0)
}

/// The rank correlations with the worth of 200 placements: of their joint score, and of the predictions of a model
/// that was told `trials` random placements with noise of this deviation.
fn predicted(trials: usize, deviation: f64, seed: u64) -> [f64; 2] {
    let space = four();
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let judgement = Judgement::new(Arc::new(proxy()), &space, random).unwrap();
    let placements: Vec<Placement> = (0..trials + 200).map(|_| space.sample(random)).collect();
    let points = judgement.points(&placements).unwrap();
    let observations: Vec<Observation<'_>> = (0..trials)
        .map(|n| Observation {
            point: &points[n],
            fidelity: Fidelity::of(64),
            value: worth(&placements[n]) + noise(random, deviation),
        })
        .collect();
    let chosen = Model::choose(&judgement.table, &observations).unwrap();
    let model = Model::fit(&judgement.table, &observations, chosen).unwrap();
    let others: Vec<&Point> = points[trials..].iter().collect();
    let judged: Vec<f64> = others.iter().map(|point| point.judged).collect();
    let worths: Vec<f64> = placements[trials..].iter().map(worth).collect();
    [judged, model.means(&others)].map(|of| adaplace_analysis::spearman(&of, &worths).unwrap())
}

/// The worths have a standard deviation of 0.5.
#[test]
fn sets_that_were_not_tried_are_predicted() {
    for (trials, deviation, least) in [(32, 0.15, 0.9), (64, 0.15, 0.95), (64, 0.5, 0.8)] {
        let of_seed = |seed| predicted(trials, deviation, seed);
        let all: Vec<[f64; 2]> = (0..6).map(of_seed).collect();
        let mean = |which: usize| all.iter().map(|one| one[which]).sum::<f64>() / 6.0;
        assert!(
            mean(0).abs() < 0.3,
            "the connection scores are informative: {all:?}"
        );
        assert!(mean(1) > least, "{trials} {deviation}: {all:?}");
    }
}

/// The worth is the mean distance between connections, which few trials suffice to learn.
#[test]
fn the_effect_of_distance_is_learnt_from_few_trials() {
    let space = four();
    let worth = |placement: &Placement| placement.mean_distance().unwrap();
    let of_seed = |seed| {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let placements: Vec<Placement> = (0..216).map(|_| space.sample(random)).collect();
        let model = SurrogateModel::new(Arc::new(proxy()), &space, &placements, 0).unwrap();
        let noisy = |n: usize| (n, worth(&placements[n]) + noise(random, 0.5));
        let told: Vec<(usize, f64)> = (0..16).map(noisy).collect();
        let means = model.means(&told).unwrap();
        let worths: Vec<f64> = placements[16..].iter().map(worth).collect();
        adaplace_analysis::spearman(&means[16..], &worths).unwrap()
    };
    let all: Vec<f64> = (0..6).map(of_seed).collect();
    assert!(all.iter().sum::<f64>() / 6.0 > 0.8, "{all:?}");
}

/// If the worth is additive, the first 60 of 120 placements predict the others. Nothing is learnt from equal scores.
#[test]
fn the_model_is_told_places_and_gives_means_in_their_order() {
    let space = four();
    let random = &mut ChaCha8Rng::seed_from_u64(3);
    let placements: Vec<Placement> = (0..120).map(|_| space.sample(random)).collect();
    let model = SurrogateModel::new(Arc::new(proxy()), &space, &placements, 0).unwrap();
    let told: Vec<(usize, f64)> = (0..60).map(|n| (n, worth(&placements[n]))).collect();
    let means = model.means(&told).unwrap();
    assert_eq!(means.len(), 120);
    assert_eq!(means, model.means(&told).unwrap());
    let error = |places: std::ops::Range<usize>, guess: &dyn Fn(usize) -> f64| {
        let squares = places.map(|n| (guess(n) - worth(&placements[n])).powi(2));
        squares.sum::<f64>()
    };
    let mean = told.iter().map(|(_, score)| score).sum::<f64>() / 60.0;
    let (found, constant) = (error(60..120, &|n| means[n]), error(60..120, &|_| mean));
    assert!(found < 0.2 * constant, "{found} {constant}");
    assert_eq!(model.means(&[(0, 1.0), (1, 1.0)]), None);
    assert_eq!(model.means(&[]), None);
}

#[test]
fn observations_of_a_lower_fidelity_help() {
    let space = four();
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    let judgement = Judgement::new(Arc::new(proxy()), &space, random).unwrap();
    let placements: Vec<Placement> = (0..260).map(|_| space.sample(random)).collect();
    let points = judgement.points(&placements).unwrap();
    // Short trainings score lower by one and a half for all placements.
    let observation = |n: usize| Observation {
        point: &points[n],
        fidelity: Fidelity::of(if n < 12 { 64 } else { 32 }),
        value: worth(&placements[n]) - if n < 12 { 0.0 } else { 1.5 },
    };
    let all: Vec<Observation<'_>> = (0..60).map(observation).collect();
    let others: Vec<&Point> = points[60..].iter().collect();
    let worths: Vec<f64> = placements[60..].iter().map(worth).collect();
    let predict = |observations: &[Observation<'_>]| {
        let chosen = Model::choose(&judgement.table, observations).unwrap();
        let model = Model::fit(&judgement.table, observations, chosen).unwrap();
        model.means(&others)
    };
    let error = |means: &[f64]| {
        let squares = means.iter().zip(&worths).map(|(a, b)| (a - b).powi(2));
        (squares.sum::<f64>() / 200.0).sqrt()
    };
    let (long, both) = (error(&predict(&all[..12])), error(&predict(&all)));
    assert!(both < 0.7 * long, "{both} {long}");
}

#[test]
fn failures_count_as_the_worst_and_outliers_are_raised() {
    let fidelity = Fidelity::of(4);
    let mut told = Told::default();
    let one = |source| placement(&[(source, 0, 8)]);
    let scores = [
        Some(0.4),
        Some(0.5),
        None,
        Some(0.6),
        Some(-1e9),
        Some(f64::INFINITY),
    ];
    for (source, score) in (0..).zip(scores) {
        let proposal = Proposal {
            placement: one(source),
            fidelity,
        };
        let merit = |score| Merit::new(fidelity, score, 0.0).unwrap();
        told.push(
            &proposal,
            &score.map_or(Outcome::Failed, |score| Outcome::Scored(merit(score))),
        );
    }
    let space = four();
    let random = &mut ChaCha8Rng::seed_from_u64(0);
    let judgement = Judgement::new(Arc::new(proxy()), &space, random).unwrap();
    let placements = told.placements();
    assert_eq!(placements.len(), 6);
    let points = judgement.points(&placements).unwrap();
    let points: BTreeMap<Placement, Point> = placements.into_iter().zip(points).collect();
    let values: Vec<f64> = told
        .observations(&points)
        .iter()
        .map(|one| one.value)
        .collect();
    // The quartiles of -1e9, 0.4, 0.5, 0.6 are -1e9 and 0.5, which is too few values to detect an outlier.
    assert_eq!(values, [0.4, 0.5, -1e9, 0.6, -1e9, -1e9]);
    assert_eq!(told.scored_at(fidelity).len(), 4);
    assert!(told.scored_at(Fidelity::of(8)).is_empty());
}
