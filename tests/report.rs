//! `adaplace report` on finished, unfinished and damaged studies.

use std::fs;

use adaplace_search_space::{AdapterSpec, Connection, Placement};

use crate::common::{Lab, Running, SEARCH, assert_page, journal_line, signals_are_heard, text_of};

const REPORT: &str = "report study";

/// Restores the study before its last trainings, without the files that are written at the end.
fn unfinished(lab: &Lab, trainings: usize) {
    let journal = lab.read("study/journal.jsonl");
    let lines: Vec<&str> = journal.lines().take(trainings).collect();
    lab.write("study/journal.jsonl", lines.join("\n") + "\n");
    fs::remove_file(lab.path("study/ranking.json")).unwrap();
    fs::remove_file(lab.path("study/report.html")).unwrap();
}

#[test]
fn a_search_writes_its_report_and_the_command_writes_it_anew() {
    let lab = Lab::searched("--strategy random");
    let page = lab.read("study/report.html");
    assert_page(&page);
    assert!(page.contains("prefers-color-scheme: dark"));
    let text = text_of(&page);
    for part in [
        "adaplace search study 6 trials of the strategy random: where to put 2 adapters",
        "The best placements",
        "The race of the best trials",
        "left at rung",
        "Progress of the search",
        "Gradient map: mean rank by rank + validation alignment",
        "Gradient map: rank",
        "Trained: placements with the connection",
        "Connection score and result: mean rank by rank + validation alignment",
        "Spearman",
        "Pareto front",
        "search.trials 6",
        "parallel at every sublayer",
        "They are measured on 30 validation examples",
    ] {
        assert!(text.contains(part), "no {part}");
    }
    fs::remove_file(lab.path("study/report.html")).unwrap();
    let before = lab.content("study");
    let ended = lab.run(REPORT).succeeded();
    assert!(ended.stdout.contains("study/report.html"), "{ended:#?}");
    assert_eq!(lab.read("study/report.html"), page);
    lab.run("report study --out elsewhere.html").succeeded();
    assert_eq!(lab.read("elsewhere.html"), page);
    fs::remove_file(lab.path("study/report.html")).unwrap();
    assert!(lab.content("study") == before, "another file was changed");
}

/// The page shows the coupling of the best placement's connections, but not for old studies, whose ranking does not
/// contain it.
#[test]
fn the_coupling_of_the_best_placement_is_shown() {
    let lab = Lab::searched("--strategy random");
    let caption = "Coupling of the connections of the first place";
    assert!(lab.read("study/report.html").contains(caption));
    let mut ranking: serde_json::Value =
        serde_json::from_str(&lab.read("study/ranking.json")).unwrap();
    for finalist in ranking["finalists"].as_array_mut().unwrap() {
        let coupling = finalist["coupling"].take();
        let value = |row: usize, column: usize| coupling[row][column].as_f64().unwrap();
        assert!((value(0, 0) - 1.0).abs() < 1e-9 && (value(1, 1) - 1.0).abs() < 1e-9);
        assert!((value(0, 1) - value(1, 0)).abs() < 1e-12 && value(0, 1).abs() <= 1.0);
        finalist["coupling"] = serde_json::json!([[1.0]]);
    }
    lab.write("study/ranking.json", ranking.to_string());
    lab.run(REPORT)
        .failed(&["study/ranking.json", "the coupling of place 1"]);
    for finalist in ranking["finalists"].as_array_mut().unwrap() {
        finalist.as_object_mut().unwrap().remove("coupling");
    }
    lab.write("study/ranking.json", ranking.to_string());
    lab.run(REPORT).succeeded();
    assert!(!lab.read("study/report.html").contains(caption));
}

#[test]
fn single_connections_have_a_map_of_their_own() {
    let lab = Lab::text();
    lab.space(1, "");
    let search = SEARCH.replace("--trials 6", "--trials 25");
    lab.run(&format!(
        "{search} --strategy exhaustive --metric loss --out study"
    ))
    .succeeded();
    let page = lab.read("study/report.html");
    assert_page(&page);
    for part in [
        "Trained: single connections",
        "25 single connections.",
        "the rule: the earlier the target",
        "Ranked by validation loss",
    ] {
        assert!(page.contains(part), "no {part}");
    }
}

#[test]
fn halving_and_greedy_tell_apart_what_cannot_be_compared() {
    let page = Lab::searched("--strategy random --halving 2").read("study/report.html");
    assert_page(&page);
    let legend = "best so far, 4 steps best so far, 2 steps best so far, 1 step every trial";
    assert!(text_of(&page).contains(legend), "no {legend}");
    let page = Lab::searched("--strategy greedy").read("study/report.html");
    assert_page(&page);
    assert!(page.contains("best so far, fewer adapters"));
}

#[test]
fn an_unfinished_study_is_shown_as_far_as_it_is() {
    let lab = Lab::searched("--strategy random");
    unfinished(&lab, 4);
    // The journal is torn, as after a kill.
    let journal = lab.read("study/journal.jsonl") + "{\"trial\":4,\"pha";
    lab.write("study/journal.jsonl", &journal);
    lab.run(REPORT).succeeded();
    let page = lab.read("study/report.html");
    assert_page(&page);
    for part in [
        "Unfinished: 4 trials of 6 so far",
        "The best placements so far",
        "Extra FLOPs are known when the search is finished.",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    assert_eq!(
        lab.read("study/journal.jsonl"),
        journal,
        "the journal was changed"
    );

    unfinished_from_the_start(&lab);
}

/// First there is no training, then nothing but the configuration.
fn unfinished_from_the_start(lab: &Lab) {
    for file in ["study/journal.jsonl", "study/gradient-map.json"] {
        fs::remove_file(lab.path(file)).unwrap();
        lab.run(REPORT).succeeded();
        let page = lab.read("study/report.html");
        assert_page(&page);
        assert!(page.contains("Unfinished: 0 trials of 6 so far"));
    }
    let page = lab.read("study/report.html");
    assert!(page.contains("There is no gradient map yet"));
}

#[test]
fn a_study_at_work_can_be_looked_at() {
    if !signals_are_heard() {
        return;
    }
    let lab = Lab::text();
    let search = SEARCH.replace("--trials 6", "--trials 200");
    let mut running =
        Running::start(&mut lab.command(&format!("{search} --strategy random --out study")));
    assert!(running.wait_until(|| lab.journal_length("study") >= 3));
    lab.run("report study --out now.html").succeeded();
    assert_page(&lab.read("now.html"));
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("the report so far is `study/report.html`")
    );
    // The search also writes the report when it is stopped.
    let page = lab.read("study/report.html");
    assert_page(&page);
    assert!(page.contains("Unfinished: "));
}

#[test]
fn trials_that_failed_are_counted() {
    let lab = Lab::text();
    lab.run(&format!(
        "{SEARCH} --strategy random --out study --learning-rate 1e38"
    ))
    .failed(&["diverged"]);
    lab.run(REPORT).succeeded();
    let page = lab.read("study/report.html");
    assert_page(&page);
    let text = text_of(&page);
    // Among the facts, and in the row of a trial without losses.
    assert!(text.contains("trials 6 6 failed") && text.contains(" failed - - "));
}

#[test]
fn damaged_studies_are_refused_with_the_name_of_the_file() {
    let lab = Lab::searched("--strategy random");
    let whole = |name: &str| lab.read(&format!("study/{name}"));
    let damage = |name: &str, content: &str, parts: &[&str]| {
        let before = whole(name);
        let path = format!("study/{name}");
        assert_ne!(content, before, "{name} was not changed");
        lab.write(&path, content);
        let file = format!("`{path}`");
        let parts: Vec<&str> = parts.iter().copied().chain([file.as_str()]).collect();
        lab.refuses(REPORT, &parts);
        lab.write(&path, before);
    };
    let (map, ranking, journal) = (
        whole("gradient-map.json"),
        whole("ranking.json"),
        whole("journal.jsonl"),
    );
    damage(
        "study.toml",
        "format = \"adaplace.study/2\"",
        &["adaplace.study/2"],
    );
    damage(
        "study.toml",
        &whole("study.toml").replace("trials = 6", "trials = 0"),
        &["`search.trials`: 0 is out of range"],
    );
    damage("gradient-map.json", &map[..map.len() / 2], &["damaged"]);
    damage(
        "gradient-map.json",
        &map.replace("gradient-map/1", "gradient-map/9"),
        &["gradient-map/9"],
    );
    damage(
        "gradient-map.json",
        &map.replace("\"hidden_states\":5", "\"hidden_states\":6"),
        &["6 x 6"],
    );
    damage("ranking.json", &ranking[..ranking.len() / 2], &["damaged"]);
    damage(
        "ranking.json",
        &ranking.replace("\"trial\": 3", "\"trial\": 4"),
        &["not those of the journal"],
    );
    damage("ranking.json", "", &["damaged"]);
    damage(
        "journal.jsonl",
        &journal.replacen("\"steps\":4", "\"steps\":0", 1),
        &["line 1"],
    );
    damage(
        "journal.jsonl",
        &journal.replacen("{\"trial\":0", "{\"trial\":1", 1),
        &["line 1", "trial 1"],
    );
    lab.run(REPORT).succeeded();
}

#[test]
fn a_journal_of_another_backbone_is_refused() {
    let lab = Lab::searched("--strategy random");
    unfinished(&lab, 2);
    let adapter = AdapterSpec::new(2, 1.0).unwrap();
    let placement = Placement::new().with(Connection::new(0, 5), adapter);
    let line = journal_line(2, &placement, 0.5);
    lab.write(
        "study/journal.jsonl",
        lab.read("study/journal.jsonl") + &line,
    );
    lab.refuses(
        REPORT,
        &[
            "`study/journal.jsonl`",
            "line 3",
            "`0->5`",
            "5 hidden states",
        ],
    );
}

#[test]
fn a_folder_that_is_no_study() {
    let lab = Lab::text();
    lab.refuses("report task", &["`task`", "study.toml"]);
    lab.refuses("report nowhere", &["`nowhere`", "study.toml"]);
    lab.refuses("report space.toml", &["`space.toml`", "not a study"]);
}

#[test]
fn a_report_that_cannot_be_written_loses_nothing() {
    let lab = Lab::text();
    fs::create_dir_all(lab.path("study/placements")).unwrap();
    let search = format!("{SEARCH} --strategy random --out study");
    lab.run(&search).succeeded();
    // There is a folder in the place of the report.
    fs::remove_file(lab.path("study/report.html")).unwrap();
    fs::create_dir_all(lab.path("study/report.html/occupied")).unwrap();
    let ended = lab.run(&search).succeeded();
    assert!(
        ended.stderr.contains("warning: no report was written"),
        "{ended:#?}"
    );
    assert!(
        ended.stderr.contains("`adaplace report study`"),
        "{ended:#?}"
    );
    assert!(ended.stdout.contains("study/ranking.json"), "{ended:#?}");
    assert!(!ended.stdout.contains("report.html"), "{ended:#?}");
    lab.run(REPORT).failed(&["`study/report.html`"]);
    lab.run("report study --out task/none/report.html")
        .failed(&["`task/none/report.html`"]);
}
