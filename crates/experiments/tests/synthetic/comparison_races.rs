//! Comparisons whose searches end in a race.

use std::collections::BTreeSet;
use std::path::Path;

use adaplace_experiments::{Comparison, ComparisonConfiguration, StoredComparison};
use adaplace_study::Phase;
use adaplace_synthetic::{closed_form, journal, steps, unordered};

use crate::comparisons::{FINAL_STEPS, comparison, finished, of};

/// Sixteen trainings: twelve trials and a race of four.
fn raced(strategies: &[&str]) -> ComparisonConfiguration {
    let mut configuration = comparison(strategies);
    configuration.comparison.budget_steps = 16 * 9;
    configuration.comparison.race = 1;
    configuration.comparison.seeds = 2;
    // A replay has fewer baselines and no durations.
    configuration.comparison.replayed = true;
    configuration
}

fn records(folder: &Path) -> StoredComparison {
    StoredComparison::read(folder).unwrap()
}

/// The trainings of a race are charged to its search, even if another search shares them. The baselines with few random
/// placements have no race.
#[test]
fn a_race_is_part_of_the_budget() {
    let configuration = raced(&["random", "evolution", "gradient-greedy"]);
    let folder = tempfile::tempdir().unwrap();
    let comparison = finished(folder.path(), &configuration, 2);
    let steps = |name: &str| -> Vec<u64> {
        let seeds = of(&comparison, name).seeds.iter();
        seeds.map(|result| result.steps).collect()
    };
    for name in ["random", "evolution"] {
        assert_eq!(steps(name), [16 * 9; 2], "{name}");
    }
    for name in ["best-of-2-random", "best-of-2-random-parallel"] {
        assert_eq!(steps(name), [2 * 9; 2], "{name}");
    }
    // It finds a single placement, so there is no race.
    assert_eq!(steps("gradient-greedy"), [9; 2]);

    let trials = records(folder.path()).trials;
    let of_phase = |phase: Phase| -> BTreeSet<u32> {
        let records = trials.iter().filter(|record| record.phase == phase);
        records.map(|record| record.repetition).collect()
    };
    assert_eq!(of_phase(Phase::Search), BTreeSet::from([1, 2]));
    assert_eq!(of_phase(Phase::Race), BTreeSet::from([1001, 2001]));
    for (seed, random) in (1..).zip(&of(&comparison, "random").seeds) {
        let raced = trials.iter().any(|record| {
            record.phase == Phase::Race
                && record.repetition == 1000 * seed + 1
                && record.placement == random.placement
        });
        assert!(raced, "seed {seed} names a placement that did not race");
    }
}

/// The mean of a seed's final trainings counts, and their orders are not those that selected the placement.
#[test]
fn final_trainings_are_fresh_and_their_mean_counts() {
    let mut configuration = raced(&["random"]);
    configuration.comparison.final_repetitions = 3;
    let folder = tempfile::tempdir().unwrap();
    let comparison = finished(folder.path(), &configuration, 2);
    let StoredComparison { trials, finals, .. } = records(folder.path());
    let chosen_by: BTreeSet<u32> = trials.iter().map(|record| record.repetition).collect();
    assert!(
        finals
            .iter()
            .all(|record| !chosen_by.contains(&record.repetition))
    );
    for result in &of(&comparison, "random").seeds {
        let of_seed: Vec<f64> = (1..=3)
            .map(|one| {
                let repetition = 2_000_000 + 1000 * result.seed + one;
                let score = closed_form(&result.placement, steps(FINAL_STEPS), repetition);
                score.validation_loss
            })
            .collect();
        let losses: Vec<f64> = result.finals.iter().map(|last| last.test.loss).collect();
        assert_eq!(losses, of_seed);
        assert!((result.test_loss().unwrap() - of_seed.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    }
    let probe = &of(&comparison, "linear-probe").seeds;
    assert!(probe.iter().all(|result| result.finals.len() == 1));
}

/// The journal may end anywhere, even in the middle of a line: the result is the same.
#[test]
fn a_comparison_goes_on_after_a_cut_anywhere() {
    let configuration = raced(&["random", "evolution"]);
    let undisturbed = tempfile::tempdir().unwrap();
    let expected: Comparison = finished(undisturbed.path(), &configuration, 2);
    let text = std::fs::read_to_string(journal(undisturbed.path())).unwrap();
    let whole: Vec<&str> = text.split_inclusive('\n').collect();
    assert!(text.contains("\"race\""));
    for cut in 0..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::copy(
            undisturbed.path().join("comparison.toml"),
            at("comparison.toml"),
        )
        .unwrap();
        let torn = whole.get(cut).map_or("", |line| &line[..line.len() / 2]);
        let begun = format!("{}{torn}", whole[..cut].concat());
        std::fs::write(at("journal.jsonl"), begun).unwrap();
        let resumed = finished(folder.path(), &configuration, 1 + cut % 2);
        assert_eq!(resumed, expected, "after {cut} lines");
        assert_eq!(unordered(folder.path()), unordered(undisturbed.path()));
    }
}

/// Files of earlier versions have no `race`: their searches choose by their trials.
#[test]
fn a_file_without_a_race_has_none() {
    let mut configuration = raced(&["random"]);
    let written = toml::to_string(&configuration).unwrap();
    assert!(written.contains("race = 1\n"));
    let read: ComparisonConfiguration = toml::from_str(&written.replace("race = 1\n", "")).unwrap();
    configuration.comparison.race = 0;
    assert_eq!(read, configuration);
    assert!(!toml::to_string(&configuration).unwrap().contains("race"));
    let folder = tempfile::tempdir().unwrap();
    finished(folder.path(), &configuration, 1);
    let trials = records(folder.path()).trials;
    assert!(trials.iter().all(|record| record.phase == Phase::Search));
}
