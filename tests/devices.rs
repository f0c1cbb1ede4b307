//! The device that computes. Without a card, candle's tensors on the processor do what they do on cards.

use serde_json::Value;

use crate::common::{EVALUATE, Lab, SEARCH, SEARCH_IMAGES, TRAIN};

/// Placements and losses of a journal, apart from final trainings that its own results chose.
fn trials(lab: &Lab, study: &str) -> Vec<(Value, [f64; 2])> {
    let journal = lab.journal(study).into_iter();
    let trials = journal.filter(|line| line["phase"] == "search");
    let losses = |line: &Value| {
        ["train_loss", "validation_loss"]
            .map(|loss| line["result"]["score"][loss].as_f64().unwrap())
    };
    trials
        .map(|line| (line["placement"].clone(), losses(&line)))
        .collect()
}

/// A whole search on texts and on pictures takes the same course as with the kernels, up to rounding.
#[test]
fn tensors_find_what_the_kernels_find() {
    for (lab, command) in [(Lab::text(), SEARCH), (Lab::images(), SEARCH_IMAGES)] {
        for precision in ["f32", "bf16", "tf32"] {
            let search = |device: &str| {
                let study = format!("{device}-{precision}");
                lab.run(&format!(
                    "{command} --strategy random --precision {precision} --device {device} --out {study}"
                ))
                .succeeded();
                trials(&lab, &study)
            };
            let (kernels, tensors) = (search("cpu"), search("candle"));
            assert!(!kernels.is_empty());
            assert_eq!(kernels.len(), tensors.len());
            for (kernels, tensors) in kernels.iter().zip(&tensors) {
                assert_eq!(kernels.0, tensors.0);
                for (expected, found) in kernels.1.iter().zip(tensors.1) {
                    let error = (found - expected).abs() / expected;
                    assert!(error < 1e-3, "{precision}: {found} and {expected}");
                }
            }
        }
    }
}

/// The kind of device is stored with a study, which no other kind continues.
#[test]
fn a_study_stays_on_its_kind_of_device() {
    let lab = Lab::text();
    let search = |options: &str| lab.run(&format!("{SEARCH} --strategy random {options}"));
    search("--device candle --out tensors").succeeded();
    search("--out kernels").succeeded();
    let stored = lab.read("tensors/study.toml");
    assert!(stored.contains("device = \"candle\""), "{stored}");
    // Studies on the processor are written as they were before there was a choice.
    assert!(!lab.read("kernels/study.toml").contains("device"));

    let journal = lab.journal("tensors");
    search("--device candle --out tensors").succeeded();
    search("--device cpu --out tensors")
        .failed(&["`backbone.device` is \"candle\" there and not set here"]);
    search("--device candle --out kernels")
        .failed(&["`backbone.device` is not set there and \"candle\" here"]);
    lab.run("search --study tensors/study.toml --out again")
        .succeeded();
    assert_eq!(lab.journal("again"), journal);
    lab.run("search --study tensors/study.toml --out other --device cpu")
        .failed(&["`--device` is cpu", "were computed on candle"]);
    assert!(!lab.path("other").exists());
}

#[test]
fn a_placement_is_trained_evaluated_and_probed_there() {
    let lab = Lab::text();
    let kernels = lab.train();
    lab.run(&format!("{TRAIN} --device candle --out tensors"))
        .succeeded();
    let tensors: Value = serde_json::from_str(&lab.read("tensors/metrics.json")).unwrap();
    assert_eq!(tensors["device"], "candle");
    let evaluate = EVALUATE.replace("trained", "tensors");
    let report = lab
        .run(&format!("{evaluate} --device candle --json"))
        .succeeded()
        .json();
    assert_eq!(report["result"], tensors["test"]);
    for part in ["train", "validation", "test"] {
        let loss = |metrics: &Value| metrics[part]["loss"].as_f64().unwrap();
        let (found, expected) = (loss(&tensors), loss(&kernels));
        assert!((found - expected).abs() < 1e-4 * expected, "{part}");
    }
    lab.run("probe --backbone backbone --task task --device candle --out map.json")
        .succeeded();
}

/// A device that cannot be used is one clear error, before anything is written.
#[test]
fn a_device_that_is_not_there_says_what_to_do() {
    let lab = Lab::text();
    let before = lab.content("");
    for device in ["cuda", "cuda:1", "metal"] {
        let kind = device.trim_end_matches(":1");
        let build = format!("--features {kind}`");
        let parts = [
            &format!("this program was built without {kind}")[..],
            &build,
        ];
        lab.run(&format!(
            "{SEARCH} --strategy random --out study --device {device}"
        ))
        .failed(&parts);
    }
    for device in ["gpu", "cuda:x", "cpu:1"] {
        lab.run(&format!(
            "{SEARCH} --strategy random --out study --device {device}"
        ))
        .misused(&["--device", device, "cuda:1"]);
    }
    assert_eq!(lab.content(""), before);

    let report = lab.run("inspect backbone --json").succeeded().json();
    let cpu = serde_json::json!({"device": "cpu", "built": true, "usable": true});
    assert_eq!(report["devices"][0], cpu);
    for device in &report["devices"].as_array().unwrap()[1..] {
        assert_eq!(
            (&device["built"], &device["usable"]),
            (&false.into(), &false.into())
        );
        assert!(device["reason"].as_str().unwrap().contains("--features"));
    }
}

/// Trainings that are computed side by side are those that are computed one by one, up to rounding. The journal has the
/// same order.
#[test]
fn side_by_side_finds_what_one_by_one_finds() {
    for (lab, command) in [(Lab::text(), SEARCH), (Lab::images(), SEARCH_IMAGES)] {
        for device in ["cpu", "candle"] {
            let search = |number: usize, workers: usize| {
                let study = format!("{device}-{number}-{workers}");
                lab.run(&format!(
                    "{command} --strategy random --precision f32 --device {device} --side-by-side {number} \
                    --workers {workers} --out {study}"
                ))
                .succeeded();
                trials(&lab, &study)
            };
            let alone = search(1, 1);
            for (number, workers) in [(3, 1), (16, 1), (2, 2)] {
                let together = search(number, workers);
                assert_eq!(alone.len(), together.len());
                for (alone, together) in alone.iter().zip(&together) {
                    assert_eq!(alone.0, together.0);
                    for (expected, found) in alone.1.iter().zip(together.1) {
                        let error = (found - expected).abs() / expected;
                        assert!(error < 1e-4, "{device}: {found} and {expected}");
                    }
                }
            }
        }
    }
}

/// The final trainings of a comparison, too, with two learning rates each.
#[test]
fn final_trainings_side_by_side_are_those_one_by_one() {
    let lab = Lab::text();
    let finals = |number: usize| {
        let folder = format!("finals-{number}");
        lab.run(&format!(
            "compare --backbone backbone --task task --space space.toml --batch-size 8 --train-examples 24 \
            --strategy gradient-greedy --budget-steps 8 --steps 2 --seeds 2 --random-parallel 2 --final-steps 4 \
            --final-repetitions 2 --learning-rates 0.001,0.01 --precision f32 --device candle \
            --side-by-side {number} --out {folder}"
        ))
        .succeeded();
        let lines = lab.read(&format!("{folder}/finals.jsonl"));
        let read = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        let mut finals: Vec<Value> = lines.lines().map(read).collect();
        finals.sort_by_key(|line| line["number"].as_u64());
        finals
    };
    let (alone, together) = (finals(1), finals(3));
    assert!(alone.len() > 12, "{}", alone.len());
    assert_eq!(alone.len(), together.len());
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(
            (&alone["placement"], &alone["repetition"]),
            (&together["placement"], &together["repetition"])
        );
        let [expected, found] = [alone, together].map(|line| &line["result"]["final"]);
        let candidates = |one: &Value| one["candidates"].as_array().unwrap().clone();
        let losses = |one: &Value| -> Vec<f64> {
            let rates = candidates(one).into_iter();
            let each = rates.map(|rate| rate["score"]["validation_loss"].as_f64().unwrap());
            each.chain(one["test"]["loss"].as_f64()).collect()
        };
        assert_eq!(losses(expected).len(), losses(found).len());
        for (expected, found) in losses(expected).iter().zip(losses(found)) {
            let error = (found - expected).abs() / expected;
            assert!(error < 1e-4, "{found} and {expected}");
        }
    }
}
