//! Fuzzes the parsers of placements and search spaces.
#![no_main]

use adaplace_export::json;
use adaplace_search_space::{PlacementFile, SpaceDescription};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(file) = PlacementFile::from_toml(text) {
        let written = file.to_toml().expect("what was read can be written");
        assert_eq!(
            PlacementFile::from_toml(&written).as_ref().ok(),
            Some(&file),
            "{written}"
        );
    }
    let _ = SpaceDescription::from_toml(text);
    let _ = json::read(text);
});
