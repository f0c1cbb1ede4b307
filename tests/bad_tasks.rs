//! Tasks that cannot be used, and the test part that a search must not see.

use std::fs;

use crate::common::{Lab, SEARCH, SEARCH_IMAGES, TRAIN};

#[track_caller]
fn assert_refused(lab: &Lab, parts: &[&str]) {
    lab.refuses(
        "probe --backbone backbone --task task --out map.json",
        parts,
    );
    lab.refuses(&format!("{SEARCH} --strategy random --out study"), parts);
}

fn rows(labels: &[&str]) -> String {
    let row = |label: &&str| format!("{{\"text\": \"ba be bi\", \"label\": \"{label}\"}}\n");
    labels.iter().map(row).collect()
}

#[test]
fn no_folder_and_no_part() {
    let lab = Lab::text();
    fs::rename(lab.path("task"), lab.path("moved")).unwrap();
    assert_refused(&lab, &["`task`", "does not exist"]);
    fs::create_dir(lab.path("task")).unwrap();
    assert_refused(&lab, &["`task`", "no training part", "train.jsonl"]);
}

#[test]
fn an_empty_part() {
    let lab = Lab::text();
    let train = lab.read("task/train.jsonl");
    for part in ["train", "validation"] {
        let name = format!("task/{part}.jsonl");
        lab.write("task/train.jsonl", &train);
        lab.write(&name, "");
        assert_refused(&lab, &[&format!("`{name}`"), "is empty"]);
    }
}

#[test]
fn a_part_of_one_class() {
    let lab = Lab::text();
    lab.write("task/train.jsonl", rows(&["class-1", "class-1", "class-1"]));
    assert_refused(&lab, &["`task/train.jsonl`", "only one class", "`class-1`"]);
}

#[test]
fn a_label_that_train_does_not_have() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    let validation = lab.read("task/validation.jsonl");
    lab.write(
        "task/validation.jsonl",
        format!("{validation}{}", rows(&["surprise"])),
    );
    let place = ["`task/validation.jsonl:31`", "`surprise`", "`class-0`"];
    assert_refused(&lab, &place);
    lab.write("task/validation.jsonl", validation);
    lab.write("task/test.jsonl", rows(&["class-1", "surprise"]));
    lab.refuses(
        &format!("{TRAIN} --out trained"),
        &["`task/test.jsonl:2`", "`surprise`"],
    );
}

#[test]
fn a_row_without_label() {
    let lab = Lab::text();
    let train = lab.read("task/train.jsonl");
    lab.write("task/train.jsonl", format!("{train}{{\"text\": \"ba\"}}\n"));
    assert_refused(&lab, &["`task/train.jsonl:61`", "no `label`"]);
    lab.write("task/train.jsonl", format!("{train}ba be\n"));
    assert_refused(&lab, &["`task/train.jsonl:61`", "not a JSON object"]);
}

#[test]
fn a_broken_picture() {
    let lab = Lab::images();
    let name = "task/train/disc-red/0001.png";
    assert!(lab.path(name).is_file());
    let bytes = fs::read(lab.path(name)).unwrap();
    for broken in [&b"no picture"[..], &bytes[..bytes.len() / 2], b""] {
        lab.write(name, broken);
        lab.refuses(
            &format!("{SEARCH_IMAGES} --strategy random --out study"),
            &[&format!("`{name}`"), "cannot be decoded"],
        );
    }
}

#[test]
fn a_huge_picture() {
    let lab = Lab::images();
    let name = "task/validation/disc-red/0001.png";
    assert!(lab.path(name).is_file());
    // The signature, a header of 20,000 x 20,000 pixels of 8-bit RGB with its checksum, an empty IDAT and IEND.
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(20_000_u32.to_be_bytes());
    bytes.extend(20_000_u32.to_be_bytes());
    bytes.extend(b"\x08\x02\0\0\0\x6c\x12\xd1\x6e");
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    lab.write(name, bytes);
    lab.refuses(
        &format!("{SEARCH_IMAGES} --strategy random --out study"),
        &[&format!("`{name}`"), "20000 x 20000 pixels"],
    );
}

#[test]
fn pictures_for_a_text_backbone_and_the_reverse() {
    let (text, images) = (Lab::text(), Lab::images());
    let task = images.path("task").display().to_string();
    text.refuses(
        &format!("probe --backbone backbone --task {task} --out map.json"),
        &[&task, "the backbone reads text"],
    );
    let task = text.path("task").display().to_string();
    images.refuses(
        &format!("probe --backbone backbone --task {task} --out map.json"),
        &[&task, "the backbone reads images"],
    );
}

#[test]
fn another_task_than_that_of_the_study() {
    let lab = Lab::text();
    let search = format!("{SEARCH} --strategy gradient-greedy --out study");
    lab.run(&search).succeeded();
    let validation = lab.read("task/validation.jsonl");
    lab.write(
        "task/validation.jsonl",
        format!("{validation}{}", rows(&["class-1"])),
    );
    lab.refuses(&search, &["`study`", "`task.fingerprint`"]);
    lab.refuses(
        "search --study study/study.toml --out again",
        &["`task`", "hash"],
    );
}

#[test]
fn the_test_part_is_never_read_by_a_search() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    lab.write("task/test.jsonl", b"\xff\xfe garbage");
    lab.run("probe --backbone backbone --task task --examples 30 --out map.json")
        .succeeded();
    lab.run(&format!("{SEARCH} --strategy greedy --out study"))
        .succeeded();
    lab.run("search --study study/study.toml --out again")
        .succeeded();
    lab.refuses(&format!("{TRAIN} --out trained"), &["task/test.jsonl"]);

    let lab = Lab::images();
    lab.write("task/test/disc-red/0000.png", "garbage");
    lab.run(&format!("{SEARCH_IMAGES} --strategy random --out study"))
        .succeeded();
    lab.refuses(
        "train study/placements/1.toml --backbone backbone --task task --steps 2 --out trained",
        &["task/test/disc-red/0000.png"],
    );
}

/// A part that is text next to pictures is not skipped silently.
#[test]
fn rows_of_text_beside_pictures_are_told_of() {
    let lab = Lab::images();
    let inspect = "inspect backbone --task task";
    let sound = lab.run(inspect).succeeded();
    assert_eq!(sound.stderr, "");
    fs::remove_dir_all(lab.path("task/test")).unwrap();
    lab.write("task/test.csv", "text,label\na,b\n");
    let told = lab.run(inspect).succeeded();
    assert!(
        told.stderr
            .contains("test.csv` contains text, not pictures, and is not read"),
        "{told:#?}"
    );
}
