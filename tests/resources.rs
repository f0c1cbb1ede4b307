//! Memory, instruction sets and precision, and which of them may change results.

use adaplace_backbone::InstructionSet;
use serde_json::Value;

use crate::common::{Lab, SEARCH, SEARCH_IMAGES};

/// The journal of a search on texts with further options.
fn journal(lab: &Lab, study: &str, options: &str) -> Vec<Value> {
    let command = format!("{SEARCH} --strategy random --out {study} {options}");
    lab.run(&command).succeeded();
    lab.journal(study)
}

/// With nothing cached, one state, a few or all of them, journal and map are the same.
#[test]
fn memory_changes_no_result() {
    for (lab, command) in [(Lab::text(), SEARCH), (Lab::images(), SEARCH_IMAGES)] {
        let search = |study: &str, options: &str| {
            let command = format!("{command} --strategy random --out {study} {options}");
            lab.run(&command).succeeded();
            let map = lab.read(&format!("{study}/gradient-map.json"));
            (lab.journal(study), map)
        };
        let all = search("all", "");
        for size in ["0", "20KiB", "200KiB", "1GiB"] {
            for workers in [1, 2] {
                let options = format!("--cache-memory {size} --workers {workers}");
                let some = search(&format!("{size}-{workers}"), &options);
                assert_eq!(some, all, "{size}, {workers} workers");
            }
        }
    }
}

#[test]
fn more_memory_than_there_is_is_wrong_usage() {
    let lab = Lab::text();
    let before = lab.content("");
    let ended = lab.run(&format!(
        "{SEARCH} --strategy random --out study --cache-memory 9000PiB"
    ));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    for part in [
        "--cache-memory",
        "of this machine",
        "all frozen states of this task take",
        "KiB",
    ] {
        assert!(ended.stderr.contains(part), "no {part:?} in {ended:#?}");
    }
    assert_eq!(lab.content(""), before);
}

/// Within the accuracy of f32, the losses of a short training agree to 1e-4.
#[test]
fn every_instruction_set_gives_the_same_trainings() {
    let lab = Lab::text();
    let losses = |lines: &[Value]| -> Vec<f64> {
        let losses = lines.iter().flat_map(|line| {
            ["train_loss", "validation_loss"]
                .map(|loss| line["result"]["score"][loss].as_f64().unwrap())
        });
        losses.collect()
    };
    for precision in ["f32", "bf16"] {
        let with = |study: &str, options: &str| {
            let options = format!("--precision {precision} {options}");
            losses(&journal(&lab, &format!("{study}-{precision}"), &options))
        };
        let best = with("best", "");
        assert!(!best.is_empty());
        for set in InstructionSet::available() {
            let name = set.name();
            let found = with(name, &format!("--instruction-set {name}"));
            for (found, best) in found.iter().zip(&best) {
                assert!(
                    (found - best).abs() < 1e-4,
                    "{name}, {precision}: {found} and {best}"
                );
            }
        }
    }
}

/// The precision is a setting of the study, which is stored and cannot be changed later.
#[test]
fn the_precision_belongs_to_the_study() {
    let lab = Lab::text();
    let wide = journal(&lab, "wide", "--precision f32");
    let narrow = journal(&lab, "narrow", "--precision bf16");
    assert_ne!(wide, narrow);
    assert!(lab.read("wide/study.toml").contains("precision = \"f32\""));
    assert!(
        lab.read("narrow/study.toml")
            .contains("precision = \"bf16\"")
    );

    lab.run("search --study narrow/study.toml --out again")
        .succeeded();
    assert_eq!(lab.journal("again"), narrow);

    let ended = lab.run(&format!(
        "{SEARCH} --strategy random --out wide --precision bf16"
    ));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("`backbone.precision` is \"f32\" there"),
        "{ended:#?}"
    );

    // A study from before there was a choice was computed in f32.
    let old = lab
        .read("wide/study.toml")
        .replace("precision = \"f32\"\n", "");
    lab.write("old.toml", old);
    lab.run("search --study old.toml --out old").succeeded();
    assert!(lab.read("old/study.toml").contains("precision = \"f32\""));
}

#[test]
fn an_instruction_set_that_is_not_there_is_wrong_usage() {
    let lab = Lab::text();
    let ended = lab.run(&format!(
        "{SEARCH} --strategy random --out study --instruction-set mmx"
    ));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stderr.contains("`mmx`") && ended.stderr.contains("portable"),
        "{ended:#?}"
    );
    assert!(!lab.path("study").exists());
}
