use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use adaplace_search_space::{Positive, Reduction, Seed};
use adaplace_strategy::{PruneSettings, StrategyDescription};
use adaplace_study::{Journal, StudyError, StudyFolder};
use adaplace_synthetic::{Synthetic, configuration, finished, journal};

/// Every file below `folder` with its content.
fn content(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn another_configuration_is_refused_with_every_difference() {
    let folder = tempfile::tempdir().unwrap();
    let original = configuration("prune", None);
    let scorer = Synthetic::closed_form();
    finished(scorer.run(folder.path(), &original, 1).unwrap());
    let before = content(folder.path());

    let mut other = original.clone();
    other.search.seed = Seed::of(4);
    other.search.halving = Some(Reduction::of(3));
    other.strategy = StrategyDescription::Prune(PruneSettings {
        rounds: 3,
        ..PruneSettings::default()
    });
    other.task.max_length = None;
    other.training.adapter_learning_rate = Positive::of(0.001);
    other.space.adapter.ranks = vec![2];
    for found in [
        scorer.run(folder.path(), &other, 1).unwrap_err(),
        StudyFolder::check(folder.path(), &other).unwrap_err(),
    ] {
        let StudyError::OtherConfiguration { differences, .. } = &found else {
            panic!("{found}");
        };
        assert_eq!(
            differences,
            &[
                "`search.halving` is not set there and 3 here",
                "`search.seed` is 3 there and 4 here",
                "`space.adapter.ranks` is [2, 4] there and [2] here",
                "`strategy.rounds` is 2 there and 3 here",
                "`task.max_length` is 32 there and not set here",
                "`training.adapter_learning_rate` is 0.003 there and 0.001 here",
            ]
        );
    }
    assert_eq!(content(folder.path()), before);
}

#[test]
fn a_folder_that_is_no_study_is_refused() {
    let configuration = configuration("random", None);
    let make = |names: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "precious").unwrap();
        }
        folder
    };
    for names in [
        &["thesis.tex"][..],
        &["journal.jsonl"],
        &["placements/1.toml"],
        &["placements"],
        &[".hidden", "model/weights"],
    ] {
        let folder = make(names);
        let before = content(folder.path());
        for error in [
            StudyFolder::check(folder.path(), &configuration).unwrap_err(),
            StudyFolder::open(folder.path(), &configuration).unwrap_err(),
        ] {
            assert!(matches!(error, StudyError::NotAStudy { .. }), "{error}");
            assert!(
                error
                    .to_string()
                    .contains(&folder.path().display().to_string())
            );
        }
        assert_eq!(content(folder.path()), before, "{names:?}");
    }
    let folder = make(&["file"]);
    let error = StudyFolder::open(&folder.path().join("file"), &configuration).unwrap_err();
    assert!(matches!(error, StudyError::NotAStudy { .. }), "{error}");
}

#[test]
fn what_a_killed_process_leaves_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".study.toml.77.0.part"), "format").unwrap();
    fs::create_dir(folder.path().join("placements")).unwrap();
    let configuration = configuration("random", None);
    StudyFolder::check(folder.path(), &configuration).unwrap();
    StudyFolder::open(folder.path(), &configuration).unwrap();
    // Killed after the configuration and before the journal was written.
    fs::remove_file(journal(folder.path())).unwrap();
    let opened = StudyFolder::open(folder.path(), &configuration).unwrap();
    assert!(opened.records.is_empty());
}

#[test]
fn checking_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/study");
    StudyFolder::check(&path, &configuration("random", None)).unwrap();
    assert!(!folder.path().join("new").exists());
}

#[test]
fn a_study_at_work_is_refused_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("random", None);
    let held = StudyFolder::open(folder.path(), &configuration).unwrap();
    for error in [
        StudyFolder::open(folder.path(), &configuration).unwrap_err(),
        <Journal>::open(&journal(folder.path())).unwrap_err(),
    ] {
        match error {
            StudyError::Busy { path } => assert_eq!(path, folder.path()),
            other => panic!("{other}"),
        }
    }
    drop(held);
    StudyFolder::open(folder.path(), &configuration).unwrap();
}

#[test]
fn a_damaged_configuration_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("random", None);
    drop(StudyFolder::open(folder.path(), &configuration).unwrap());
    let path = folder.path().join("study.toml");
    fs::write(&path, "format = \"adaplace.study/1\"\n[search]\nseed = x\n").unwrap();
    let before = content(folder.path());
    let error = StudyFolder::open(folder.path(), &configuration).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.contains("line 3"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    assert_eq!(content(folder.path()), before);
}
