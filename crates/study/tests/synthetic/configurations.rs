use std::fs;

use adaplace_search_space::Count;
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

/// As in studies older than the race.
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
    let mut configuration = configuration("random", Some(3));
    configuration.task.train_examples = Some(Count::of(50));
    let text = configuration.to_toml().unwrap();
    for (setting, value, range) in [
        ("search.seed = 3", "9223372036854775808", ""),
        ("search.trials = 13", "0", "at least 1"),
        ("search.proposals = 4", "0", "at least 1"),
        ("search.halving = 3", "1", "at least 2"),
        ("search.finalists = 4", "0", "at least 1"),
        ("search.repetitions = 2", "0", "at least 1"),
        ("task.train_examples = 50", "0", "at least 1"),
        ("training.batch_size = 32", "0", "at least 1"),
        (
            "training.adapter_learning_rate = 0.003",
            "nan",
            "a number above 0",
        ),
        (
            "training.adapter_learning_rate = 0.003",
            "0.0",
            "a number above 0",
        ),
        (
            "training.head_learning_rate = 0.001",
            "inf",
            "a number above 0",
        ),
        (
            "training.weight_decay = 0.0001",
            "-0.1",
            "a number from 0 to 1",
        ),
        ("training.warm_up = 0.1", "1.5", "a number from 0 to 1"),
        ("training.warm_up = 0.1", "nan", "a number from 0 to 1"),
        ("training.gradient_clip = 1.0", "0.0", "a number above 0"),
        ("gradient_map.examples = 512", "0", "at least 1"),
        (
            "gradient_map.settings.absolute_threshold = 0.003",
            "nan",
            "a number from 0 to 1",
        ),
        (
            "gradient_map.settings.relative_threshold = 0.01",
            "-0.5",
            "a number from 0 to 1",
        ),
    ] {
        let (path, stored) = setting.split_once(" = ").unwrap();
        let name = path.rsplit('.').next().unwrap();
        let line = format!("{name} = {stored}\n");
        assert!(text.contains(&line), "{line} in {text}");
        let message = refused(&text.replacen(&line, &format!("{name} = {value}\n"), 1));
        assert!(message.contains("line "), "{message}");
        let named = message.contains(&format!("`{path}`: "));
        // A value that TOML cannot hold has no field name in the message.
        assert!(named || range.is_empty(), "{path}: {message}");
        assert!(message.contains(range), "{message}");
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
