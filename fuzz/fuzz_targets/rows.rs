//! Fuzzes the training part of a task folder.
#![no_main]

use std::fs;

use adaplace_fuzz::{ROWS, choose, folder, load_pictures, load_texts, pictures, put, texts};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static SOUND: (TempDir, TempDir, TempDir) = (texts(), pictures(), folder());
}

fuzz_target!(|input: &[u8]| {
    let Some((ending, content)) = choose(input, &ROWS) else {
        return;
    };
    SOUND.with(|(texts, pictures, task)| {
        let name = format!("train.{ending}");
        put(task.path(), &name, content);
        let _ = load_texts(&texts.path().join("backbone"), task.path());
        if ending == "parquet" {
            let _ = load_pictures(&pictures.path().join("backbone"), task.path());
        }
        fs::remove_file(task.path().join(name)).expect("the file is there");
    });
});
