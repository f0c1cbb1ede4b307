//! What the README says of the committed results must be what the files say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use adaplace_scorer::Statistic;
use adaplace_study::{Configuration, GradientMapFile, Ranking, StudyConfiguration};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/minilm-trec6-single")
}

fn ranking() -> Ranking {
    let text = std::fs::read(folder().join("ranking.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Ranks from 1, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|&&other| other < value).count();
    let equal = |value: f64| values.iter().filter(|&&other| other == value).count();
    let rank = |&value: &f64| below(value) as f64 + (equal(value) as f64 + 1.0) / 2.0;
    values.iter().map(rank).collect()
}

/// Pearson's correlation of the ranks.
fn spearman(x: &[f64], y: &[f64]) -> f64 {
    let (x, y) = (ranks(x), ranks(y));
    let mean = (x.len() as f64 + 1.0) / 2.0;
    let products = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    products(&x, &y) / (products(&x, &x) * products(&y, &y)).sqrt()
}

#[test]
fn spearman_by_hand() {
    assert_eq!(ranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
    // One exchange of neighbours among four: 1 - 6 * 2 / (4 * 15)
    assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.8).abs() < 1e-12);
}

#[test]
fn every_single_connection_was_trained() {
    let ranking = ranking();
    assert_eq!(ranking.trials.len(), 169);
    assert!(
        ranking
            .trials
            .iter()
            .all(|trial| trial.placement.len() == 1 && trial.complete)
    );
    let configuration = StudyConfiguration::read(&folder().join("study.toml")).unwrap();
    assert_eq!(configuration.search.steps.steps(), 64);
    assert_eq!(configuration.task.train_examples, Some(500));
}

#[test]
fn the_gradient_rank_goes_with_the_accuracy() {
    let text = std::fs::read(folder().join("gradient-map.json")).unwrap();
    let map: GradientMapFile = serde_json::from_slice(&text).unwrap();
    let table = &map.statistics[&Statistic::Rank];
    let (mut rank, mut accuracy) = (Vec::new(), Vec::new());
    for trial in ranking().trials {
        let connection = trial.placement.connections().next().unwrap();
        rank.push(table[usize::from(connection.source)][usize::from(connection.target)]);
        accuracy.push(trial.result.score().unwrap().validation_accuracy);
    }
    let correlation = spearman(&rank, &accuracy);
    println!("gradient rank and validation accuracy: {correlation:.3}");
    assert!(correlation >= 0.5, "{correlation}");
}

#[test]
fn the_best_connection_is_far_above_the_linear_probe() {
    let ranking = ranking();
    let best = ranking.trials[0]
        .result
        .score()
        .unwrap()
        .validation_accuracy;
    let again = ranking.finalists[0]
        .repeated
        .validation_accuracy
        .unwrap()
        .mean;
    let probe = ranking.probe.validation.accuracy;
    println!("linear probe {probe}, best trial {best}, best finalist {again}");
    assert!(best - probe >= 0.08 && again - probe >= 0.08);
}
