//! The tiny backbones have the content of Hugging Face folders of their kind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use adaplace_testkit::{TinyBert, TinyVit, WeightType, shared, tiny_bert, tiny_vit};
use safetensors::{Dtype, SafeTensors};

/// All tensors of a folder as (number type, shape, bytes) by name.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn tensors(folder: &Path) -> Tensors {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect();
    paths.sort();
    let mut found = Tensors::new();
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let tensor = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            found.insert(name.to_owned(), tensor);
        }
    }
    found
}

fn bert(settings: &TinyBert) -> Tensors {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), settings);
    tensors(folder.path())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect()
}

#[test]
fn shards_hold_the_same_tensors_and_the_index_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TinyBert {
        shards: 3,
        ..TinyBert::default()
    };
    tiny_bert(folder.path(), &settings);
    assert_eq!(tensors(folder.path()), bert(&TinyBert::default()));
    let index = fs::read(folder.path().join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for (name, file) in index["weight_map"].as_object().unwrap() {
        let bytes = fs::read(folder.path().join(file.as_str().unwrap())).unwrap();
        assert!(
            SafeTensors::deserialize(&bytes)
                .unwrap()
                .tensor(name)
                .is_ok()
        );
    }
    assert!(!folder.path().join("model.safetensors").exists());
}

#[test]
fn a_prefix_changes_names_only() {
    let plain = bert(&TinyBert::default());
    let prefixed = bert(&TinyBert {
        prefix: "bert.",
        ..TinyBert::default()
    });
    for (name, tensor) in &plain {
        assert_eq!(prefixed.get(&format!("bert.{name}")), Some(tensor));
    }
    assert_eq!(prefixed.len(), plain.len() + 2);
}

#[test]
fn brain_floats_are_rounded_upper_halves() {
    let full = bert(&TinyBert::default());
    let half = bert(&TinyBert {
        weight_type: WeightType::BF16,
        ..TinyBert::default()
    });
    let name = "encoder.layer.1.output.dense.weight";
    let expected = floats(&full[name].2);
    for (two, expected) in half[name].2.chunks_exact(2).zip(expected) {
        let value = f32::from_bits(u32::from(u16::from_le_bytes([two[0], two[1]])) << 16);
        // With 8 significant bits the error is at most half of 2^-7, relative to the value.
        assert!((value - expected).abs() <= expected.abs() / 256.0);
    }
}

#[test]
fn linear_weights_have_the_deviation_that_keeps_states_lively() {
    let weights = floats(&bert(&TinyBert::default())["encoder.layer.0.output.dense.weight"].2);
    let square = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
    // 64 inputs: the variance is 1/64. 2048 draws have a relative deviation of sqrt(2 / 2048) = 3 %; the bound is five
    // of those.
    assert!((square * 64.0 - 1.0).abs() < 0.16, "{square}");
}

#[test]
fn a_seed_determines_every_file() {
    let two = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        tiny_vit(folder.path(), &TinyVit::default());
        tensors(folder.path())
    });
    assert_eq!(two[0], two[1]);
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(
        folder.path(),
        &TinyVit {
            seed: 1,
            ..TinyVit::default()
        },
    );
    assert_ne!(two[0], tensors(folder.path()));
}

/// The names and numbers of dimensions, of the first two blocks only.
fn names(tensors: &Tensors) -> Vec<(String, usize)> {
    let in_first_blocks = |name: &str| match name.strip_prefix("encoder.layer.") {
        Some(rest) => rest.starts_with("0.") || rest.starts_with("1."),
        None => true,
    };
    tensors
        .iter()
        .filter(|(name, _)| in_first_blocks(name))
        .map(|(name, tensor)| (name.clone(), tensor.1.len()))
        .collect()
}

#[test]
#[ignore = "needs ADAPLACE_SHARED"]
fn bert_has_the_names_of_minilm() {
    let real = shared("backbones/minilm-l6");
    assert_eq!(names(&bert(&TinyBert::default())), names(&tensors(&real)));
}

#[test]
#[ignore = "needs ADAPLACE_SHARED"]
fn vit_has_the_names_of_dinov2() {
    let real = shared("backbones/dinov2-s-98");
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(folder.path(), &TinyVit::default());
    assert_eq!(names(&tensors(folder.path())), names(&tensors(&real)));
}
