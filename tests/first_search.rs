//! A search with few options: spaces by name, defaults, a time budget, and more trials later.

use adaplace_study::StudyConfiguration;
use serde_json::Value;

use crate::common::Lab;

/// A short search that specifies neither the space nor the folder.
const SHORT: &str = "search --backbone backbone --task task --steps 2 --train-examples 30 --gradient-examples 30 \
    --max-length 32 --finalists 2 --repetitions 1";

fn stored(lab: &Lab, study: &str) -> StudyConfiguration {
    let text = lab.read(&format!("{study}/study.toml"));
    toml::from_str(&text).unwrap()
}

#[test]
fn backbone_and_task_are_enough() {
    let lab = Lab::text();
    let ended = lab.run(&format!("{SHORT} --trials 4")).succeeded();
    let study = stored(&lab, "results/task-surrogate");
    assert_eq!(study.strategy.name(), "surrogate");
    assert_eq!(study.space.connections.kinds.len(), 4);
    assert_eq!(study.space.budget.adapters, 3);
    // Four trials, a race of two, and then the last two with the baseline: 4 + 2 + 3.
    assert!(ended.stderr.contains("memory    about "), "{ended:#?}");
    assert!(
        ended.stderr.contains(" for 9 trainings of 2 steps"),
        "{ended:#?}"
    );
    assert!(
        ended.stdout.contains("results/task-surrogate"),
        "{ended:#?}"
    );
    // The study is finished, so there is nothing to estimate.
    let again = lab.run(&format!("{SHORT} --trials 4")).succeeded();
    assert!(!again.stderr.contains("trainings of 2 steps"), "{again:#?}");
}

#[test]
fn spaces_have_names_and_options_change_them() {
    let lab = Lab::text();
    let search = format!("{SHORT} --strategy random --trials 2");
    lab.run(&format!(
        "{search} --space recurrent --adapters 2 --ranks 2,4 --parameters 1000 --out one"
    ))
    .succeeded();
    let space = stored(&lab, "one").space;
    assert_eq!(space.connections.kinds.len(), 1);
    assert_eq!(space.adapter.ranks, [2, 4]);
    assert_eq!(space.budget.adapters, 2);
    assert_eq!(space.budget.parameters, Some(1000));
    lab.run(&format!(
        "{search} --space space.toml --adapters 1 --out two"
    ))
    .succeeded();
    assert_eq!(stored(&lab, "two").space.budget.adapters, 1);
    lab.run(&format!("{search} --space backwards --out three"))
        .failed(&["`backwards`"]);
    lab.run(&format!("{search} --parameters 1 --out three"))
        .failed(&["parameters"]);
    lab.run(&format!("{search} --ranks 0 --out three"))
        .misused(&["--ranks"]);
    assert!(!lab.path("three").exists());
}

#[test]
fn a_budget_of_time_becomes_a_number_of_trials() {
    let lab = Lab::text();
    let search = format!("{SHORT} --strategy random --space parallel --adapters 1");
    lab.run(&format!("{search} --until 1us --out none"))
        .failed(&["one trial", "--until"]);
    assert!(!lab.path("none").exists());
    lab.run(&format!("{search} --until soon --out none"))
        .misused(&["--until"]);
    lab.run(&format!("{search} --until 1h --trials 3 --out none"))
        .misused(&["--until", "--trials"]);

    // There are four connections, for which an hour is enough.
    lab.run(&format!("{search} --until 1h --out study"))
        .succeeded();
    let trials = stored(&lab, "study").search.trials;
    assert_eq!(trials.get(), 4);
    let before = lab.journal("study");
    lab.run(&format!("{search} --until 1h --out study"))
        .succeeded();
    assert_eq!(lab.journal("study"), before);
}

/// Every command that reads a task accepts columns with other names, and a study remembers them.
#[test]
fn columns_have_the_names_that_they_have() {
    let lab = Lab::text();
    for part in ["train", "validation", "test"] {
        let path = format!("task/{part}.jsonl");
        let renamed = lab.read(&path).replace("\"text\"", "\"question\"");
        lab.write(&path, renamed.replace("\"label\"", "\"kind\""));
    }
    let columns = "--text-column question --label-column kind";
    let search = format!("{SHORT} --strategy random --trials 2 --out study");
    lab.run(&search).failed(&["`text`", "train.jsonl:1"]);
    lab.run(&format!("{search} {columns}")).succeeded();
    assert_eq!(stored(&lab, "study").task.columns.label, "kind");
    lab.run("search --study study/study.toml --out again")
        .succeeded();
    lab.run(&format!("inspect backbone --task task {columns}"))
        .succeeded();
    let train =
        "train study/placements/1.toml --backbone backbone --task task --steps 2 --out trained";
    lab.run(&format!("{train} {columns}")).succeeded();
    lab.run(&format!(
        "evaluate study/placements/1.toml --adapters trained/adapters.safetensors --backbone backbone --task task {columns}"
    ))
    .succeeded();
    // The search prints the next command.
    let next = format!("--task task {columns}");
    let again = lab.run(&format!("{search} {columns}")).succeeded();
    assert!(again.stdout.contains(&next), "{again:#?}");
}

#[test]
fn a_finished_study_goes_on_with_more_trials() {
    let lab = Lab::text();
    let search = format!("{SHORT} --strategy evolution --out study");
    lab.run(&format!("{search} --trials 5")).succeeded();
    let first = lab.journal("study").len();
    lab.run(&format!("{search} --trials 8")).succeeded();
    let grown: Value = serde_json::from_str(&lab.read("study/ranking.json")).unwrap();
    assert_eq!(grown["trials"].as_array().unwrap().len(), 8);
    assert!(lab.journal("study").len() > first);
    lab.run(&format!("{search} --trials 6"))
        .failed(&["trials", "8", "6"]);
}

#[test]
fn shells_and_man_learn_the_command_line() {
    let lab = Lab::text();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.run(&format!("completions {shell}")).succeeded().stdout;
        assert!(script.contains("train-examples"), "{shell}");
    }
    lab.run("completions tcsh").misused(&["tcsh"]);
    let page = lab.run("man").succeeded().stdout;
    assert!(page.contains(".TH adaplace 1"), "{page}");
    lab.run("man --out pages").succeeded();
    let search = lab.read("pages/adaplace-search.1");
    assert!(search.contains("finalists"), "{search}");
    assert!(lab.path("pages/adaplace.1").is_file());
}
