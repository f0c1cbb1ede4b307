//! Fuzzes one of the files next to a vocabulary.
#![no_main]

use adaplace_fuzz::{TOKENIZER, choose, load_texts, texts, with_file};
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
        with_file(&backbone, name, content, || {
            let _ = load_texts(&backbone, &folder.path().join("task"));
        });
    });
});
