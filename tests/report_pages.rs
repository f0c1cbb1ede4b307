//! The pages of reports: their size, and the messages of a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use adaplace_search_space::{AdapterSpec, Connection, Placement};
use serde_json::{Value, json};

use crate::common::{Lab, assert_page, finish, journal_line};

const REPORT: &str = "report study";

/// Turns the study into one of 50,000 trials of two adapters of rank 1 to 83: its journal and, if it is to be finished,
/// its ranking.
fn lengthen(lab: &Lab, finished: bool) {
    const TRIALS: usize = 50_000;
    let mut journal = String::new();
    let mut ranked = Vec::new();
    for trial in 0..TRIALS {
        // All pairs of the 25 connections occur 83 times or more, each time with other ranks.
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
        // Every residue occurs once, so no two trials are equal.
        let accuracy = (trial * 7919 % TRIALS) as f64 / TRIALS as f64;
        journal.push_str(&journal_line(trial, &placement, accuracy));
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
fn fifty_thousand_trials_make_a_small_page() {
    for finished in [true, false] {
        let lab = Lab::searched("--strategy random");
        lengthen(&lab, finished);
        lab.run(REPORT).succeeded();
        let page = lab.read("study/report.html");
        assert_page(&page);
        for part in ["the first 200 of 50,000", "points, 1,5", "Of 50,000 dots"] {
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

/// Opens the page and returns all complaints: messages on the console, and requests of the page.
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
        // The browser itself uses the network, but finds nobody here.
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

/// The address in a line of the browser's network log, if a page and not the browser itself requested it.
fn request_of_a_page(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
    let parameters = &event["params"];
    let initiator = parameters["initiator"].as_str()?;
    (initiator != "not an origin").then(|| format!("request {}", parameters["url"]))
}

#[test]
fn a_browser_shows_the_page_without_complaint_and_asks_for_nothing() {
    let Some(chromium) = chromium() else { return };
    let lab = Lab::searched("--strategy random");
    for theme in [0, 1] {
        let theme = format!("--blink-settings=preferredColorScheme={theme}");
        assert_eq!(open(&chromium, &lab, "study/report.html", &[&theme]), "");
    }
    // This is what would be seen if something were wrong: a request that the policy stops, and one that nothing stops.
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
