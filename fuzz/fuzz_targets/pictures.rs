//! Fuzzes the decoding of a picture.
#![no_main]

use adaplace_fuzz::{load_pictures, pictures, put};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static SOUND: TempDir = pictures();
}

fuzz_target!(|input: &[u8]| {
    SOUND.with(|folder| {
        let task = folder.path().join("task");
        put(&task, "train/cross-red/0000.png", input);
        let _ = load_pictures(&folder.path().join("backbone"), &task);
    });
});
