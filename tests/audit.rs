//! `adaplace audit`, which shows which cheap predictor to trust.

use serde_json::Value;

use crate::common::Lab;

const AUDIT: &str =
    "audit --backbone backbone --task task --rank 2 --steps 3 --batch-size 8 --train-examples 24";

fn json(lab: &Lab, name: &str) -> Value {
    serde_json::from_str(&lab.read(name)).unwrap()
}

/// Covers all 25 connections of the tiny backbone, every statistic, a rank average and the three trivial rules.
#[test]
fn every_single_connection_is_trained_and_every_predictor_judged() {
    let lab = Lab::text();
    let ended = lab.run(&format!("{AUDIT} --out audit --workers 2"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("25 of 25 single connections"),
        "{}",
        ended.stdout
    );
    for predictor in ["rank", "validation alignment", "agreement", "-target"] {
        assert!(ended.stdout.contains(predictor), "{}", ended.stdout);
    }
    let audit = json(&lab, "audit/audit.json");
    assert_eq!(audit["connections"], 25);
    let predictors = audit["predictors"].as_array().unwrap();
    assert_eq!(predictors.len(), 10 + 1 + 3);
    for audited in predictors {
        for result in ["validation_accuracy", "validation_loss", "train_loss"] {
            for measure in ["spearman", "kendall"] {
                let measured = &audited[result][measure];
                // On such a small model all values of a statistic may be equal.
                if let Some(value) = measured["value"].as_f64() {
                    assert!(value.abs() <= 1.0);
                    let low = measured["low"].as_f64().unwrap();
                    assert!(low <= measured["high"].as_f64().unwrap());
                }
            }
            let recall = audited[result]["top_recall"]["value"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&recall));
        }
    }
    let map = json(&lab, "audit/gradient-map.json");
    assert_eq!(map["statistics"].as_object().unwrap().len(), 10);

    assert!(
        lab.read("audit/report.html")
            .contains("Which statistic to trust")
    );

    // Running the same command again trains nothing and prints the same.
    let journal = lab.read("audit/journal.jsonl");
    let again = lab.run(&format!("{AUDIT} --out audit --json"));
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(lab.read("audit/journal.jsonl"), journal);
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap(), audit);
}

#[test]
fn a_sample_has_each_kind_by_its_share() {
    let lab = Lab::images();
    let ended = lab.run(&format!("{AUDIT} --sample 15 --out audit"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let audit = json(&lab, "audit/audit.json");
    assert_eq!(audit["connections"], 15);
    let lines = lab.read("audit/journal.jsonl");
    let recurrent = lines.lines().filter(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        let connections = record["placement"].as_array().unwrap();
        record["phase"] == "search"
            && connections[0]["source"].as_u64() > connections[0]["target"].as_u64()
    });
    // 10 of the 25 connections are recurrent.
    assert_eq!(recurrent.count(), 6);
}

const BENCH: &str = "bench --backbone backbone --task task --space space.toml --repetitions 2 --steps 2 --batch-size 8 \
    --train-examples 24 --out bench";
const SETS: &str = "audit --sets bench/bench.json --backbone backbone --task task --out sets";

fn predictor<'a>(audit: &'a Value, name: &Value) -> Option<&'a Value> {
    let mut all = audit["predictors"].as_array().unwrap().iter();
    all.find(|audited| audited["predictor"] == *name)
}

/// 42 of the pairs of the tiny backbone's connections are in the table, two of which failed once. Nothing is trained,
/// and every number is present.
#[test]
fn sets_of_a_sample_are_audited_without_training() {
    let lab = Lab::text();
    lab.run(&format!("{BENCH} --sample 42")).succeeded();
    let mut bench = json(&lab, "bench/bench.json");
    for (row, column) in [(3, 1), (8, 0)] {
        for result in ["accuracy", "loss"] {
            bench["rows"][row][result][column] = Value::Null;
        }
    }
    lab.write("bench/bench.json", bench.to_string());
    let ended = lab.run(SETS).succeeded();
    for part in [
        "40 of 42 placements on task, each trained 2 times for 2 steps",
        "joint gain",
        "sum of validation alignment",
        "largest -target",
        "surrogate told 16 others",
        "its own first training",
        "sums over connections",
        "spread",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    let audit = json(&lab, "sets/sets.json");
    // There are ten statistics and a mean of ranks, each as sum and as largest value; mean and smallest target,
    // distance, joint gain; 16 told; and another training of the same placement.
    assert_eq!(
        audit["predictors"].as_array().unwrap().len(),
        22 + 4 + 1 + 1
    );
    for audited in audit["predictors"].as_array().unwrap() {
        for result in ["validation_accuracy", "validation_loss"] {
            if let Some(rho) = audited[result]["spearman"]["value"].as_f64() {
                assert!(rho.abs() <= 1.0, "{audited}");
            }
        }
    }
    assert!(predictor(&audit, &serde_json::json!({"surrogate": 32})).is_none());
    let shares = &audit["loss"]["shares"];
    let sum: f64 = ["placement", "order", "rest"]
        .iter()
        .map(|part| shares[part].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-12);
    for part in ["sum", "pairs", "distance"] {
        assert!(audit["loss"][part]["value"].is_f64(), "{audit}");
    }
    let draws = audit["draws"].as_array().unwrap();
    let drawn = draws
        .iter()
        .map(|draw| draw["placements"].as_u64().unwrap());
    assert_eq!((draws.len(), drawn.sum::<u64>()), (3, 40));
    assert_eq!(
        lab.read("sets/gradient-map.json"),
        lab.read("bench/gradient-map.json")
    );

    let again = lab.run(&format!("{SETS} --json")).succeeded();
    assert_eq!(again.json(), audit);
}

#[test]
fn a_bench_of_single_connections_has_no_pairs() {
    let lab = Lab::text();
    lab.space(1, "");
    lab.run(BENCH).succeeded();
    let audit = lab.run(&format!("{SETS} --json")).succeeded().json();
    assert_eq!(audit["placements"], 25);
    assert_eq!(audit["predictors"].as_array().unwrap().len(), 11 + 2 + 1);
    assert!(predictor(&audit, &"spread".into()).is_none());
    assert_eq!(audit["draws"], serde_json::json!([]));
    for result in ["accuracy", "loss"] {
        assert_eq!(audit[result]["pairs"], Value::Null);
        assert_eq!(audit[result]["distance"], Value::Null);
    }
}

#[test]
fn a_bench_of_another_backbone_or_task_is_refused() {
    let lab = Lab::text();
    lab.space(1, "");
    lab.run(BENCH).succeeded();
    let bench = json(&lab, "bench/bench.json");
    let mut other = bench.clone();
    other["backbone"]["weights_sha256"] = "0123".into();
    lab.write("bench/bench.json", other.to_string());
    lab.run(SETS)
        .failed(&["bench/bench.json", "another backbone", "0123"]);
    let mut other = bench.clone();
    other["configuration"]["task"]["fingerprint"] = "4567".into();
    lab.write("bench/bench.json", other.to_string());
    lab.run(SETS)
        .failed(&["bench/bench.json", "another task", "4567"]);
    let mut failed = bench;
    for row in 0..16 {
        failed["rows"][row]["accuracy"] = serde_json::json!([null, null]);
    }
    lab.write("bench/bench.json", failed.to_string());
    lab.run(SETS).failed(&["only 9 placements", "at least 10"]);
    lab.run(&format!("{SETS} --steps 4"))
        .misused(&["--sets", "--steps"]);
}

#[test]
fn wrong_use_is_told() {
    let lab = Lab::text();
    for (options, code, message) in [
        ("--statistic rank,rank", 2, "each only once"),
        ("--statistic size", 2, "invalid value 'size'"),
        ("--sample 5", 2, "5 is not in 10.."),
    ] {
        let ended = lab.run(&format!("{AUDIT} --out audit {options}"));
        assert_eq!(ended.code, Some(code), "{options}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(message),
            "{options}: {}",
            ended.stderr
        );
    }
}
