//! Fuzzes the files of a picture preprocessing.
#![no_main]

use adaplace_fuzz::{PREPROCESSING, choose, load_pictures, pictures, with_file};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static SOUND: TempDir = pictures();
}

fuzz_target!(|input: &[u8]| {
    let Some((name, content)) = choose(input, &PREPROCESSING) else {
        return;
    };
    SOUND.with(|folder| {
        let backbone = folder.path().join("backbone");
        with_file(&backbone, name, content, || {
            let _ = load_pictures(&backbone, &folder.path().join("task"));
        });
    });
});
