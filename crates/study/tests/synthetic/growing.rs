//! Studies that grow by trials.

use adaplace_search_space::{Count, Placement};
use adaplace_study::{Ranking, SearchSettings, StudyConfiguration, Summary};
use adaplace_synthetic::{Synthetic, all_configurations, assert_distinct, finished, lines};

/// Trials are added to a finished study. It trains only the new ones and ends with the same result as the longer study.
#[test]
fn a_study_grows_by_trials() {
    for configuration in all_configurations() {
        let longer = StudyConfiguration {
            search: SearchSettings {
                trials: Count::of(configuration.search.trials.get() + 9),
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
        // Also when it is stopped among the new trials.
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

        // A finished study does not change.
        let again = Synthetic::closed_form();
        assert_eq!(finished(again.run(path, &longer, 1).unwrap()), grown);
        assert!(again.calls().is_empty());
        let error = again.run(path, &configuration, 1).unwrap_err().to_string();
        assert!(error.contains("trials"), "{error}");
    }
}
