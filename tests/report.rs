//! `adaplace report`: finished, unfinished, damaged and very long studies, and the page in a browser.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use adaplace_search_space::{AdapterSpec, Connection, Placement};
use common::{Lab, Running, SEARCH, finish};
use serde_json::{Value, json};

const REPORT: &str = "report study";

/// What every report is held to: whole, small and closed to the outside.
#[track_caller]
fn assert_page(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for foreign in [
        "<script",
        " src=",
        "url(",
        "@import",
        "NaN",
        "inf,",
        "undefined",
    ] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    let without_names = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!without_names.contains("http://") && !without_names.contains("https://"));
    for element in ["svg", "figure", "table", "section", "details", "title"] {
        let opened = page.matches(&format!("<{element}>")).count()
            + page.matches(&format!("<{element} ")).count();
        let closed = page.matches(&format!("</{element}>")).count();
        assert_eq!(opened, closed, "<{element}>");
    }
}

fn searched(options: &str) -> Lab {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --out study {options}"))
        .succeeded();
    lab
}

/// The study as it was before its last trainings, without what is written at the end.
fn unfinished(lab: &Lab, trainings: usize) {
    let journal = lab.read("study/journal.jsonl");
    let lines: Vec<&str> = journal.lines().take(trainings).collect();
    lab.write("study/journal.jsonl", lines.join("\n") + "\n");
    fs::remove_file(lab.path("study/ranking.json")).unwrap();
    fs::remove_file(lab.path("study/report.html")).unwrap();
}

#[test]
fn a_search_writes_its_report_and_the_command_writes_it_anew() {
    let lab = searched("--strategy random");
    let page = lab.read("study/report.html");
    assert_page(&page);
    for part in [
        "<h1>study</h1>",
        "6 trials of the strategy random: where to put 2 adapters",
        "The best placements",
        "Progress of the search",
        "Gradient map: rank",
        "Trained: placements with the connection",
        "Promise and result: rank",
        "Spearman",
        "Pareto front",
        "<td>search.trials</td><td>6</td>",
        "parallel at every sublayer",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "no {part}");
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
    let page = searched("--strategy random --halving 2").read("study/report.html");
    assert_page(&page);
    for part in [
        "best so far, 4 steps",
        "best so far, 2 steps",
        "best so far, 1 steps",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    let page = searched("--strategy greedy").read("study/report.html");
    assert_page(&page);
    assert!(page.contains("best so far, fewer adapters"));
}

#[test]
fn an_unfinished_study_is_shown_as_far_as_it_is() {
    let lab = searched("--strategy random");
    unfinished(&lab, 4);
    // Torn, as a kill leaves it.
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

/// First without a training, then without anything but the configuration.
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
    let lab = Lab::text();
    let search = SEARCH.replace("--trials 6", "--trials 200");
    let mut running =
        Running::start(&mut lab.command(&format!("{search} --strategy random --out study")));
    assert!(running.wait_until(|| lab.journal_length("study") >= 3));
    lab.run("report study --out now.html").succeeded();
    assert_page(&lab.read("now.html"));
    running.interrupt();
    assert_eq!(running.end().code, Some(130));
    // The search writes the report also when it is stopped.
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
    assert!(page.contains("6 failed") && page.contains("<td class=\"n\">failed</td>"));
}

#[test]
fn damaged_studies_are_refused_with_the_name_of_the_file() {
    let lab = searched("--strategy random");
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
        &["`trials` is 0"],
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
        &["journal beside it"],
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
    let lab = searched("--strategy random");
    unfinished(&lab, 2);
    let adapter = AdapterSpec::new(2, 1.0).unwrap();
    let placement = Placement::new().with(Connection::new(0, 5), adapter);
    let line = line(2, &placement, 0.5);
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
    // Where the report should stand is a folder.
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

/// A line of a journal.
fn line(trial: usize, placement: &Placement, accuracy: f64) -> String {
    let record = json!({
        "trial": trial,
        "phase": "search",
        "hash": placement.hash(),
        "placement": placement,
        "steps": 4,
        "repetition": 0,
        "result": {"score": {
            "train_loss": 1.0 - accuracy,
            "validation_loss": 2.0 - accuracy,
            "validation_accuracy": accuracy,
        }},
        "seconds": 0.5,
    });
    format!("{record}\n")
}

/// Makes the study one of 50,000 trials of two adapters of rank 1 to 83: its journal and, if it is to be finished, its
/// ranking.
fn lengthen(lab: &Lab, finished: bool) {
    const TRIALS: usize = 50_000;
    let mut journal = String::new();
    let mut ranked = Vec::new();
    for trial in 0..TRIALS {
        // All pairs of the 25 connections 83 and more times, each with other ranks.
        let (pair, rank) = (trial % 600, trial / 600);
        let (first, second) = (pair / 24, pair % 24);
        let second = if second >= first { second + 1 } else { second };
        let adapters = [(first, 1 + rank), (second, 100 + rank)];
        let placement: Placement = adapters
            .into_iter()
            .map(|(index, rank)| {
                let connection = Connection::new(index as u16 / 5, index as u16 % 5);
                (connection, AdapterSpec::new(rank as u16, 1.0).unwrap())
            })
            .collect();
        // Every residue once, so that no two trials are equal.
        let accuracy = (trial * 7919 % TRIALS) as f64 / TRIALS as f64;
        journal.push_str(&line(trial, &placement, accuracy));
        ranked.push((accuracy, trial, placement));
    }
    lab.write("study/journal.jsonl", journal);
    if !finished {
        fs::remove_file(lab.path("study/ranking.json")).unwrap();
        return;
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut ranking: Value = serde_json::from_str(&lab.read("study/ranking.json")).unwrap();
    let trials = ranked.into_iter().enumerate().map(|(index, (accuracy, trial, placement))| {
        json!({
            "place": index + 1,
            "trial": trial,
            "hash": placement.hash(),
            "placement": placement,
            "cost": {"adapters": 2, "parameters": 1000 + trial, "extra_flops": (trial % 997) as f64 / 1000.0},
            "complete": true,
            "steps": 4,
            "result": {"score": {
                "train_loss": 1.0 - accuracy,
                "validation_loss": 2.0 - accuracy,
                "validation_accuracy": accuracy,
            }},
        })
    });
    ranking["trials"] = trials.collect();
    lab.write("study/ranking.json", ranking.to_string());
}

#[test]
fn fifty_thousand_trials_make_a_small_page_in_seconds() {
    for finished in [true, false] {
        let lab = searched("--strategy random");
        lengthen(&lab, finished);
        let start = Instant::now();
        lab.run(REPORT).succeeded();
        // Without optimisation and beside other tests; optimised it is well below one second.
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{:?}",
            start.elapsed()
        );
        let page = lab.read("study/report.html");
        println!("{} bytes in {:?}", page.len(), start.elapsed());
        assert_page(&page);
        for part in ["the first 200 of 50,000", "points 2,0", "Of 50,000 dots"] {
            assert!(page.contains(part), "no {part}");
        }
    }
}

/// The browser to test with, if there is one.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("ADAPLACE_CHROMIUM").map(PathBuf::from);
    let found = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    if !found.is_file() {
        println!(
            "skipped: no browser at `{}`; name one in ADAPLACE_CHROMIUM",
            found.display()
        );
        return None;
    }
    Some(found)
}

/// Opens the page and gives what there is to complain of: messages on the console, and what the page asked for.
fn open(chromium: &Path, lab: &Lab, page: &str, options: &[&str]) -> String {
    let (profile, log, picture) = (
        lab.path("profile"),
        lab.path("requests.json"),
        lab.path("page.png"),
    );
    let mut command = Command::new(chromium);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-sync",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-quic",
        ])
        // The browser has business of its own on the network; here it finds nobody.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .args([
            "--enable-logging=stderr",
            "--v=0",
            "--window-size=1200,3000",
        ])
        .args(options)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", lab.path(page).display()));
    let ended = finish(&mut command).succeeded();
    assert!(
        fs::metadata(&picture).unwrap().len() > 50_000,
        "an empty picture: {ended:#?}"
    );
    let requests = fs::read_to_string(&log).unwrap();
    for leftover in [&log, &picture] {
        fs::remove_file(leftover).unwrap();
    }
    fs::remove_dir_all(profile).unwrap();
    let console = ended.stderr.lines().filter(|line| line.contains("CONSOLE"));
    let console = console.map(str::to_owned);
    console
        .chain(requests.lines().filter_map(request_of_a_page))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The address that a line of the browser's network log tells of, if a page asked for it and not the browser itself.
fn request_of_a_page(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
    let parameters = &event["params"];
    let initiator = parameters["initiator"].as_str()?;
    (initiator != "not an origin").then(|| format!("request {}", parameters["url"]))
}

#[test]
fn a_browser_shows_the_page_without_complaint_and_asks_for_nothing() {
    let Some(chromium) = chromium() else { return };
    let lab = searched("--strategy random");
    for theme in [0, 1] {
        let theme = format!("--blink-settings=preferredColorScheme={theme}");
        assert_eq!(open(&chromium, &lab, "study/report.html", &[&theme]), "");
    }
    // What would be seen if something were wrong: a request that the policy stops, and one that nothing stops.
    let picture = "<img src='https://example.org/x.png'></main>";
    let wrong = lab.read("study/report.html").replace("</main>", picture);
    lab.write("wrong.html", &wrong);
    let said = open(&chromium, &lab, "wrong.html", &[]);
    assert!(
        said.contains("Content Security Policy") && !said.contains("request"),
        "{said}"
    );
    lab.write(
        "open.html",
        wrong.replace("Content-Security-Policy", "none"),
    );
    let said = open(&chromium, &lab, "open.html", &[]);
    assert!(
        said.contains("request \"https://example.org/x.png\""),
        "{said}"
    );
}
