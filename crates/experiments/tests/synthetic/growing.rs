//! Comparisons that grow.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use adaplace_experiments::{Baseline, Comparison, ComparisonConfiguration, StoredComparison};
use adaplace_study::StudyFolder;
use adaplace_synthetic::{Synthetic, assert_distinct, lines};

use crate::comparisons::{Tested, comparison, run, without_seconds};

/// The number of new trainings and the result of a run on the journals of an earlier one.
fn trained(folder: &Path, configuration: &ComparisonConfiguration) -> (usize, Comparison) {
    let (scorer, finisher) = (Synthetic::closed_form(), Tested::default());
    let stop = AtomicBool::new(false);
    let result = run(folder, configuration, &scorer, &finisher, &stop, 2);
    assert_distinct(&scorer.calls());
    (
        scorer.calls().len(),
        without_seconds(result.unwrap().unwrap()),
    )
}

/// With more seeds, strategies, baselines and repetitions, nothing is trained twice, and the result is that of a
/// comparison that had them from the start.
#[test]
fn a_comparison_grows() {
    let mut small = comparison(&["greedy", "random"]);
    small.comparison.seeds = 2;
    small.comparison.baselines = vec![Baseline::LinearProbe];
    let mut large = comparison(&["evolution", "random", "greedy"]);
    large.comparison.final_repetitions = 2;

    let folder = tempfile::tempdir().unwrap();
    let (first, _) = trained(folder.path(), &small);
    let result = |folder: &Path| StoredComparison::read(folder).unwrap().comparison;
    assert!(result(folder.path()).is_some());
    // While the comparison grows, its earlier result belongs to another configuration.
    drop(StudyFolder::open(folder.path(), &large).unwrap());
    assert_eq!(result(folder.path()), None);
    let (more, grown) = trained(folder.path(), &large);
    let undisturbed = tempfile::tempdir().unwrap();
    let (all, expected) = trained(undisturbed.path(), &large);
    assert_eq!(grown, expected);
    assert_eq!(first + more, all);
    assert_eq!(lines(folder.path()).len(), all);
    let stored = StoredComparison::read(folder.path()).unwrap();
    assert_eq!(stored.configuration, large);

    // When it shrinks again, nothing is trained and nothing is lost.
    let (none, again) = trained(folder.path(), &small);
    assert_eq!(none, 0);
    let undisturbed = tempfile::tempdir().unwrap();
    let (_, expected) = trained(undisturbed.path(), &small);
    assert_eq!(again, expected);
    assert_eq!(lines(folder.path()).len(), all);
}
