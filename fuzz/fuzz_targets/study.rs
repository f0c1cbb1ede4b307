//! Fuzzes one of the files in a study's folder.
#![no_main]

use std::fs;
use std::path::Path;

use adaplace_fuzz::{STUDY, choose, folder, put};
use adaplace_report::study_report;
use adaplace_study::{Journal, Record, StoredStudy};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static SOUND: (TempDir, Vec<Vec<u8>>) = sound();
}

/// The committed study.
fn sound() -> (TempDir, Vec<Vec<u8>>) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/minilm-trec6-single");
    let folder = folder();
    let files = STUDY.map(|name| fs::read(committed.join(name)).expect("a file of the study"));
    for (name, content) in STUDY.iter().zip(&files) {
        put(folder.path(), name, content);
    }
    (folder, files.to_vec())
}

fuzz_target!(|input: &[u8]| {
    let Some((name, content)) = choose(input, &STUDY) else {
        return;
    };
    SOUND.with(|(folder, files)| {
        put(folder.path(), name, content);
        if StoredStudy::read(folder.path()).is_ok() {
            let _ = study_report(folder.path());
        }
        if name == STUDY[0] {
            let _ = Journal::<Record>::open(&folder.path().join(name));
        }
        let index = STUDY
            .iter()
            .position(|one| *one == name)
            .expect("one of them");
        put(folder.path(), name, &files[index]);
    });
});
