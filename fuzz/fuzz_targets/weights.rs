//! Fuzzes a file of a backbone or of adapters.
#![no_main]

use adaplace_backbone::Backbone;
use adaplace_fuzz::{WEIGHTS, choose, put, texts, with_file};
use adaplace_scorer::Parameters;
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static SOUND: TempDir = texts();
}

fuzz_target!(|input: &[u8]| {
    let Some((name, content)) = choose(input, &WEIGHTS) else {
        return;
    };
    SOUND.with(|folder| {
        let backbone = folder.path().join("backbone");
        with_file(&backbone, name, content, || {
            let _ = Backbone::load(&backbone, None);
        });
        put(folder.path(), "adapters.safetensors", content);
        let adapter = AdapterSpec::new(2, 1.0).expect("the adapter is valid");
        let placement = Placement::new().with(Connection::new(0, 1), adapter);
        let _ = Parameters::read(&placement, 16, &folder.path().join("adapters.safetensors"));
    });
});
