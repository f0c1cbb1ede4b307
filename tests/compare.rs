//! `adaplace compare`, with strategies and baselines side by side.

use serde_json::Value;

use crate::common::{Lab, Running, assert_page};

const COMPARE: &str = "compare --backbone backbone --task task --space space.toml --steps 2 --batch-size 8 \
    --train-examples 24 --budget-steps 8 --seeds 2 --final-steps 3 --final-repetitions 2 \
    --learning-rates 0.001,0.01 --random-parallel 2";
const STRATEGIES: &str = "--strategy random --strategy evolution --strategy gradient-greedy";

fn finals(lab: &Lab, folder: &str) -> Vec<Value> {
    let lines = lab.read(&format!("{folder}/finals.jsonl"));
    lines
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("seconds");
            record
        })
        .collect()
}

/// The parts of a comparison that do not depend on the clock.
fn comparison(lab: &Lab, folder: &str) -> Value {
    let mut stored: Value =
        serde_json::from_str(&lab.read(&format!("{folder}/comparison.json"))).unwrap();
    let everywhere = stored.as_object_mut().unwrap().remove("everywhere_seconds");
    assert!(everywhere.unwrap().as_f64().unwrap() > 0.0);
    for competitor in stored["competitors"].as_array_mut().unwrap() {
        for result in competitor["seeds"].as_array_mut().unwrap() {
            let seconds = result.as_object_mut().unwrap().remove("seconds").unwrap();
            assert!(seconds["trials"].as_f64() >= Some(0.0));
            assert!(seconds["judgements"].as_f64() >= Some(0.0));
        }
    }
    stored
}

/// Baselines that ask the gradient map find what they need in a map of the space's connections alone.
#[test]
fn a_map_of_the_space_is_enough() {
    let lab = Lab::text();
    let compare = COMPARE.replace("space.toml", "parallel");
    let ended = lab
        .run(&format!(
            "{compare} {STRATEGIES} --gradient-connections space --out out"
        ))
        .succeeded();
    assert!(ended.stdout.contains("largest-gradients"), "{ended:#?}");
    assert!(!ended.stderr.contains("does not take part"), "{ended:#?}");
}

#[test]
fn competitors_are_judged_on_the_test_part() {
    let lab = Lab::text();
    let ended = lab
        .run(&format!("{COMPARE} {STRATEGIES} --out out --workers 2"))
        .succeeded();
    for phrase in [
        "10 competitors",
        "linear-probe",
        "parallel-everywhere",
        "sequential-everywhere",
        "adapter-plus",
        "best-of-2-random-parallel",
        "largest-gradients",
        "gradient-greedy",
        "search cost: trainings, gradient maps and judgements",
        "p: from 6 seeds on",
        "out/comparison.json",
    ] {
        assert!(ended.stdout.contains(phrase), "{}", ended.stdout);
    }
    // Two adapters of rank 2 have too few parameters for four of rank 1, and enough for one of rank 2 after both
    // blocks.
    for name in ["parallel-everywhere-equal", "sequential-everywhere-equal"] {
        assert!(
            ended
                .stderr
                .contains(&format!("`{name}` does not take part")),
            "{}",
            ended.stderr
        );
    }
    let again = lab
        .run(&format!("{COMPARE} {STRATEGIES} --out out --json"))
        .succeeded()
        .json();
    let stored: Value = serde_json::from_str(&lab.read("out/comparison.json")).unwrap();
    assert_eq!(again, stored);
    let competitors = stored["competitors"].as_array().unwrap();
    assert_eq!(competitors.len(), 10);
    for competitor in competitors {
        for result in competitor["seeds"].as_array().unwrap() {
            let (rates, repetitions) = match competitor["name"] == "linear-probe" {
                true => (0, 1),
                false => (2, 2),
            };
            let finals = result["finals"].as_array().unwrap();
            assert_eq!(finals.len(), repetitions);
            for last in finals {
                let accuracy = last["test"]["accuracy"].as_f64().unwrap();
                assert!((0.0..=1.0).contains(&accuracy));
                assert_eq!(last["candidates"].as_array().unwrap().len(), rates);
            }
        }
    }

    let page = lab.read("out/report.html");
    for phrase in [
        "best-of-2-random-parallel",
        "mean over the seeds",
        "search cost",
        "evolution",
        "comparison.toml",
    ] {
        assert!(page.contains(phrase), "the report has no `{phrase}`");
    }
    std::fs::remove_file(lab.path("out/report.html")).unwrap();
    lab.run("report out").succeeded();
    assert_eq!(lab.read("out/report.html"), page);

    // A placement that the comparison wrote trains and evaluates like any other.
    lab.run("train out/placements/random-1.toml --backbone backbone --task task --steps 2 --out trained")
        .succeeded();
}

/// The first of two processes is killed. Nothing is lost and nothing is done twice.
#[test]
fn a_killed_comparison_goes_on() {
    let lab = Lab::text();
    lab.run(&format!("{COMPARE} {STRATEGIES} --out undisturbed"))
        .succeeded();
    let command = format!("{COMPARE} {STRATEGIES} --out out");
    let mut running = Running::start(&mut lab.command(&command));
    running.wait_until(|| lab.journal_length("out") >= 4);
    running.kill();
    lab.run("report out").succeeded();
    assert_page(&lab.read("out/report.html"));
    lab.run(&command).succeeded();
    assert_eq!(lab.journal("out"), lab.journal("undisturbed"));
    assert_eq!(finals(&lab, "out"), finals(&lab, "undisturbed"));
    assert_eq!(comparison(&lab, "out"), comparison(&lab, "undisturbed"));
}

/// The comparison was interrupted with two trials, a torn last line, and one final training.
#[test]
fn an_unfinished_comparison_is_reported_as_far_as_it_is() {
    let lab = Lab::text();
    lab.run(&format!("{COMPARE} {STRATEGIES} --out out"))
        .succeeded();
    std::fs::remove_file(lab.path("out/comparison.json")).unwrap();
    let first = |name: &str, lines: usize| {
        let text = lab.read(&format!("out/{name}"));
        text.split_inclusive('\n').take(lines).collect::<String>()
    };
    let (trials, finals) = (first("journal.jsonl", 2), first("finals.jsonl", 1));
    let placement = first("journal.jsonl", 3)[trials.len()..].to_owned();
    let torn = format!("{trials}{}", &placement[..20]);
    lab.write("out/journal.jsonl", &torn);
    lab.write("out/finals.jsonl", finals);
    lab.run("report out").succeeded();
    let page = lab.read("out/report.html");
    assert_page(&page);
    for phrase in [
        "Unfinished: up to 12 competitors with 2 seeds and 8 steps of search each",
        "trials so far",
        "seed 1",
        "The best trials so far",
        "Final trainings so far",
    ] {
        assert!(page.contains(phrase), "no `{phrase}`");
    }
    assert_eq!(lab.read("out/journal.jsonl"), torn);

    lab.write("out/comparison.json", "{");
    lab.refuses("report out", &["`out/comparison.json`", "damaged"]);
    std::fs::remove_file(lab.path("out/comparison.json")).unwrap();
    for file in ["finals.jsonl", "journal.jsonl"] {
        std::fs::remove_file(lab.path(&format!("out/{file}"))).unwrap();
        lab.run("report out").succeeded();
        assert!(
            !lab.read("out/report.html")
                .contains("Final trainings so far")
        );
    }
}

/// Six of eight trainings are trials, and their best two race.
#[test]
fn a_search_ends_in_a_race_within_its_budget() {
    let lab = Lab::text();
    let eight = COMPARE.replace("--budget-steps 8", "--budget-steps 16");
    for (options, settings, raced) in [("", "race = 1\n", 2), ("--race 0", "", 0)] {
        let ended = lab
            .run(&format!(
                "{eight} --strategy random {options} --out out{raced}"
            ))
            .succeeded();
        assert!(ended.stdout.contains("steps of search"), "{}", ended.stdout);
        let written = lab.read(&format!("out{raced}/comparison.toml"));
        assert_eq!(written.contains("race"), raced > 0, "{written}");
        assert!(written.contains(settings), "{written}");
        let journal = lab.read(&format!("out{raced}/journal.jsonl"));
        let count = |phrase: &str| journal.matches(phrase).count();
        let in_race = "\"phase\":\"race\"";
        assert_eq!(count(in_race), 2 * raced);
        assert_eq!(count("\"repetition\":1001"), raced);
        assert_eq!(count("\"repetition\":2001"), raced);
        let stored = lab.read(&format!("out{raced}/comparison.json"));
        let stored: Value = serde_json::from_str(&stored).unwrap();
        let competitors = stored["competitors"].as_array().unwrap();
        let random = competitors.iter().find(|one| one["name"] == "random");
        assert_eq!(random.unwrap()["seeds"][0]["steps"], 16);
    }
    lab.run(&format!("{eight} --strategy random --race 251 --out other"))
        .misused(&["251"]);
}

#[test]
fn wrong_use_is_told_and_makes_nothing() {
    let lab = Lab::text();
    lab.run(&format!("{COMPARE} --out out"))
        .misused(&["--strategy"]);
    let one_seed = COMPARE.replace("--seeds 2", "--seeds 1");
    lab.run(&format!("{one_seed} --strategy random --out out"))
        .misused(&["1 is not in 2..=1000"]);
    lab.run(&format!(
        "{COMPARE} --strategy random --strategy random --out out"
    ))
    .failed(&["`random` is named twice"]);
    let small = COMPARE.replace("--budget-steps 8", "--budget-steps 1");
    lab.run(&format!("{small} --strategy random --out out"))
        .failed(&["`budget_steps` is 1"]);
    lab.run(&format!("{COMPARE} --strategy exhaustive --out out"))
        .failed(&["`exhaustive`"]);
    std::fs::remove_file(lab.path("task/test.jsonl")).unwrap();
    lab.run(&format!("{COMPARE} --strategy random --out out"))
        .failed(&["`task` has no test part"]);
    assert!(!lab.path("out").exists());
}
