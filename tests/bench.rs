//! `adaplace bench` writes a table of a whole space, and `compare --replay` runs strategies on it.

use serde_json::Value;

use crate::common::{Lab, Running};

const BENCH: &str = "bench --backbone backbone --task task --space space.toml --repetitions 2 --steps 2 \
    --batch-size 8 --train-examples 24";
const REPLAY: &str = "compare --replay bench/bench.json --strategy random --strategy greedy --strategy evolution \
    --budget-steps 16 --seeds 4 --random-parallel 2";

fn bench(lab: &Lab) -> Value {
    serde_json::from_str(&lab.read("bench/bench.json")).unwrap()
}

/// The table contains the 25 single connections of the tiny backbone, twice each, and a killed run resumes.
#[test]
fn a_table_holds_every_placement_and_survives_a_kill() {
    let lab = Lab::text();
    lab.space(1, "");
    let mut running = Running::start(&mut lab.command(&format!("{BENCH} --out bench")));
    running.wait_until(|| lab.journal_length("bench") >= 7);
    running.kill();
    let ended = lab
        .run(&format!("{BENCH} --out bench --workers 2"))
        .succeeded();
    assert!(ended.stdout.contains("25 placements"), "{}", ended.stdout);
    let journal = lab.journal("bench");
    assert_eq!(journal.len(), 50);
    let table = bench(&lab);
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 25);
    assert_eq!(table["statistics"].as_object().unwrap().len(), 10);
    for record in &journal {
        let connection = &record["placement"][0];
        let row = rows.iter().find(|row| {
            row["placement"][0][0] == connection["source"]
                && row["placement"][0][1] == connection["target"]
        });
        let column = record["repetition"].as_u64().unwrap() as usize - 1;
        let score = &record["result"]["score"];
        assert_eq!(
            row.unwrap()["accuracy"][column],
            score["validation_accuracy"]
        );
        let loss = row.unwrap()["loss"][column].as_f64().unwrap();
        assert!((loss - score["validation_loss"].as_f64().unwrap()).abs() <= 0.5e-6);
    }

    lab.run(&format!("{BENCH} --out undisturbed")).succeeded();
    assert_eq!(
        lab.read("bench/bench.json"),
        lab.read("undisturbed/bench.json")
    );
}

#[test]
fn strategies_run_on_the_table() {
    let lab = Lab::text();
    lab.space(1, "");
    lab.run(&format!("{BENCH} --out bench")).succeeded();
    let ended = lab.run(&format!("{REPLAY} --out replayed")).succeeded();
    assert!(
        ended.stdout.contains("bench's repetitions"),
        "{}",
        ended.stdout
    );
    let comparison: Value = serde_json::from_str(&lab.read("replayed/comparison.json")).unwrap();
    let rows = bench(&lab)["rows"].clone();
    let competitors = comparison["competitors"].as_array().unwrap();
    let mut names: Vec<&str> = competitors
        .iter()
        .map(|competitor| competitor["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let expected = [
        "best-of-2-random",
        "best-of-2-random-parallel",
        "evolution",
        "greedy",
        "largest-gradients",
        "linear-probe",
        "random",
    ];
    assert_eq!(names, expected);
    assert_eq!(comparison["everywhere_seconds"], Value::Null);
    for competitor in competitors {
        assert_eq!(competitor["seeds"][0]["seconds"], Value::Null);
        for result in competitor["seeds"].as_array().unwrap() {
            let found = result["finals"][0]["test"]["accuracy"].as_f64().unwrap();
            let Some(connection) = result["placement"].as_array().unwrap().first() else {
                assert_eq!(competitor["name"], "linear-probe");
                continue;
            };
            let row = rows.as_array().unwrap().iter().find(|row| {
                row["placement"][0][0] == connection["source"]
                    && row["placement"][0][1] == connection["target"]
            });
            let accuracies = row.unwrap()["accuracy"].as_array().unwrap();
            let sum: f64 = accuracies.iter().map(|value| value.as_f64().unwrap()).sum();
            assert!((found - sum / 2.0).abs() < 1e-12);
        }
    }
}

#[test]
fn other_spaces_and_damaged_tables_are_refused() {
    let lab = Lab::text();
    lab.write(
        "space.toml",
        "[connections]\nkinds = ['parallel']\n[adapter]\nranks = [2]\n[budget]\nadapters = 1\n",
    );
    lab.run(&format!("{BENCH} --out bench")).succeeded();
    lab.write(
        "other.toml",
        "[connections]\nkinds = ['parallel', 'recurrent']\n[adapter]\nranks = [2]\n[budget]\nadapters = 1\n",
    );
    lab.run(&format!("{REPLAY} --space other.toml --out replayed"))
        .failed(&["bench/bench.json", "another space"]);
    lab.run(&format!("{REPLAY} --backbone backbone --out replayed"))
        .misused(&["--backbone", "--replay"]);
    let table = lab.read("bench/bench.json");
    let cut = table.find("\n{\"placement\"").unwrap();
    for (damaged, message) in [
        (table[..cut].to_owned(), "not a placement bench"),
        (
            table.replace("placement-bench/1", "placement-bench/9"),
            "placement-bench/9",
        ),
        (
            table.replace("\"placement\":[[0,1]]", "\"placement\":[[3,1]]"),
            "not in its space",
        ),
    ] {
        lab.write("bench/bench.json", damaged);
        lab.run(&format!("{REPLAY} --out replayed"))
            .failed(&["bench/bench.json", message]);
    }
    assert!(!lab.path("replayed").exists());

    lab.space(1, "");
    let two_ranks = lab.read("space.toml").replace("[2]", "[2, 4]");
    lab.write("space.toml", two_ranks);
    lab.run(&format!("{BENCH} --out two"))
        .failed(&["one rank", "[2, 4]"]);
    lab.space(2, "");
    lab.run(&format!("{BENCH} --trials 20 --out two"))
        .failed(&["more than the 20 trials"]);
    assert!(!lab.path("two").exists());
}
