use adaplace_study::{Event, StudyConfiguration};
use adaplace_synthetic::{
    Synthetic, all_configurations, assert_distinct, closed_form, configuration, diverged, finished,
    lines,
};

/// Journal and ranking of a study with this many workers.
fn outcome(
    configuration: &StudyConfiguration,
    workers: usize,
    scorer: &Synthetic,
) -> (Vec<serde_json::Value>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    finished(scorer.run(folder.path(), configuration, workers).unwrap());
    assert_distinct(&scorer.calls());
    let ranking = std::fs::read(folder.path().join("ranking.json")).unwrap();
    (lines(folder.path()), ranking)
}

#[test]
fn any_number_of_workers_gives_the_same_journal_and_ranking() {
    for configuration in all_configurations() {
        let (journal, ranking) = outcome(&configuration, 1, &Synthetic::closed_form());
        for (index, line) in journal.iter().enumerate() {
            assert_eq!(line["trial"], index);
        }
        for workers in [2, 4] {
            let scorer = Synthetic::closed_form().slow();
            let (other_journal, other_ranking) = outcome(&configuration, workers, &scorer);
            let name = configuration.strategy.name();
            assert_eq!(journal, other_journal, "{name}, {workers} workers");
            assert_eq!(ranking, other_ranking, "{name}, {workers} workers");
        }
    }
}

#[test]
fn failed_trials_do_not_change_that() {
    let scorer = || {
        Synthetic::new(|placement, fidelity, repetition| {
            match placement.earliest_target().unwrap_or_default() % 3 {
                0 => Err(diverged(fidelity)),
                _ => Ok(closed_form(placement, fidelity, repetition)),
            }
        })
    };
    for strategy in ["random", "evolution"] {
        let configuration = configuration(strategy, Some(2));
        let one = outcome(&configuration, 1, &scorer());
        assert_eq!(one, outcome(&configuration, 3, &scorer().slow()));
    }
}

#[test]
fn every_training_is_told_of_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("evolution", Some(3));
    let mut told = Vec::new();
    let mut remaining = None;
    let summary =
        Synthetic::closed_form()
            .slow()
            .watch(folder.path(), &configuration, 4, &mut |event| match event {
                Event::Done { record, replayed } => {
                    assert!(!replayed);
                    told.push(record.trial);
                }
                Event::FinalTrainingDone => panic!("a study has no finals"),
                Event::SearchFinished { remaining: found } => remaining = Some((told.len(), found)),
            });
    finished(summary.unwrap());
    let count = lines(folder.path()).len();
    assert_eq!(told, (0..count).collect::<Vec<_>>());
    // Four race, and the last two and the baseline are repeated twice.
    assert_eq!(remaining, Some((count - 10, 4 + 6)));
}
