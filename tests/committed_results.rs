//! What the README says of the committed results must be what the files say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use adaplace_analysis::spearman;
use adaplace_scorer::Statistic;
use adaplace_study::{Configuration, GradientMapFile, Ranking, StudyConfiguration};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/minilm-trec6-single")
}

fn ranking() -> Ranking {
    Ranking::read(&folder().join("ranking.json")).unwrap()
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
    let map = GradientMapFile::read(&folder().join("gradient-map.json")).unwrap();
    let table = &map.statistics[&Statistic::Rank];
    let (mut ranks, mut accuracies) = (Vec::new(), Vec::new());
    for trial in ranking().trials {
        let connection = trial.placement.connections().next().unwrap();
        ranks.push(table[usize::from(connection.source)][usize::from(connection.target)]);
        accuracies.push(trial.result.score().unwrap().validation_accuracy);
    }
    let correlation = spearman(&ranks, &accuracies).unwrap();
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
