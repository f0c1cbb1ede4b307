//! A file beside a vocabulary that is anything.
#![no_main]

use std::fs;

use adaplace_fuzz::{TOKENIZER, choose, load_texts, put, restore, texts};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static SOUND: TempDir = texts();
}

fuzz_target!(|input: &[u8]| {
    let Some((name, content)) = choose(input, &TOKENIZER) else {
        return;
    };
    SOUND.with(|folder| {
        let backbone = folder.path().join("backbone");
        let before = fs::read(backbone.join(name)).ok();
        put(&backbone, name, content);
        let _ = load_texts(&backbone, &folder.path().join("task"));
        restore(&backbone, name, before.as_deref());
    });
});
