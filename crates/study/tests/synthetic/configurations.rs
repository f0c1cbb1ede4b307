use std::fs;

use adaplace_study::{Configuration, StudyConfiguration, StudyError};
use adaplace_synthetic::{backbone, configuration};

fn read(text: &str) -> Result<StudyConfiguration, StudyError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.toml");
    fs::write(&path, text).unwrap();
    let result = StudyConfiguration::read(&path);
    if let Err(error) = &result {
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    result
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn the_configuration_of_every_strategy_reads_back() {
    for configuration in adaplace_synthetic::all_configurations() {
        let text = configuration.to_toml().unwrap();
        assert_eq!(read(&text).unwrap(), configuration);
    }
}

/// As in the studies before there was one.
#[test]
fn without_a_race_all_finalists_are_repeated() {
    let text = configuration("random", None).to_toml().unwrap();
    let old = read(&text.replace("race = 1\n", "")).unwrap();
    assert_eq!(old.search.race, 0);
    assert_eq!(old.search.trainings_after_search(13), (4 + 1) * 2);
    assert!(!old.to_toml().unwrap().contains("race"));
}

#[test]
fn what_is_not_understood_is_refused() {
    let text = configuration("evolution", None).to_toml().unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        refused(&text.replacen(from, to, 1))
    };
    assert!(replaced("seed = 3", "seed = 3\ncolour = 1").contains("colour"));
    assert!(replaced("seed = 3", "seed = -3").contains("line 4"));
    assert!(replaced("name = \"evolution\"", "name = \"revolution\"").contains("revolution"));
    assert!(replaced("adaplace.study/1", "adaplace.study/2").contains("this version reads"));
    assert!(refused("").contains("format"));
}

#[test]
fn another_format_is_refused_as_such_whatever_else_it_holds() {
    let message = refused("format = \"adaplace.study/7\"\ncolour = 1\n");
    assert!(message.contains("`adaplace.study/7`"), "{message}");
    assert!(message.contains("`adaplace.study/1`"), "{message}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    type Change = fn(&mut StudyConfiguration);
    let changes: [(&str, Change); 19] = [
        ("seed", |it| it.search.seed = u64::MAX),
        ("trials", |it| it.search.trials = 0),
        ("proposals", |it| it.search.proposals = 0),
        ("halving", |it| it.search.halving = Some(1)),
        ("finalists", |it| it.search.finalists = 0),
        ("repetitions", |it| it.search.repetitions = 0),
        ("train_examples", |it| it.task.train_examples = Some(0)),
        ("batch_size", |it| it.training.batch_size = 0),
        ("learning_rate", |it| {
            it.training.adapter_learning_rate = f64::NAN
        }),
        ("learning_rate", |it| {
            it.training.adapter_learning_rate = 0.0
        }),
        ("head_learning_rate", |it| {
            it.training.head_learning_rate = f64::INFINITY
        }),
        ("weight_decay", |it| it.training.weight_decay = -0.1),
        ("warm_up", |it| it.training.warm_up = 1.5),
        ("warm_up", |it| it.training.warm_up = f64::NAN),
        ("gradient_clip", |it| it.training.gradient_clip = 0.0),
        ("gradient_map.examples", |it| it.gradient_map.examples = 0),
        ("gradient_map.settings.batch_size", |it| {
            it.gradient_map.settings.batch_size = 0
        }),
        ("gradient_map.settings.absolute_threshold", |it| {
            it.gradient_map.settings.absolute_threshold = f64::NAN
        }),
        ("gradient_map.settings.relative_threshold", |it| {
            it.gradient_map.settings.relative_threshold = -0.5
        }),
    ];
    for (setting, change) in changes {
        let mut configuration = configuration("random", None);
        configuration.check().unwrap();
        change(&mut configuration);
        let error = configuration.check().unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("`{setting}` is ")),
            "{message}"
        );
        assert!(message.contains("it must be"), "{message}");
    }
}

#[test]
fn another_backbone_or_task_is_refused_with_both_hashes() {
    let configuration = configuration("random", None);
    let mut found = backbone();
    configuration.check_backbone(&found).unwrap();
    configuration.check_task("4567").unwrap();
    found.weights_sha256 = "89ab".to_owned();
    for (message, parts) in [
        (
            configuration.check_backbone(&found).unwrap_err(),
            ["`backbone`", "0123", "89ab"],
        ),
        (
            configuration.check_task("cdef").unwrap_err(),
            ["`task`", "4567", "cdef"],
        ),
    ] {
        let message = message.to_string();
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}
