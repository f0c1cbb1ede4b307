//! Search-space and placement files: round trips, and one clear message for each possible mistake.
#![allow(clippy::unwrap_used)]

mod common;

use adaplace_search_space::{
    AdapterForm, AdapterSpec, BackboneReference, Connection, Fidelity, Placement, PlacementFile,
    SpaceDescription, SpaceError,
};
use common::descriptions;
use proptest::prelude::*;

const PLACEMENT: &str = r#"format = "adaplace.placement/1"
passes = 2
[backbone]
model_type = "bert"
hidden_states = 13
width = 384
pooling = "mean"
weights_sha256 = "00ff"
[adapter]
activation = "gelu"
input_norm = "layer-norm"
[[connection]]
source = 9
target = 2
rank = 8
scale = 1.0
[provenance]
seed = 3
"#;

const SPACE: &str = r#"[connections]
kinds = ["sequential", "recurrent"]
[adapter]
ranks = [8, 16]
[budget]
adapters = 3
"#;

fn placement_files() -> impl Strategy<Value = PlacementFile> {
    let scale = proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL;
    let adapters =
        proptest::collection::btree_map((0..40_u16, 0..40_u16), (1..=u16::MAX, scale), 1..8);
    let number =
        proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO;
    (adapters, proptest::option::of(number), ".{0,12}").prop_map(|(adapters, score, text)| {
        let adapter = |((source, target), (rank, scale))| {
            (
                Connection::new(source, target),
                AdapterSpec::new(rank, scale).unwrap(),
            )
        };
        PlacementFile {
            backbone: BackboneReference {
                model_type: "vit".to_owned(),
                hidden_states: 40,
                width: 384,
                pooling: text.clone(),
                weights_sha256: "ab".repeat(32),
            },
            adapter: AdapterForm::default(),
            placement: adapters.into_iter().map(adapter).collect(),
            provenance: score.map(|score| {
                toml::Table::from_iter([
                    ("score".to_owned(), score.into()),
                    ("strategy".to_owned(), text.into()),
                ])
            }),
        }
    })
}

proptest! {
    #[test]
    fn placement_files_read_back_to_the_last_bit(file in placement_files()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.toml");
        file.write(&path).unwrap();
        let read = PlacementFile::read(&path).unwrap();
        prop_assert_eq!(&read, &file);
        prop_assert_eq!(read.placement.hash(), file.placement.hash());
        // The folder contains nothing but the file itself.
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn hash_does_not_depend_on_the_order_of_insertion(file in placement_files(), seed: u64) {
        use rand::{SeedableRng, seq::SliceRandom};
        let mut adapters: Vec<_> = file.placement.iter().collect();
        adapters.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        let inserted = adapters.into_iter().fold(Placement::new(), |placement, (connection, adapter)| {
            placement.with(connection, adapter)
        });
        prop_assert_eq!(inserted.hash(), file.placement.hash());
        prop_assert_eq!(inserted, file.placement);
    }

    #[test]
    fn space_descriptions_read_back(description in descriptions()) {
        let text = description.to_toml().unwrap();
        match SpaceDescription::from_toml(&text) {
            Ok(read) => prop_assert_eq!(read, description),
            Err(error) => prop_assert_eq!(error.to_string(), description.check().unwrap_err().to_string()),
        }
    }

    #[test]
    fn damaged_files_never_panic(position in 0..PLACEMENT.len(), length in 0..20_usize, insert in ".{0,8}") {
        for text in [PLACEMENT, SPACE] {
            let start = position.min(text.len());
            let end = (start + length).min(text.len());
            let damaged = format!("{}{insert}{}", &text[..start], &text[end..]);
            let _ = PlacementFile::from_toml(&damaged);
            let _ = SpaceDescription::from_toml(&damaged);
        }
    }
}

#[test]
fn the_documented_placement_is_read() {
    let file = PlacementFile::from_toml(PLACEMENT).unwrap();
    assert_eq!(file.placement.to_string(), "9->2 (rank 8)");
    assert_eq!(file.passes(), 2);
    assert_eq!(file.backbone.width, 384);
    assert_eq!(
        PlacementFile::from_toml(&file.to_toml().unwrap()).unwrap(),
        file
    );
    let table = toml::from_str(PLACEMENT).unwrap();
    assert_eq!(PlacementFile::from_table(&table).unwrap(), file);
    let table = toml::from_str(&PLACEMENT.replace("width = 384", "width = -1")).unwrap();
    let error = PlacementFile::from_table(&table).unwrap_err().to_string();
    assert!(
        error.starts_with("`backbone.width`: invalid value"),
        "{error}"
    );
}

#[test]
fn wrong_placement_files_say_what_is_wrong() {
    for (from, to, message) in [
        (
            "placement/1",
            "placement/9",
            "its format is `adaplace.placement/9`, this version reads",
        ),
        ("passes = 2", "passes = 1", "`passes = 1` contradicts"),
        (
            "source = 9",
            "source = 13",
            "connection `13->2` is outside the backbone, whose hidden states are 0 to 12",
        ),
        ("rank = 8", "rank = 0", "rank 0"),
        ("scale = 1.0", "scale = nan", "not a finite number"),
        (
            "scale = 1.0",
            "scale = 0.0",
            "not a finite number other than 0",
        ),
        ("scale = 1.0", "scale = 1e60", "not a finite number"),
        (
            "rank = 8",
            "rank = 8\ncolour = 1",
            "line 16: `connection[0]`: unknown field `colour`",
        ),
        (
            "activation = \"gelu\"",
            "activation = \"relu\"",
            "unknown variant `relu`",
        ),
        (
            "[provenance]",
            "[[connection]]\nsource = 9\ntarget = 2\nrank = 4\nscale = 1.0\n[provenance]",
            "given twice",
        ),
        (
            "[[connection]]\nsource = 9\ntarget = 2\nrank = 8\nscale = 1.0\n",
            "",
            "has no adapter",
        ),
        ("pooling = \"mean\"\n", "", "missing field `pooling`"),
    ] {
        let text = PLACEMENT.replacen(from, to, 1);
        let error = PlacementFile::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn wrong_space_files_say_what_is_wrong() {
    for (from, to, message) in [
        ("[8, 16]", "[8, 8]", "`adapter.ranks` lists 8 twice"),
        ("[8, 16]", "[]", "`adapter.ranks` is empty"),
        ("[8, 16]", "[0]", "rank 0"),
        (
            "[8, 16]",
            "[8]\nscale = inf",
            "scale inf is not a finite number",
        ),
        (
            "\"recurrent\"",
            "\"sequential\"",
            "`connections.kinds` lists sequential twice",
        ),
        (
            "\"recurrent\"",
            "\"backward\"",
            "line 2: unknown variant `backward`",
        ),
        (
            "[adapter]",
            "min_span = 3\nmax_span = 2\n[adapter]",
            "goes from 3 down to 2",
        ),
        (
            "[adapter]",
            "sources = [5, 4]\n[adapter]",
            "`sources` goes from 5 down to 4",
        ),
        (
            "adapters = 3",
            "adapters = 0",
            "`adapters` in `[budget]` is 0",
        ),
        (
            "adapters = 3",
            "adapters = 3\nmin_adapters = 4",
            "goes from 4 down to 3",
        ),
        (
            "adapters = 3",
            "adapters = 3\nparameters = 0",
            "`parameters` in `[budget]` is 0",
        ),
        (
            "adapters = 3",
            "adapters = 3\nextra_flops = -0.5",
            "`extra_flops` in `[budget]` is -0.5",
        ),
        (
            "adapters = 3",
            "adapters = 3\ntime = 1",
            "line 7: unknown field `time`",
        ),
    ] {
        let text = SPACE.replacen(from, to, 1);
        let error = SpaceDescription::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn messages_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("space.toml");
    let named = |error: SpaceError| error.to_string().contains("space.toml");
    assert!(named(SpaceDescription::read(&path).unwrap_err()));
    assert!(named(PlacementFile::read(&path).unwrap_err()));
    std::fs::write(&path, "x").unwrap();
    assert!(named(SpaceDescription::read(&path).unwrap_err()));
    assert!(named(PlacementFile::read(&path).unwrap_err()));
    let file = PlacementFile::from_toml(PLACEMENT).unwrap();
    assert!(named(
        file.write(&path.join("below-a-file.toml")).unwrap_err()
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
}

#[test]
fn another_backbone_is_an_error_with_both_values() {
    let file = PlacementFile::from_toml(PLACEMENT).unwrap();
    file.check_backbone(&file.backbone).unwrap();
    let found = BackboneReference {
        weights_sha256: "1234".to_owned(),
        ..file.backbone.clone()
    };
    let error = file.check_backbone(&found).unwrap_err().to_string();
    assert!(
        error.contains("weights_sha256 `00ff`") && error.contains("`1234`"),
        "{error}"
    );
}

#[test]
fn a_fidelity_is_a_positive_integer() {
    assert!(Fidelity::new(0).is_err());
    assert_eq!(Fidelity::of(64).steps(), 64);
    let table: std::collections::BTreeMap<String, Fidelity> = toml::from_str("steps = 64").unwrap();
    assert_eq!(toml::to_string(&table).unwrap(), "steps = 64\n");
    assert!(toml::from_str::<std::collections::BTreeMap<String, Fidelity>>("steps = 0").is_err());
}
