use adaplace_search_space::{Count, Placement};
use adaplace_study::{StudyError, TrialResult};
use adaplace_synthetic::{
    Synthetic, all_configurations, closed_form, configuration, diverged, finished, lines, score,
};

/// A third of all placements.
fn unlucky(placement: &Placement) -> bool {
    let sum: u16 = placement
        .connections()
        .map(|connection| connection.source + connection.target)
        .sum();
    sum.is_multiple_of(3)
}

#[test]
fn diverged_trials_are_recorded_and_never_finalists() {
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::new(|placement, fidelity, repetition| match unlucky(placement) {
        true => Err(diverged(fidelity)),
        false => Ok(closed_form(placement, fidelity, repetition)),
    });
    let configuration = configuration("exhaustive", None);
    let ranking = finished(scorer.run(folder.path(), &configuration, 2).unwrap());
    let failed: Vec<_> = ranking
        .trials
        .iter()
        .filter(|trial| unlucky(&trial.placement))
        .collect();
    // 0->0, 3->3, 6->6, 9->9 and 12->12.
    assert_eq!(failed.len(), 5);
    for trial in failed {
        let TrialResult::Failed(reason) = &trial.result else {
            panic!("{:?}", trial.result);
        };
        assert_eq!(reason, "diverged at step 9: the loss is NaN");
        assert!(trial.place > 8);
    }
    for finalist in &ranking.finalists {
        assert!(!unlucky(&finalist.repeated.placement));
    }
    // Four race; two of them and the baseline are repeated twice.
    assert_eq!(lines(folder.path()).len(), 13 + 4 + 4 + 2);
}

#[test]
fn when_all_diverge_the_reason_is_given() {
    for configuration in all_configurations() {
        let folder = tempfile::tempdir().unwrap();
        let scorer = Synthetic::new(|_, fidelity, _| Err(diverged(fidelity)));
        let error = scorer.run(folder.path(), &configuration, 2).unwrap_err();
        let trials = lines(folder.path()).len();
        assert!(trials > 0);
        match &error {
            StudyError::NothingScored {
                trials: found,
                reason,
            } => {
                assert_eq!(*found, trials);
                assert!(reason.contains("the loss is NaN"), "{reason}");
            }
            other => panic!("{other}"),
        }
        // Another run gives the same error and trains nothing.
        let again = Synthetic::new(|_, _, _| panic!("nothing is to be trained"));
        let second = again.run(folder.path(), &configuration, 1).unwrap_err();
        assert_eq!(second.to_string(), error.to_string());
    }
}

#[test]
fn a_score_that_is_no_number_is_a_failed_trial() {
    for broken in [
        score(f64::NAN, 1.0),
        score(0.5, f64::NAN),
        score(0.5, f64::INFINITY),
        score(f64::NEG_INFINITY, 1.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let scorer =
            Synthetic::new(
                move |placement, fidelity, repetition| match unlucky(placement) {
                    true => Ok(broken),
                    false => Ok(closed_form(placement, fidelity, repetition)),
                },
            );
        let configuration = configuration("exhaustive", None);
        let ranking = finished(scorer.run(folder.path(), &configuration, 1).unwrap());
        for trial in &ranking.trials {
            assert_eq!(trial.result.score().is_none(), unlucky(&trial.placement));
        }
        // The journal can be read again.
        let again = Synthetic::new(|_, _, _| panic!("nothing is to be trained"));
        let second = again.run(folder.path(), &configuration, 1).unwrap();
        assert_eq!(finished(second), ranking);
    }
}

#[test]
fn a_finalist_that_fails_in_a_repetition_stands_behind_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut configuration = configuration("exhaustive", None);
    configuration.search.finalists = Count::of(3);
    configuration.search.race = 0;
    // Later connections are better, but the best one, 12->12, fails in its second repetition and 11->11 in both.
    let scorer = Synthetic::new(|placement, fidelity, repetition| {
        let target = placement.earliest_target().unwrap_or_default();
        match (target, repetition) {
            (12, 2) | (11, 1..) => Err(diverged(fidelity)),
            _ => Ok(score(f64::from(target) / 13.0, 1.0)),
        }
    });
    let ranking = finished(scorer.run(folder.path(), &configuration, 2).unwrap());
    let places: Vec<(usize, usize)> = ranking
        .finalists
        .iter()
        .map(|finalist| (finalist.trial, finalist.repeated.failures()))
        .collect();
    assert_eq!(places, [(10, 0), (12, 1), (11, 2)]);
    let last = &ranking.finalists[2].repeated;
    assert_eq!(last.validation_accuracy, None);
    let second = &ranking.finalists[1].repeated;
    let accuracy = second.validation_accuracy.unwrap();
    assert_eq!(
        (accuracy.mean, accuracy.standard_error),
        (12.0 / 13.0, None)
    );
}
