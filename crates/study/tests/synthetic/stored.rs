use std::path::Path;

use adaplace_study::{StoredStudy, StudyError};
use adaplace_synthetic::{Synthetic, all_configurations, configuration, finished, journal, lines};

fn study(trainings_before_a_stop: Option<usize>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scorer = match trainings_before_a_stop {
        Some(call) => Synthetic::closed_form().stopping_at(call),
        None => Synthetic::closed_form(),
    };
    scorer
        .run(folder.path(), &configuration("random", None), 1)
        .unwrap();
    folder
}

#[test]
fn a_finished_study_is_read_as_it_was_written() {
    for configuration in all_configurations() {
        let folder = tempfile::tempdir().unwrap();
        let ranking = finished(
            Synthetic::closed_form()
                .run(folder.path(), &configuration, 1)
                .unwrap(),
        );
        let stored = StoredStudy::read(folder.path()).unwrap();
        assert_eq!(stored.configuration, configuration);
        assert_eq!(stored.records.len(), lines(folder.path()).len());
        let trials = |study: &StoredStudy| -> Vec<usize> {
            study.ranked().iter().map(|record| record.trial).collect()
        };
        let expected: Vec<usize> = ranking.trials.iter().map(|trial| trial.trial).collect();
        assert_eq!(trials(&stored), expected);
        for trial in &ranking.trials {
            assert_eq!(stored.is_complete(&trial.placement), trial.complete);
        }
        assert_eq!(stored.ranking, Some(ranking));
        assert_eq!(
            Some(stored.name.as_str()),
            folder.path().file_name().unwrap().to_str()
        );
    }
}

/// Rankings older than the race have neither field.
#[test]
fn a_ranking_without_race_and_noise_is_read() {
    let folder = study(None);
    let path = folder.path().join("ranking.json");
    let mut ranking: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let table = ranking.as_object_mut().unwrap();
    assert!(table.remove("race").is_some());
    table.remove("noise");
    std::fs::write(&path, ranking.to_string()).unwrap();
    let ranking = StoredStudy::read(folder.path()).unwrap().ranking.unwrap();
    assert!(ranking.race.is_empty() && ranking.noise.is_none());
}

#[test]
fn an_unfinished_study_is_read_without_its_torn_line() {
    let folder = study(Some(5));
    let whole = StoredStudy::read(folder.path()).unwrap();
    assert_eq!((whole.records.len(), &whole.ranking), (5, &None));
    let text = std::fs::read_to_string(journal(folder.path())).unwrap();
    let torn = format!("{text}{{\"trial\":5,\"phase\"");
    std::fs::write(journal(folder.path()), &torn).unwrap();
    assert_eq!(StoredStudy::read(folder.path()).unwrap(), whole);
    let after = std::fs::read_to_string(journal(folder.path())).unwrap();
    assert_eq!(after, torn, "reading changes nothing");
}

#[test]
fn without_a_map_the_states_are_those_that_were_tried() {
    let folder = study(None);
    let mut stored = StoredStudy::read(folder.path()).unwrap();
    assert!(stored.gradient_map.is_none());
    assert!(stored.hidden_states() <= adaplace_synthetic::HIDDEN_STATES);
    stored.records.clear();
    assert_eq!(stored.hidden_states(), 0);
}

#[track_caller]
fn assert_damaged(folder: &Path, name: &str) {
    match StoredStudy::read(folder) {
        Err(StudyError::Damaged { path, .. }) => assert_eq!(path, folder.join(name)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let folder = study(None);
    let ranking = folder.path().join("ranking.json");
    let text = std::fs::read_to_string(&ranking).unwrap();
    for (from, to) in [
        ("adaplace.ranking/1", "adaplace.ranking/2"),
        ("\"trial\": 7", "\"trial\": 8"),
        ("\"metric\": \"accuracy\"", "\"metric\": \"loss\""),
        ("\"steps\": 9", "\"steps\": 8"),
        ("\"trials\": [", "\"trials\": [,"),
    ] {
        std::fs::write(&ranking, text.replace(from, to)).unwrap();
        assert_damaged(folder.path(), "ranking.json");
    }
    std::fs::write(&ranking, &text).unwrap();
    std::fs::write(folder.path().join("gradient-map.json"), "{}").unwrap();
    assert_damaged(folder.path(), "gradient-map.json");
    let nothing = tempfile::tempdir().unwrap();
    assert!(matches!(
        StoredStudy::read(nothing.path()),
        Err(StudyError::NoStudy { .. })
    ));
}
