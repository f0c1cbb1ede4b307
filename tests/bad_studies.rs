//! Spaces, placements and study folders that cannot be used, and a full disk.

use std::fs;

use crate::common::{Lab, SEARCH, TRAIN};

const RANDOM: &str = "--strategy random --out study";

fn finished() -> Lab {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} {RANDOM}")).succeeded();
    lab
}

#[test]
fn a_space_without_a_placement() {
    let lab = Lab::text();
    lab.space(2, "parameters = 100");
    lab.refuses(
        &format!("{SEARCH} {RANDOM}"),
        &["`space.toml`", "budget", "parameters"],
    );
    lab.space(26, "");
    lab.refuses(&format!("{SEARCH} {RANDOM}"), &["`space.toml`", "26", "25"]);
}

#[test]
fn a_space_that_is_not_understood() {
    let lab = Lab::text();
    lab.space(2, "colour = 1");
    lab.refuses(
        &format!("{SEARCH} {RANDOM}"),
        &["`space.toml`", "line", "colour"],
    );
    fs::remove_file(lab.path("space.toml")).unwrap();
    lab.refuses(
        &format!("{SEARCH} {RANDOM}"),
        &["`space.toml`", "No such file"],
    );
}

#[test]
fn an_exhaustive_search_of_too_large_a_space() {
    let lab = Lab::text();
    // There are 25 choose 2 placements.
    lab.refuses(
        &format!("{SEARCH} --strategy exhaustive --out study"),
        &["300 placements", "6 trials"],
    );
}

#[test]
fn a_placement_out_of_range() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    let text = lab.read("placement.toml");
    let train = format!("{TRAIN} --out trained");
    lab.write("placement.toml", text.replace("source = 0", "source = 5"));
    lab.refuses(&train, &["`placement.toml`", "`5->1`", "0 to 4"]);
    // This also holds if the file claims that there are more states.
    lab.write(
        "placement.toml",
        text.replace("source = 0", "source = 5")
            .replace("hidden_states = 5", "hidden_states = 7"),
    );
    // 5 -> 1 takes a second pass.
    let text = lab
        .read("placement.toml")
        .replace("passes = 1", "passes = 2");
    lab.write("placement.toml", text);
    lab.refuses(&train, &["`placement.toml`", "hidden_states", "`7`", "`5`"]);
}

#[test]
fn a_torn_journal_is_repaired() {
    let lab = finished();
    let (whole, journal) = (lab.read("study/journal.jsonl"), lab.journal("study"));
    let ranking = lab.read("study/ranking.json");
    lab.write("study/journal.jsonl", &whole[..whole.len() - 20]);
    let ended = lab.run(&format!("{SEARCH} {RANDOM}")).succeeded();
    assert!(ended.stderr.contains("study/journal.jsonl"), "{ended:#?}");
    assert!(ended.stderr.contains("torn"), "{ended:#?}");
    assert_eq!(lab.journal("study"), journal);
    assert_eq!(lab.read("study/ranking.json"), ranking);
}

#[test]
fn a_damaged_journal_is_refused() {
    let lab = finished();
    let whole = lab.read("study/journal.jsonl");
    let mut lines: Vec<&str> = whole.lines().collect();
    lines[3] = "{\"trial\":3,\"phase\"";
    lab.write("study/journal.jsonl", lines.join("\n") + "\n");
    lab.refuses(
        &format!("{SEARCH} {RANDOM}"),
        &["`study/journal.jsonl`", "line 4", "restore the file"],
    );
}

#[test]
fn a_folder_that_is_no_study() {
    let lab = Lab::text();
    lab.write("study/thesis.tex", "precious");
    lab.refuses(&format!("{SEARCH} {RANDOM}"), &["`study`", "study.toml"]);
    lab.refuses(
        &format!("{SEARCH} --strategy random --out space.toml"),
        &["`space.toml`", "not a study"],
    );
}

#[test]
fn another_configuration() {
    let lab = finished();
    lab.refuses(
        &format!("{SEARCH} {RANDOM} --seed 1 --learning-rate 0.01"),
        &[
            "`study`",
            "`search.seed` is 0 there and 1 here",
            "`training.adapter_learning_rate` is 0.003 there and 0.01 here",
        ],
    );
    lab.refuses(
        &format!("{SEARCH} --strategy evolution --out study"),
        &["`study`", "`strategy.name`"],
    );
}

#[test]
fn a_damaged_configuration() {
    let lab = finished();
    let text = lab.read("study/study.toml");
    lab.write(
        "study/study.toml",
        text.replace("trials = 6", "trials = \"six\""),
    );
    for arguments in [
        format!("{SEARCH} {RANDOM}"),
        "search --study study/study.toml --out again".to_owned(),
    ] {
        lab.refuses(&arguments, &["`study/study.toml`", "line"]);
    }
    lab.write("study/study.toml", text.replace("trials = 6", "trials = 0"));
    lab.refuses(
        "search --study study/study.toml --out again",
        &["`study/study.toml`", "`search.trials`: 0 is out of range"],
    );
}

#[test]
fn every_trial_diverges() {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} {RANDOM} --learning-rate 1e38"))
        .failed(&["all 6 trials failed", "diverged"]);
    assert_eq!(lab.journal("study").len(), 6);
}

#[test]
fn a_disk_that_is_full_in_the_middle() {
    let lab = Lab::text();
    // The journal has 30 lines of some 300 bytes.
    let search = SEARCH.replace("--trials 6", "--trials 30");
    let search = format!("{search} --strategy random");
    lab.run(&format!("{search} --out undisturbed")).succeeded();
    let expected = lab.journal("undisturbed");
    let ended = lab
        .run_with_little_disk(8, &format!("{search} --out study"))
        .failed(&[
            "`study/journal.jsonl`",
            "File too large",
            "run the same command again",
        ]);
    let done = lab.journal("study");
    assert!(!done.is_empty() && done.len() < 30, "{ended:#?}");
    assert_eq!(done, expected[..done.len()]);
    lab.run(&format!("{search} --out study")).succeeded();
    assert_eq!(lab.journal("study"), expected);
}

#[test]
fn a_disk_that_is_full_from_the_start() {
    let lab = Lab::text();
    let search = format!("{SEARCH} {RANDOM}");
    lab.run_with_little_disk(0, &search)
        .failed(&["`study/study.toml`", "File too large"]);
    lab.run_with_little_disk(2, &search)
        .failed(&["`study/gradient-map.json`", "File too large"]);
    lab.run(&search).succeeded();
    // The ranking, with its indentation, is the largest file by far.
    let before = lab.content("study");
    let ranking = lab.read("study/ranking.json").len();
    lab.run_with_little_disk(ranking / 1024, &search)
        .failed(&["`study/ranking.json`", "File too large"]);
    assert!(lab.content("study") == before);
}
