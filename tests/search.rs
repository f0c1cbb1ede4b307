//! `adaplace search` without interruptions.

use std::collections::BTreeSet;

use adaplace_search_space::PlacementFile;
use adaplace_study::Ranking;

use crate::common::{Lab, SEARCH, SEARCH_IMAGES};

/// Checks all contents of a finished study against each other.
fn assert_study(lab: &Lab, study: &str, trials: usize, finalists: usize) -> Ranking {
    let ranking: Ranking =
        serde_json::from_str(&lab.read(&format!("{study}/ranking.json"))).unwrap();
    assert_eq!(ranking.trials.len(), trials);
    assert_eq!(ranking.finalists.len(), finalists);
    for finalist in &ranking.finalists {
        let path = lab.path(&format!("{study}/placements/{}.toml", finalist.place));
        let file = PlacementFile::read(&path).unwrap();
        assert_eq!(file.placement, finalist.repeated.placement);
        assert_eq!(file.placement.len(), 2);
        assert_eq!(file.backbone.hidden_states, 5);
        assert!(file.provenance.is_some());
    }
    let journal = lab.journal(study);
    let trainings: BTreeSet<String> = journal
        .iter()
        .map(|line| format!("{} {} {}", line["hash"], line["steps"], line["repetition"]))
        .collect();
    assert_eq!(
        trainings.len(),
        journal.len(),
        "something was trained twice"
    );
    let searched = journal.iter().filter(|line| line["phase"] == "search");
    assert_eq!(searched.count(), trials);
    let map: serde_json::Value =
        serde_json::from_str(&lab.read(&format!("{study}/gradient-map.json"))).unwrap();
    assert_eq!(map["statistics"]["rank"].as_array().unwrap().len(), 5);
    // There are no other files.
    let judged = lab.path(&format!("{study}/importances.jsonl")).exists();
    let files = lab.content(study).len();
    assert_eq!(files, 5 + finalists + usize::from(judged));
    ranking
}

#[test]
fn random() {
    let lab = Lab::text();
    let ended = lab
        .run(&format!("{SEARCH} --strategy random --out results/first"))
        .succeeded();
    let ranking = assert_study(&lab, "results/first", 6, 2);
    for phrase in [
        "6 trials of `random` in ",
        "the 2 best trials raced on 2 fresh trainings",
        "the best 2, trained 2 times with 4 steps",
        "parallel at every sublayer",
        "linear probe",
        "The best placement is ",
        " the linear probe and ",
        " an adapter in parallel at every sublayer, with ",
        "results/first/placements/1.toml to 2.toml",
        "results/first/ranking.json",
        "results/first/gradient-map.json",
        "results/first/report.html",
        "adaplace train results/first/placements/1.toml --backbone backbone --task task --out DIR",
    ] {
        assert!(ended.stdout.contains(phrase), "no {phrase:?} in {ended:#?}");
    }
    let best =
        adaplace_search_space::Placement::connections(&ranking.finalists[0].repeated.placement)
            .map(|connection| connection.to_string())
            .collect::<Vec<_>>();
    assert!(ended.stdout.contains(&best.join(" ")), "{ended:#?}");
    // 6 trials, a race of 2, 2 times 2 finalists, 2 times the baseline.
    assert!(ended.stderr.contains("14/14 trainings"), "{ended:#?}");
}

#[test]
fn greedy() {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --strategy greedy --out study"))
        .succeeded();
    let ranking = assert_study(&lab, "study", 6, 2);
    // There are three candidates in each of two stages.
    let complete = ranking.trials.iter().filter(|trial| trial.complete);
    assert_eq!(complete.count(), 3);

    // It resumes after an interruption within the second stage.
    let journal = lab.read("study/journal.jsonl");
    let begun: String = journal.split_inclusive('\n').take(4).collect();
    lab.write("study/journal.jsonl", begun);
    lab.run("search --study study/study.toml --out study")
        .succeeded();
    assert_eq!(assert_study(&lab, "study", 6, 2), ranking);
}

#[test]
fn surrogate() {
    let lab = Lab::text();
    let search = SEARCH.replace("--trials 6", "--trials 12");
    lab.run(&format!(
        "{search} --strategy surrogate --proposals 3 --out study"
    ))
    .succeeded();
    let ranking = assert_study(&lab, "study", 12, 2);
    let journal = lab.read("study/journal.jsonl");
    let begun: String = journal.split_inclusive('\n').take(7).collect();
    lab.write("study/journal.jsonl", begun);
    lab.run("search --study study/study.toml --out study")
        .succeeded();
    assert_eq!(assert_study(&lab, "study", 12, 2), ranking);
}

#[test]
fn prune() {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --strategy prune --out study"))
        .succeeded();
    let ranking = assert_study(&lab, "study", 6, 2);
    // All 25 connections are trained together, then 25 sqrt(2 / 25) = 7 of them.
    let importances = lab.read("study/importances.jsonl");
    let adapters = importances
        .lines()
        .map(|line| line.matches("source").count());
    assert_eq!(adapters.collect::<Vec<_>>(), [25, 7]);

    // It resumes after an interruption, and does not train them together again.
    let journal = lab.read("study/journal.jsonl");
    let begun: String = journal.split_inclusive('\n').take(4).collect();
    lab.write("study/journal.jsonl", begun);
    lab.run("search --study study/study.toml --out study")
        .succeeded();
    assert_eq!(assert_study(&lab, "study", 6, 2), ranking);
    assert_eq!(lab.read("study/importances.jsonl"), importances);

    lab.run(&format!(
        "{SEARCH} --strategy prune --prune-rounds 1 --prune-from 4 --out fewer"
    ))
    .succeeded();
    let importances = lab.read("fewer/importances.jsonl");
    assert_eq!(importances.lines().count(), 1);
    assert_eq!(importances.matches("source").count(), 4);
}

/// A search without `--strategy` uses the one that the help names as the default.
#[test]
fn the_default_strategy() {
    let lab = Lab::text();
    let name = adaplace_strategy::StrategyDescription::default().name();
    let ended = lab.run(&format!("{SEARCH} --out study")).succeeded();
    let said = format!("6 trials of `{name}`");
    assert!(ended.stdout.contains(&said), "{}", ended.stdout);
    let study = lab.read("study/study.toml");
    assert!(study.contains(&format!("name = \"{name}\"")), "{study}");
    lab.run("search --study study/study.toml --out study")
        .succeeded();
    let help = lab.run("search --help").succeeded().stdout;
    assert!(help.contains(&format!("[default: {name}]")), "{help}");
}

#[test]
fn gradient_greedy() {
    let lab = Lab::text();
    lab.run(&format!(
        "{SEARCH} --strategy gradient-greedy --statistic effective-rank --out study"
    ))
    .succeeded();
    assert_study(&lab, "study", 1, 1);
}

#[test]
fn evolution_with_halving_by_loss() {
    let lab = Lab::text();
    lab.run(&format!(
        "{SEARCH} --strategy evolution --population 4 --halving 2 --metric loss --out study"
    ))
    .succeeded();
    // There are brackets of 4 and 2 at 1 step, of which 2 and 1 continue at 2 steps, and 1 and 1 at 4.
    let ranking = assert_study(&lab, "study", 11, 2);
    let losses: Vec<f64> = ranking
        .race
        .iter()
        .map(|raced| raced.repeated.validation_loss.unwrap().mean)
        .collect();
    assert!(losses.len() == 2 && losses.is_sorted());
    // The results of the repetitions do not change the choice of the race.
    let raced = ranking.race.iter().map(|raced| raced.hash);
    assert!(raced.eq(ranking.finalists.iter().map(|finalist| finalist.hash)));
    for trial in &ranking.trials[..2] {
        assert_eq!(trial.steps.steps(), 4);
    }
}

#[test]
fn exhaustive() {
    let lab = Lab::text();
    lab.write(
        "space.toml",
        "[connections]\nkinds = ['parallel']\n[adapter]\nranks = [2]\n[budget]\nadapters = 2\n",
    );
    // Two of the 4 parallel connections make 6 placements.
    lab.run(&format!("{SEARCH} --strategy exhaustive --out study"))
        .succeeded();
    assert_study(&lab, "study", 6, 2);
}

#[test]
fn pictures() {
    let lab = Lab::images();
    lab.run(&format!("{SEARCH_IMAGES} --strategy evolution --out study"))
        .succeeded();
    assert_study(&lab, "study", 4, 1);
}

#[test]
fn the_baseline_as_a_finalist() {
    let lab = Lab::text();
    lab.write(
        "space.toml",
        "[connections]\nkinds = ['parallel']\n[adapter]\nranks = [2]\n[budget]\nadapters = 4\n",
    );
    let search = format!("{SEARCH} --strategy exhaustive --out study --json");
    let first = lab.run(&search).succeeded().json();
    // There is one trial and two repetitions, which finalist and baseline share.
    assert_eq!(lab.journal("study").len(), 3);
    let second = lab.run(&search).succeeded().json();
    assert_eq!(first["ranking"], second["ranking"]);
}

#[test]
fn json_is_the_ranking_and_nothing_else() {
    let lab = Lab::text();
    let ended = lab
        .run(&format!("{SEARCH} --strategy random --out study --json"))
        .succeeded();
    let report = ended.json();
    assert_eq!(report["study"], "study");
    assert_eq!(report["finished"], true);
    let stored: serde_json::Value = serde_json::from_str(&lab.read("study/ranking.json")).unwrap();
    assert_eq!(report["ranking"], stored);
}

/// With a map of the space's connections alone, every strategy that asks it finds what it needs.
#[test]
fn a_map_of_the_space_is_enough_for_a_search() {
    let lab = Lab::text();
    for strategy in ["surrogate", "gradient-greedy", "prune", "evolution"] {
        let search = format!(
            "{} --gradient-connections space --strategy {strategy} --out {strategy}",
            SEARCH.replace("space.toml", "sequential")
        );
        lab.run(&search).succeeded();
        let map: serde_json::Value =
            serde_json::from_str(&lab.read(&format!("{strategy}/gradient-map.json"))).unwrap();
        let row = map["statistics"]["rank"][2].as_array().unwrap();
        let known: Vec<bool> = row.iter().map(|value| !value.is_null()).collect();
        assert_eq!(known, [false, false, true, false, false]);
        let page = lab.read(&format!("{strategy}/report.html"));
        assert!(page.contains("The map has the connections of the search space alone."));
        let all = search.replace("--gradient-connections space", "");
        lab.refuses(&all, &["gradient_map", "connections"]);
    }
}

#[test]
fn a_study_runs_again_from_its_own_file() {
    let lab = Lab::text();
    lab.run(&format!(
        "{SEARCH} --strategy evolution --population 4 --seed 5 --out first"
    ))
    .succeeded();
    lab.run("search --study first/study.toml --out second --workers 2")
        .succeeded();
    assert_eq!(lab.journal("first"), lab.journal("second"));
    assert_eq!(lab.read("first/study.toml"), lab.read("second/study.toml"));
    assert_eq!(
        lab.read("first/ranking.json"),
        lab.read("second/ranking.json")
    );
    assert_eq!(
        lab.read("first/gradient-map.json"),
        lab.read("second/gradient-map.json")
    );
}

#[test]
fn one_and_two_workers_give_the_same() {
    let lab = Lab::text();
    for workers in [1, 2] {
        lab.run(&format!(
            "{SEARCH} --strategy greedy --halving 2 --workers {workers} --out {workers}"
        ))
        .succeeded();
    }
    assert_eq!(lab.journal("1"), lab.journal("2"));
    assert_eq!(lab.read("1/ranking.json"), lab.read("2/ranking.json"));
}

#[test]
fn a_finished_study_says_the_same_again_and_trains_nothing() {
    let lab = Lab::text();
    let search = format!("{SEARCH} --strategy random --out study");
    let first = lab.run(&search).succeeded();
    let before = lab.content("study");
    let second = lab.run(&search).succeeded();
    assert!(lab.content("study") == before);
    assert!(
        second.stdout.contains("14 of the trainings done before"),
        "{second:#?}"
    );
    let table = |text: &str| -> Vec<String> { text.lines().skip(1).map(str::to_owned).collect() };
    assert_eq!(table(&first.stdout), table(&second.stdout));
}

#[test]
fn another_seed_is_another_study() {
    let lab = Lab::text();
    for seed in [0, 1] {
        lab.run(&format!(
            "{SEARCH} --strategy random --seed {seed} --out {seed}"
        ))
        .succeeded();
    }
    assert_ne!(lab.journal("0"), lab.journal("1"));
}

/// Costs are further objectives: the file contains them, the ranking marks the front, and a second run prints the same.
#[test]
fn a_search_for_the_front_marks_it() {
    let lab = Lab::text();
    lab.write(
        "space.toml",
        "[connections]\nkinds = ['sequential', 'parallel']\n[adapter]\nranks = [1, 2, 4]\n[budget]\nadapters = 1\n",
    );
    let search =
        format!("{SEARCH} --strategy evolution --and parameters --and extra-flops --out study");
    let ended = lab.run(&search).succeeded();
    assert!(
        ended.stdout.contains("on the Pareto front"),
        "{}",
        ended.stdout
    );
    assert!(
        lab.read("study/study.toml")
            .contains("and = [\"parameters\", \"extra-flops\"]")
    );
    let ranking: serde_json::Value = serde_json::from_str(&lab.read("study/ranking.json")).unwrap();
    let trials = ranking["trials"].as_array().unwrap();
    // The best placement is on the front, and so is one of the lowest rank.
    assert_eq!(trials[0]["front"], true);
    let cost = |trial: &serde_json::Value| trial["cost"]["parameters"].as_u64().unwrap();
    let cheapest = trials.iter().map(cost).min().unwrap();
    assert!(
        trials
            .iter()
            .any(|trial| trial["front"] == true && cost(trial) == cheapest)
    );
    lab.run(&format!(
        "{SEARCH} --strategy random --and parameters --and parameters --out other"
    ))
    .misused(&["names the same cost twice"]);
}

/// A study can be run again from another folder, and after its backbone and task were moved. Others are refused.
#[test]
fn a_stored_study_finds_what_it_was_made_from() {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --strategy random --out results/first"))
        .succeeded();
    let ranking = |study: &str| -> serde_json::Value {
        serde_json::from_str(&lab.read(&format!("{study}/ranking.json"))).unwrap()
    };
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    let mut command = lab.prepared(crate::common::PROGRAM);
    command.current_dir(lab.path("elsewhere"));
    command.args([
        "search",
        "--study",
        "../results/first/study.toml",
        "--out",
        "again",
    ]);
    crate::common::finish(&mut command).succeeded();
    assert_eq!(ranking("elsewhere/again"), ranking("results/first"));

    for name in ["backbone", "task"] {
        std::fs::rename(lab.path(name), lab.path(&format!("moved-{name}"))).unwrap();
    }
    let again = "search --study results/first/study.toml --out moved";
    lab.run(again).failed(&["`backbone`"]);
    lab.run(&format!(
        "{again} --backbone moved-backbone --task moved-task"
    ))
    .succeeded();
    assert_eq!(ranking("moved"), ranking("results/first"));
    // There is another task at the named place.
    lab.write(
        "moved-task/train.jsonl",
        lab.read("moved-task/validation.jsonl"),
    );
    lab.run(
        "search --study results/first/study.toml --out other --backbone moved-backbone --task moved-task"
    )
    .failed(&["task"]);
    assert!(!lab.path("other").exists());
}
