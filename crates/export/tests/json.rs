//! A placement exported as JSON reads back equal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adaplace_export::json::{AdapterFile, document, read};
use adaplace_export::{EXPORT_FORMAT, ExportError};
use adaplace_search_space::{
    AdapterForm, AdapterSpec, BackboneReference, Connection, Placement, PlacementFile,
};
use proptest::prelude::*;

fn file(placement: Placement, provenance: Option<toml::Table>) -> PlacementFile {
    PlacementFile {
        backbone: BackboneReference {
            model_type: "bert".to_owned(),
            hidden_states: 13,
            width: 384,
            pooling: "mean".to_owned(),
            weights_sha256: "ab".repeat(32),
        },
        adapter: AdapterForm::default(),
        placement,
        provenance,
    }
}

fn example() -> PlacementFile {
    let adapter = AdapterSpec::new(8, 1.0).unwrap();
    file(Placement::new().with(Connection::new(9, 2), adapter), None)
}

proptest! {
    #[test]
    fn any_placement_reads_back_equal(
        entries in prop::collection::vec((0_u16..13, 0_u16..13, 1_u16..=u16::MAX, prop::num::f32::NORMAL), 1..20),
        seed in 0..=i64::MAX,
        score in prop::num::f64::NORMAL,
        name in ".*",
    ) {
        let placement = entries.into_iter().map(|(source, target, rank, scale)| {
            (Connection::new(source, target), AdapterSpec::new(rank, scale).unwrap())
        });
        let provenance = toml::Table::from_iter([
            ("seed".to_owned(), seed.into()),
            ("score".to_owned(), score.into()),
            ("study".to_owned(), name.into()),
        ]);
        let file = file(placement.collect(), Some(provenance));
        let text = document(&file, None).unwrap();
        prop_assert_eq!(read(&text).unwrap(), file);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        prop_assert!(read(&text).is_err());
    }
}

#[test]
fn trained_adapters_are_described() {
    let adapters = AdapterFile {
        path: "adapters.safetensors".to_owned(),
        classes: 6,
        metadata: [("classes".to_owned(), "[]".to_owned())].into(),
    };
    let text = document(&example(), Some(adapters)).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["format"], EXPORT_FORMAT);
    let named: Vec<_> = value["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tensor| format!("{} {}", tensor["name"].as_str().unwrap(), tensor["shape"]))
        .collect();
    assert_eq!(
        named,
        [
            "9-2.down.weight [8,384]",
            "9-2.down.bias [8]",
            "9-2.up.weight [384,8]",
            "9-2.up.bias [384]",
            "head.weight [6,384]",
            "head.bias [6]",
        ]
    );
}

#[test]
fn dates_read_back_and_numbers_that_json_lacks_are_refused() {
    let provenance = |text: &str| Some(toml::from_str(text).unwrap());
    let dated = file(example().placement, provenance("made = 2024-10-21"));
    assert_eq!(read(&document(&dated, None).unwrap()).unwrap(), dated);
    for number in ["nan", "inf", "-inf"] {
        let file = file(
            example().placement,
            provenance(&format!("score = {number}")),
        );
        assert!(matches!(document(&file, None), Err(ExportError::NotJson)));
    }
}

#[test]
fn a_changed_document_is_refused() {
    let text = document(&example(), None).unwrap();
    for (from, to) in [
        ("adaplace.export/1", "adaplace.export/2"),
        ("adaplace.placement/1", "adaplace.placement/2"),
        ("\"passes\": 2", "\"passes\": 1"),
        ("\"rank\": 8", "\"rank\": 0"),
        ("\"source\": 9", "\"source\": 13"),
        ("\"definition\"", "\"meaning\""),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let error = read(&text.replace(from, to)).unwrap_err().to_string();
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    }
}
