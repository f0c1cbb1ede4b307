//! `adaplace audit`: which cheap predictor to trust.

use serde_json::Value;

use crate::common::Lab;

const AUDIT: &str =
    "audit --backbone backbone --task task --rank 2 --steps 3 --batch-size 8 --train-examples 24";

fn json(lab: &Lab, name: &str) -> Value {
    serde_json::from_str(&lab.read(name)).unwrap()
}

/// All 25 connections of the tiny backbone, every statistic, a rank average and the three trivial rules.
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
                // A statistic can be all alike on so small a model.
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

    // The same command again trains nothing and says the same.
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
    // 10 of the 25 are.
    assert_eq!(recurrent.count(), 6);
}

#[test]
fn wrong_use_is_told() {
    let lab = Lab::text();
    for (options, code, message) in [
        ("--statistic rank,rank", 2, "none twice"),
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
