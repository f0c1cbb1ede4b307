//! `adaplace probe`.

use serde_json::Value;

use crate::common::Lab;

const PROBE: &str = "probe --backbone backbone --task task --examples 30";

/// Checks that all statistics are present, each with one finite number for every connection.
fn assert_complete(map: &Value) {
    let statistics = map["statistics"].as_object().unwrap();
    let names: Vec<&str> = statistics.keys().map(String::as_str).collect();
    let expected = [
        "effective-rank",
        "frobenius-norm",
        "nuclear-norm",
        "rank",
        "relative-rank",
        "spectral-norm",
        "stable-rank",
    ];
    assert_eq!(names, expected);
    for table in statistics.values() {
        let rows = table.as_array().unwrap();
        assert_eq!(rows.len(), 5);
        for row in rows {
            let row = row.as_array().unwrap();
            assert_eq!(row.len(), 5);
            assert!(row.iter().all(|value| value.as_f64().unwrap().is_finite()));
        }
    }
}

#[test]
fn the_map_is_written_and_shown() {
    let lab = Lab::text();
    let ended = lab
        .run(&format!("{PROBE} --max-length 32 --out maps/map.json"))
        .succeeded();
    let map: Value = serde_json::from_str(&lab.read("maps/map.json")).unwrap();
    assert_eq!(map["format"], "adaplace.gradient-map/1");
    assert_eq!(map["examples"], 30);
    assert_eq!(map["task"], "task");
    assert_eq!(map["backbone"]["hidden_states"], 5);
    assert_eq!(map["probe"]["train"]["examples"], 30);
    assert_eq!(map["probe"]["validation"]["examples"], 30);
    assert_complete(&map);
    // The partial file is gone.
    assert_eq!(lab.content("maps").len(), 1);

    assert!(
        ended
            .stdout
            .contains("rank of 25 connections from 30 examples")
    );
    assert!(ended.stdout.contains("source \\ target"));
    let heatmap: Vec<Vec<&str>> = ended
        .stdout
        .lines()
        .skip_while(|line| !line.contains("source"))
        .skip(1)
        .take(6)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(heatmap[0], ["0", "1", "2", "3", "4"]);
    for (source, row) in heatmap[1..].iter().enumerate() {
        assert_eq!(row[0], source.to_string());
        for (target, shown) in row[1..].iter().enumerate() {
            let rank = map["statistics"]["rank"][source][target].as_f64().unwrap();
            assert_eq!(*shown, rank.to_string());
        }
    }
    assert!(ended.stdout.contains("written to maps/map.json"));
    assert!(!ended.stdout.contains('\u{1b}'), "colours in a pipe");
}

#[test]
fn pictures_have_a_map_too_and_it_is_the_same_every_time() {
    let lab = Lab::images();
    lab.run(&format!("{PROBE} --out a.json --statistic nuclear-norm"))
        .succeeded();
    lab.run(&format!("{PROBE} --out b.json")).succeeded();
    assert_complete(&serde_json::from_str(&lab.read("a.json")).unwrap());
    assert_eq!(lab.read("a.json"), lab.read("b.json"));
}

/// The map of a space has `null` for the other connections, and the numbers of the whole map for its own.
#[test]
fn a_map_of_the_connections_of_a_space() {
    let lab = Lab::text();
    let probe = format!("{PROBE} --statistic nuclear-norm");
    lab.run(&format!("{probe} --out whole.json")).succeeded();
    let ended = lab
        .run(&format!("{probe} --space parallel --out part.json"))
        .succeeded();
    assert!(ended.stdout.contains("of 4 connections"), "{ended:#?}");
    let table = |file: &str| {
        let map: Value = serde_json::from_str(&lab.read(file)).unwrap();
        map["statistics"]["nuclear-norm"].clone()
    };
    let (whole, part) = (table("whole.json"), table("part.json"));
    for source in 0..5 {
        for target in 0..5 {
            let (expected, found) = (&whole[source][target], &part[source][target]);
            match target == source + 1 {
                true => {
                    let [expected, found] = [expected, found].map(|one| one.as_f64().unwrap());
                    assert!((found - expected).abs() <= 1e-5 * expected);
                }
                false => assert!(found.is_null()),
            }
        }
    }
    lab.refuses(
        &format!("{PROBE} --space nowhere.toml --out map.json"),
        &["nowhere.toml"],
    );
}

#[test]
fn an_earlier_map_survives_a_failure() {
    let lab = Lab::text();
    lab.run(&format!("{PROBE} --out map.json")).succeeded();
    let before = lab.content("");
    lab.run_with_little_disk(1, &format!("{PROBE} --out map.json"))
        .failed(&["map.json", "File too large"]);
    assert!(lab.content("") == before);
}

#[test]
fn a_place_where_nothing_can_be_written_is_refused() {
    let lab = Lab::text();
    lab.refuses(&format!("{PROBE} --out task"), &["`task`", "--out"]);
    lab.refuses(
        &format!("{PROBE} --out space.toml/map.json"),
        &["`space.toml`"],
    );
}
