//! Wrong usage leads to exit code 2, and nothing is done.

use crate::common::{Lab, SEARCH};

#[test]
fn wrong_usage_is_refused_before_anything_is_read() {
    let lab = Lab::text();
    let before = lab.content("");
    let search = format!("{SEARCH} --out study");
    let random = format!("{search} --strategy random");
    for (arguments, part) in [
        (String::new(), "Usage"),
        ("polish".to_owned(), "polish"),
        ("inspect".to_owned(), "BACKBONE"),
        ("probe --backbone backbone --task task".to_owned(), "--out"),
        (format!("{search} --strategy luck"), "gradient-greedy"),
        (format!("{random} --workers 0"), "--workers"),
        (
            format!("{random} --workers 100000"),
            "100000 is not in 1..=1024",
        ),
        (
            format!("{random} --seed -3"),
            "`-3` is out of range: it must be from 0 to 2^63 - 1",
        ),
        (
            format!("{random} --learning-rate -1"),
            "must be a number above 0",
        ),
        (format!("{random} --proposals -3"), "--proposals"),
        (format!("{random} --halving 1"), "--halving"),
        (format!("{random} --learning-rate=-1"), "--learning-rate"),
        (format!("{random} --learning-rate NaN"), "--learning-rate"),
        (format!("{random} --seed 9223372036854775808"), "--seed"),
        (format!("{random} --metric luck"), "--metric"),
        (format!("{random} --prune-rounds 2"), "`prune`"),
        (format!("{random} --candidates 2"), "`greedy`"),
        (format!("{search} --population 4"), "`evolution`"),
        (format!("{random} --population 4"), "`evolution`"),
        (format!("{random} --study study.toml"), "--study"),
        (
            "search --study study.toml --out study --seed 1".to_owned(),
            "--seed",
        ),
        (
            "search --backbone backbone --task task --space space.toml --strategy random \
             --trials 0 --out study"
                .to_owned(),
            "--trials",
        ),
        (
            "train placement.toml --backbone backbone --task task --steps 0 --out out".to_owned(),
            "--steps",
        ),
        (
            "evaluate placement.toml --backbone backbone --task task".to_owned(),
            "--adapters",
        ),
        (
            "evaluate placement.toml --adapters a --backbone b --task c --part dev".to_owned(),
            "validation",
        ),
    ] {
        lab.run(&arguments).misused(&[part]);
    }
    assert!(lab.content("") == before);
}

#[test]
fn help_and_version_are_no_failure() {
    let lab = Lab::text();
    assert!(
        lab.run("--version")
            .succeeded()
            .stdout
            .starts_with("adaplace ")
    );
    let help = lab.run("search --help").succeeded().stdout;
    for option in ["--trials", "--halving", "--workers", "--finalists"] {
        assert!(help.contains(option), "{help}");
    }
}
