//! The statements of the documentation about the committed results agree with the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adaplace_analysis::spearman;
use adaplace_experiments::{Audit, Comparison};
use adaplace_scorer::Statistic;
use adaplace_search_space::Count;
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
    assert_eq!(configuration.task.train_examples.map(Count::get), Some(500));
}

#[test]
fn the_gradient_rank_goes_with_the_accuracy() {
    let map = GradientMapFile::read(&folder().join("gradient-map.json")).unwrap();
    let table = &map.statistics[&Statistic::Rank];
    let (mut ranks, mut accuracies) = (Vec::new(), Vec::new());
    for trial in ranking().trials {
        let connection = trial.placement.connections().next().unwrap();
        ranks.push(table.get(connection).unwrap());
        accuracies.push(trial.result.score().unwrap().measures.headline());
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
        .measures
        .headline();
    let again = ranking.finalists[0]
        .repeated
        .validation_accuracy
        .unwrap()
        .mean;
    let probe = ranking.probe.validation.measures.headline();
    println!("linear probe {probe}, best trial {best}, best finalist {again}");
    assert!(best - probe >= 0.08 && again - probe >= 0.08);
}

/// The default of `--statistic` agrees best with accuracy and loss in the mean over the audits, including the simple
/// rules.
#[test]
fn the_default_statistic_is_that_of_the_audits() {
    let audits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/audit");
    let mut sums: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    let mut count = 0;
    for folder in std::fs::read_dir(audits).unwrap() {
        let file = folder.unwrap().path().join("audit.json");
        let audit: Audit = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        count += 1;
        for audited in audit.predictors {
            let sum = sums.entry(audited.predictor.to_string()).or_default();
            sum[0] += audited.validation_headline.spearman.unwrap().value;
            sum[1] += audited.validation_loss.spearman.unwrap().value;
        }
    }
    assert_eq!(count, 5);
    for result in [0, 1] {
        let best = sums
            .iter()
            .max_by(|a, b| a.1[result].total_cmp(&b.1[result]));
        assert_eq!(best.unwrap().0, "rank + validation alignment", "{sums:?}");
    }
    for command in ["search", "compare"] {
        let help = crate::common::Lab::text()
            .run(&format!("{command} --help"))
            .succeeded();
        assert!(help.stdout.contains("[default: rank,validation-alignment]"));
    }
}

/// Compares the tables of comparisons in the documentation with the files, cell by cell. The means over the seeds are
/// computed again.
#[test]
fn the_tables_of_comparisons_are_those_of_the_files() {
    compared(
        "docs/compare.md",
        &[
            ("TREC-6", "minilm-trec6"),
            ("SST-2", "minilm-sst2"),
            ("signdigits", "dinov2-s-signdigits"),
            ("cifar10-2k", "dinov2-s-cifar10-2k"),
        ],
        &[
            ("`greedy`, k adapters", "greedy"),
            (
                "best of 16 random parallel, k adapters",
                "best-of-16-random-parallel",
            ),
            ("parallel everywhere", "parallel-everywhere"),
            ("sequential everywhere", "sequential-everywhere"),
            ("linear probe", "linear-probe"),
        ],
    );
    compared(
        "README.md",
        &[
            ("counting", "quickstart-counting"),
            ("orientation", "quickstart-orientation"),
            ("location", "quickstart-location"),
        ],
        &[
            ("`surrogate`", "surrogate"),
            ("`prune`", "prune"),
            ("`greedy`", "greedy"),
            ("`evolution`", "evolution"),
            ("`random`", "random"),
            ("parallel everywhere, 12 adapters", "parallel-everywhere"),
            (
                "the same with as many parameters as 4",
                "parallel-everywhere-equal",
            ),
            ("linear probe", "linear-probe"),
        ],
    );
}

/// Checks that a page has the table of these tasks and competitors.
fn compared(page: &str, columns: &[(&str, &str)], rows: &[(&str, &str)]) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(repository.join(page)).unwrap();
    let mut table: Vec<String> = rows.iter().map(|row| format!("| {} |", row.0)).collect();
    let mut header = "| test accuracy, % |".to_string();
    for (task, file) in columns {
        header += &format!(" {task} |");
        let file = repository.join(format!("results/compare/{file}.json"));
        let comparison: Comparison = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for (line, (_, name)) in table.iter_mut().zip(rows) {
            let competitor = comparison
                .competitors
                .iter()
                .find(|competitor| competitor.name == *name)
                .unwrap();
            let seeds = &competitor.seeds;
            assert!(seeds.len() >= 5);
            let sum: f64 = seeds.iter().map(|seed| seed.test_headline().unwrap()).sum();
            let mean = 100.0 * sum / seeds.len() as f64;
            let interval = competitor.test_headline.unwrap();
            *line += &match *name {
                "linear-probe" => format!(" {mean:.2} |"),
                _ => format!(
                    " {mean:.2} [{:.2}, {:.2}] |",
                    100.0 * interval.low.unwrap(),
                    100.0 * interval.high.unwrap()
                ),
            };
        }
    }
    for line in table.iter().chain([&header]) {
        assert!(
            text.lines().any(|other| other == line),
            "{page} has no line {line}"
        );
    }
}
