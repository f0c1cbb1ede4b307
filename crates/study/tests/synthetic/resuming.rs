use std::sync::atomic::{AtomicUsize, Ordering};

use adaplace_study::{Event, StudyConfiguration, Summary};
use adaplace_synthetic::{
    Synthetic, all_configurations, assert_distinct, configuration, finished, lines,
};
use serde_json::Value;

fn undisturbed(configuration: &StudyConfiguration) -> (Vec<Value>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::closed_form();
    finished(scorer.run(folder.path(), configuration, 1).unwrap());
    let ranking = std::fs::read(folder.path().join("ranking.json")).unwrap();
    (lines(folder.path()), ranking)
}

/// Stops during the training `stop_at`, resumes, and compares with an uninterrupted study.
fn stop_and_resume(
    configuration: &StudyConfiguration,
    expected: &(Vec<Value>, Vec<u8>),
    stop_at: usize,
    workers: usize,
) {
    let (journal, ranking) = expected;
    let folder = tempfile::tempdir().unwrap();
    let first = Synthetic::closed_form().stopping_at(stop_at);
    let context = format!(
        "{}, stopped at {stop_at} of {}",
        configuration.strategy.name(),
        journal.len()
    );
    let done = match first.run(folder.path(), configuration, workers).unwrap() {
        Summary::Stopped { trainings } => {
            assert!(!folder.path().join("ranking.json").exists());
            trainings
        }
        Summary::Finished(_) => journal.len(),
    };
    assert!(
        (stop_at..stop_at + workers).contains(&done),
        "{done}, {context}"
    );
    assert_eq!(lines(folder.path()), journal[..done], "{context}");

    let second = Synthetic::closed_form();
    finished(second.run(folder.path(), configuration, workers).unwrap());
    assert_eq!(&lines(folder.path()), journal, "{context}");
    assert_eq!(
        &std::fs::read(folder.path().join("ranking.json")).unwrap(),
        ranking,
        "{context}"
    );
    let calls = [first.calls(), second.calls()].concat();
    assert_eq!(calls.len(), journal.len(), "{context}");
    assert_distinct(&calls);
}

#[test]
fn stopped_at_any_training_it_goes_on_as_if_nothing_had_happened() {
    for configuration in all_configurations() {
        let expected = undisturbed(&configuration);
        for stop_at in 0..=expected.0.len() {
            stop_and_resume(&configuration, &expected, stop_at, 1);
        }
    }
}

#[test]
fn the_same_with_two_workers() {
    for halving in [None, Some(3)] {
        let configuration = configuration("evolution", halving);
        let expected = undisturbed(&configuration);
        for stop_at in (0..=expected.0.len()).step_by(3) {
            stop_and_resume(&configuration, &expected, stop_at, 2);
        }
    }
}

#[test]
fn stopped_after_every_single_training_it_ends_the_same() {
    let configuration = configuration("greedy", Some(2));
    let (journal, ranking) = undisturbed(&configuration);
    let folder = tempfile::tempdir().unwrap();
    for done in 1..journal.len() {
        let scorer = Synthetic::closed_form().stopping_at(1);
        let summary = scorer.run(folder.path(), &configuration, 1).unwrap();
        assert!(matches!(summary, Summary::Stopped { trainings } if trainings == done));
        assert_eq!(scorer.calls().len(), 1);
    }
    let scorer = Synthetic::closed_form().stopping_at(1);
    finished(scorer.run(folder.path(), &configuration, 1).unwrap());
    assert_eq!(lines(folder.path()), journal);
    assert_eq!(
        std::fs::read(folder.path().join("ranking.json")).unwrap(),
        ranking
    );
}

#[test]
fn a_finished_study_gives_its_ranking_again_without_a_training() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("evolution", Some(3));
    let first = finished(
        Synthetic::closed_form()
            .run(folder.path(), &configuration, 1)
            .unwrap(),
    );
    let before = std::fs::read(folder.path().join("journal.jsonl")).unwrap();
    let scorer = Synthetic::new(|_, _, _| panic!("nothing is to be trained"));
    let replayed = AtomicUsize::new(0);
    let second = scorer.watch(folder.path(), &configuration, 2, &mut |event| {
        if let Event::Done { replayed: true, .. } = event {
            replayed.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(finished(second.unwrap()), first);
    assert_eq!(
        std::fs::read(folder.path().join("journal.jsonl")).unwrap(),
        before
    );
    assert_eq!(
        replayed.load(Ordering::Relaxed),
        lines(folder.path()).len(),
        "every training is told of once"
    );
}

#[test]
fn results_that_were_removed_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("random", None);
    let scorer = Synthetic::closed_form();
    let first = finished(scorer.run(folder.path(), &configuration, 1).unwrap());
    std::fs::remove_dir_all(folder.path().join("placements")).unwrap();
    std::fs::remove_file(folder.path().join("ranking.json")).unwrap();
    let calls = scorer.calls().len();
    let second = finished(scorer.run(folder.path(), &configuration, 1).unwrap());
    assert_eq!(first, second);
    assert_eq!(scorer.calls().len(), calls);
    assert!(folder.path().join("placements/2.toml").is_file());
    assert!(folder.path().join("ranking.json").is_file());
}

#[test]
fn an_error_of_the_study_keeps_what_was_finished_before() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("random", None);
    let expected = undisturbed(&configuration);
    let calls = AtomicUsize::new(0);
    let broken = Synthetic::new(move |placement, fidelity, repetition| {
        match calls.fetch_add(1, Ordering::Relaxed) {
            5 => Err(adaplace_scorer::ScoreError::Probe {
                reason: "no memory".to_owned(),
            }),
            _ => Ok(adaplace_synthetic::closed_form(
                placement, fidelity, repetition,
            )),
        }
    });
    let error = broken.run(folder.path(), &configuration, 1).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
    assert_eq!(lines(folder.path()), expected.0[..5]);
    finished(
        Synthetic::closed_form()
            .run(folder.path(), &configuration, 1)
            .unwrap(),
    );
    assert_eq!(lines(folder.path()), expected.0);
}
