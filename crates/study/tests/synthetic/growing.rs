//! Comparisons that more takes part in than at first, and studies of more trials.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use adaplace_search_space::Placement;
use adaplace_study::{
    Baseline, Comparison, ComparisonConfiguration, Ranking, SearchSettings, StoredComparison,
    StudyConfiguration, StudyFolder, Summary,
};

use crate::comparisons::{Tested, comparison, run, without_seconds};
use crate::support::{Synthetic, all_configurations, assert_distinct, finished, lines};

/// What is trained for each, when the journals hold what the first run left.
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

/// More seeds, strategies, baselines and repetitions: nothing is trained twice, and the result is that of a comparison that had
/// them from the start.
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
    // As it stands while it grows: the result so far is that of another comparison.
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

    // And smaller again: nothing is trained, nothing lost.
    let (none, again) = trained(folder.path(), &small);
    assert_eq!(none, 0);
    let undisturbed = tempfile::tempdir().unwrap();
    let (_, expected) = trained(undisturbed.path(), &small);
    assert_eq!(again, expected);
    assert_eq!(lines(folder.path()).len(), all);
}

/// Trials are added to a finished study: it trains only what is new, and comes to what the longer study comes to by itself.
#[test]
fn a_study_grows_by_trials() {
    for configuration in all_configurations() {
        let longer = StudyConfiguration {
            search: SearchSettings {
                trials: configuration.search.trials + 9,
                ..configuration.search.clone()
            },
            ..configuration.clone()
        };
        let name = configuration.strategy.name();
        let alone = tempfile::tempdir().unwrap();
        let scorer = Synthetic::closed_form();
        let expected = finished(scorer.run(alone.path(), &longer, 1).unwrap());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let first = Synthetic::closed_form();
        finished(first.run(path, &configuration, 1).unwrap());
        let before = lines(path);
        // Stopped in the middle of what is new, too.
        let stopped = Synthetic::closed_form().stopping_at(2);
        if let Summary::Stopped { .. } = stopped.run(path, &longer, 1).unwrap() {
            assert!(!path.join("ranking.json").exists(), "{name}");
        }
        let last = Synthetic::closed_form();
        let grown = finished(last.run(path, &longer, 1).unwrap());
        assert_eq!(lines(path)[..before.len()], before, "{name}");
        assert_distinct(&[first.calls(), stopped.calls(), last.calls()].concat());
        let placements = |ranking: &Ranking| -> Vec<Placement> {
            let finalists = ranking.finalists.iter();
            finalists
                .map(|finalist| finalist.repeated.placement.clone())
                .collect()
        };
        assert_eq!(placements(&grown), placements(&expected), "{name}");
        assert_eq!(grown.trials.len(), expected.trials.len(), "{name}");
        for (one, other) in grown.trials.iter().zip(&expected.trials) {
            assert_eq!(one.result, other.result, "{name}");
        }

        // Finished, it is as it is.
        let again = Synthetic::closed_form();
        assert_eq!(finished(again.run(path, &longer, 1).unwrap()), grown);
        assert!(again.calls().is_empty());
        let error = again.run(path, &configuration, 1).unwrap_err().to_string();
        assert!(error.contains("trials"), "{error}");
    }
}
