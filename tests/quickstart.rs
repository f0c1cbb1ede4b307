//! `adaplace quickstart`.

use adaplace_backbone::Backbone;

use crate::common::{Lab, Running, signals_are_heard};

#[test]
fn what_is_exported_can_be_used_by_the_other_commands() {
    let lab = Lab::images();
    let ended = lab.run("quickstart --export drawn").succeeded();
    assert!(ended.stdout.contains("counting, location, orientation"));

    let inspected = lab.run("inspect drawn/backbone --json").succeeded().json();
    let backbone = &inspected["backbone"];
    assert_eq!(backbone["model_type"], "vit");
    assert_eq!(backbone["hidden_states"], 13);
    assert_eq!(backbone["width"], 64);
    assert_eq!(inspected["tokens"], 65);

    for (task, least) in [("counting", 0.25), ("location", 0.0), ("orientation", 0.15)] {
        lab.run(&format!(
            "probe --backbone drawn/backbone --task drawn/tasks/{task} --examples 96 --out {task}.json"
        ))
        .succeeded();
        let map: serde_json::Value =
            serde_json::from_str(&lab.read(&format!("{task}.json"))).unwrap();
        assert_eq!(map["probe"]["validation"]["examples"], 500);
        // The class token reveals something about number and rotation (chance: 1/6 and 1/8) but nothing about the
        // place, and leaves room for adapters.
        let accuracy = map["probe"]["validation"]["accuracy"].as_f64().unwrap();
        assert!(accuracy > least && accuracy < 0.6, "{task}: {accuracy}");
    }

    let location = "--backbone drawn/backbone --task drawn/tasks/location --train-examples 64";
    lab.run(&format!(
        "search {location} --space space.toml --strategy random --trials 1 --steps 2 --gradient-examples 64 \
         --finalists 1 --repetitions 1 --out first"
    ))
    .succeeded();
    let trained = lab
        .run(&format!(
            "train first/placements/1.toml {location} --steps 2 --out trained --json"
        ))
        .succeeded()
        .json();
    assert_eq!(trained["test"]["examples"], 500);
}

/// The weights in the program are those of the exported folder, whatever reads it.
#[test]
fn the_weights_are_the_committed_ones() {
    let lab = Lab::images();
    lab.run("quickstart --export drawn").succeeded();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../quickstart/weights");
    let committed = Backbone::load(committed.as_ref(), None).unwrap();
    let inspected = lab.run("inspect drawn/backbone --json").succeeded().json();
    assert_eq!(
        inspected["backbone"]["weights_sha256"],
        committed.description().weights_sha256.as_str()
    );
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let lab = Lab::images();
    lab.refuses(
        "quickstart --export task",
        &["`task` is not empty", "a new one"],
    );
    lab.refuses("quickstart --out task", &["`task` is not empty"]);
    lab.refuses(
        "quickstart --export space.toml",
        &["`space.toml` is a file"],
    );
    lab.run("quickstart --export new --task location")
        .misused(&["--export", "--task"]);
    lab.run("quickstart --task painting")
        .misused(&["painting", "counting"]);
}

/// A search that was stopped resumes in the same folder.
#[test]
fn a_search_is_in_its_folder_and_goes_on() {
    if !signals_are_heard() {
        return;
    }
    let lab = Lab::images();
    let command = "quickstart --task location --out first --workers 2";
    let mut running = Running::start(&mut lab.command(command));
    assert!(running.wait_until(|| lab.journal_length("first/search/location") > 1));
    assert!(running.kill(), "it ended before it could be stopped");
    let before = lab.read("first/search/location/journal.jsonl");

    let mut running = Running::start(&mut lab.command(command));
    let lines = before.lines().count();
    assert!(running.wait_until(|| lab.journal_length("first/search/location") > lines));
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let after = lab.read("first/search/location/journal.jsonl");
    assert!(after.starts_with(before.trim_end().rsplit_once('\n').unwrap().0));

    // Run to the end, it shows both commands, and their results are where it says.
    let ended = lab.run(command).succeeded();
    for phrase in [
        "$ adaplace search --backbone first/backbone",
        "$ adaplace compare --backbone first/backbone",
        "10 trials of `surrogate`",
        "5 competitors on location, 2 seeds",
    ] {
        assert!(ended.stdout.contains(phrase), "{}", ended.stdout);
    }
    let finished = lab.read("first/search/location/journal.jsonl");
    assert!(finished.starts_with(&after));
    for page in [
        "first/search/location/report.html",
        "first/compare/location/report.html",
    ] {
        assert!(lab.read(page).ends_with("</html>\n"), "{page}");
    }
}
