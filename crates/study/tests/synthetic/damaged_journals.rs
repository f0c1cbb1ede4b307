use std::path::Path;

use adaplace_study::{Journal, StudyConfiguration, StudyError, TrialResult};
use adaplace_synthetic::{
    Synthetic, assert_distinct, configuration, finished, journal, lines, placement, record, score,
};

struct Finished {
    folder: tempfile::TempDir,
    configuration: StudyConfiguration,
    /// The journal's bytes.
    bytes: Vec<u8>,
}

fn finished_study() -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration("evolution", Some(3));
    let scorer = Synthetic::closed_form();
    finished(scorer.run(folder.path(), &configuration, 1).unwrap());
    let bytes = std::fs::read(journal(folder.path())).unwrap();
    Finished {
        folder,
        configuration,
        bytes,
    }
}

fn byte_lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Runs the study with this journal, which must be refused in `line` and left unchanged.
fn assert_refused(study: &Finished, bytes: &[u8], line: usize) -> String {
    let path = journal(study.folder.path());
    std::fs::write(&path, bytes).unwrap();
    let scorer = Synthetic::new(|_, _, _| panic!("nothing is to be trained"));
    let error = scorer
        .run(study.folder.path(), &study.configuration, 2)
        .unwrap_err();
    let message = error.to_string();
    match error {
        StudyError::Journal {
            path: named,
            line: found,
            ..
        } => assert_eq!((named, found), (path.clone(), line), "{message}"),
        other => panic!("{other}"),
    }
    assert!(
        std::fs::read(&path).unwrap() == bytes,
        "the journal was changed"
    );
    message
}

fn records(path: &Path) -> usize {
    <Journal>::open(path).unwrap().1.len()
}

#[test]
fn a_last_line_torn_anywhere_is_cut_off() {
    let study = finished_study();
    let all = byte_lines(&study.bytes);
    let intact = study.bytes.len() - all[all.len() - 1].len();
    let path = study.folder.path().join("copy.jsonl");
    for length in intact..study.bytes.len() {
        std::fs::write(&path, &study.bytes[..length]).unwrap();
        assert_eq!(records(&path), all.len() - 1, "cut at byte {length}");
        assert!(std::fs::read(&path).unwrap() == study.bytes[..intact]);
    }
    std::fs::write(&path, &study.bytes).unwrap();
    assert_eq!(records(&path), all.len());
}

#[test]
fn garbage_behind_the_last_line_is_cut_off() {
    let study = finished_study();
    let path = study.folder.path().join("copy.jsonl");
    let garbage: [&[u8]; 6] = [
        b"{",
        b"garbage",
        b"\n",
        b"\0\0\0\0",
        b"\0\0\0\0\n",
        b"\xff\xfe",
    ];
    for garbage in garbage {
        std::fs::write(&path, [&study.bytes, garbage].concat()).unwrap();
        assert_eq!(records(&path), byte_lines(&study.bytes).len());
        assert!(std::fs::read(&path).unwrap() == study.bytes, "{garbage:?}");
    }
}

#[test]
fn the_training_of_a_torn_line_runs_again() {
    let study = finished_study();
    let expected = lines(study.folder.path());
    let all = byte_lines(&study.bytes);
    for kept in [1, 7, all.len() - 1] {
        let mut bytes = all[..kept].concat();
        bytes.extend(&all[kept][..all[kept].len() / 2]);
        std::fs::write(journal(study.folder.path()), bytes).unwrap();
        let scorer = Synthetic::closed_form();
        finished(
            scorer
                .run(study.folder.path(), &study.configuration, 2)
                .unwrap(),
        );
        assert_eq!(lines(study.folder.path()), expected);
        assert_eq!(scorer.calls().len(), all.len() - kept);
        assert_distinct(&scorer.calls());
    }
}

#[test]
fn a_damaged_line_in_the_middle_is_refused() {
    let study = finished_study();
    let all = byte_lines(&study.bytes);
    for index in [0, 5, all.len() - 2] {
        let half = &all[index][..all[index].len() / 2];
        for damaged in [b"\n".to_vec(), [half, b"\n"].concat(), b"{}\n".to_vec()] {
            let bytes = [
                &all[..index].concat(),
                &damaged,
                &all[index + 1..].concat()[..],
            ]
            .concat();
            let message = assert_refused(&study, &bytes, index + 1);
            assert!(message.contains("restore the file"), "{message}");
        }
        // A missing line and a duplicate line.
        assert_refused(
            &study,
            &[all[..index].concat(), all[index + 1..].concat()].concat(),
            index + 1,
        );
        assert_refused(
            &study,
            &[all[..=index].concat(), all[index..].concat()].concat(),
            index + 2,
        );
    }
}

#[test]
fn swapped_lines_are_refused() {
    let study = finished_study();
    for index in [0, 4, byte_lines(&study.bytes).len() - 2] {
        // Also if the last line is one of the two: it is complete, so it was not torn.
        let mut all = byte_lines(&study.bytes);
        all.swap(index, index + 1);
        assert_refused(&study, &all.concat(), index + 1);
    }
}

#[test]
fn a_line_of_another_placement_is_refused() {
    let study = finished_study();
    let all = byte_lines(&study.bytes);
    for index in [0, 5, all.len() - 1] {
        let mut other = serde_json::from_slice::<adaplace_study::Record>(all[index]).unwrap();
        other.placement = placement(&[(12, 12), (0, 1)]);
        let line = |record| [serde_json::to_vec(record).unwrap(), b"\n".to_vec()].concat();
        let with =
            |line: &[u8]| [&all[..index].concat(), line, &all[index + 1..].concat()[..]].concat();
        // With a matching hash, only the strategy can detect it.
        let consistent = adaplace_study::Record {
            hash: other.placement.hash(),
            ..other.clone()
        };
        let message = assert_refused(&study, &with(&line(&consistent)), index + 1);
        assert!(message.contains("another training"), "{message}");
        let message = assert_refused(&study, &with(&line(&other)), index + 1);
        assert!(message.contains("hash"), "{message}");
    }
}

#[test]
fn a_line_behind_the_end_of_the_study_is_refused() {
    let study = finished_study();
    let count = byte_lines(&study.bytes).len();
    let placement = placement(&[(12, 12), (0, 1)]);
    let extra = record(count, placement, TrialResult::Score(score(0.5, 1.0)));
    let line = [serde_json::to_vec(&extra).unwrap(), b"\n".to_vec()].concat();
    assert_refused(&study, &[study.bytes.clone(), line].concat(), count + 1);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let study = finished_study();
    let all = byte_lines(&study.bytes);
    let line = String::from_utf8(all[2].to_vec()).unwrap();
    let start = line.find("\"validation_loss\":").unwrap() + "\"validation_loss\":".len();
    let end = start + line[start..].find(',').unwrap();
    for number in ["null", "NaN", "1e999", "\"0.5\""] {
        let damaged = format!("{}{number}{}", &line[..start], &line[end..]);
        let bytes = [
            &all[..2].concat(),
            damaged.as_bytes(),
            &all[3..].concat()[..],
        ]
        .concat();
        assert_refused(&study, &bytes, 3);
    }
}
