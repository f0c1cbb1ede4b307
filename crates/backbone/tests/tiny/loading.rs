//! The same weights are the same backbone, however they are stored.

use adaplace_arithmetic::Cpu;
use adaplace_backbone::{Backbone, FeatureRows, InputDescription, Pooling, SavedPooling};
use adaplace_testkit::{TinyBert, TinyVit, WeightType, tiny_bert, tiny_vit};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common::{bert, bits_of_states, noise, pictures, ragged_inputs};
use crate::folders::{edit_tensors, read_tensors, set_config, set_pooling, write_pooling};

fn all_bits(backbone: &Backbone) -> Vec<Vec<u32>> {
    let inputs = match backbone.description().input {
        InputDescription::Text { .. } => ragged_inputs(),
        InputDescription::Image { .. } => pictures(),
    };
    bits_of_states(backbone, &inputs)
}

#[test]
fn prefix_and_shards_change_nothing() {
    let plain = bert(&TinyBert::default());
    for (prefix, shards) in [("bert.", 1), ("", 3), ("bert.", 5)] {
        let stored = bert(&TinyBert {
            prefix,
            shards,
            ..TinyBert::default()
        });
        assert_eq!(stored.description(), plain.description());
        assert_eq!(all_bits(&stored), all_bits(&plain));
    }
    let load = |prefix, shards| {
        let folder = tempfile::tempdir().unwrap();
        let settings = TinyVit {
            prefix,
            shards,
            ..TinyVit::default()
        };
        tiny_vit(folder.path(), &settings);
        Backbone::load(folder.path(), None).unwrap()
    };
    let (plain, stored) = (load("", 1), load("vit.", 4));
    assert_eq!(stored.description(), plain.description());
    assert_eq!(all_bits(&stored), all_bits(&plain));
}

/// A file with a teacher and its student.
#[test]
fn a_file_of_several_models_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let both = stored.tensors().into_iter().flat_map(|(name, view)| {
        [
            (format!("bert.{name}"), view.clone()),
            (format!("teacher.bert.{name}"), view),
        ]
    });
    let both: Vec<_> = both.collect();
    safetensors::serialize_to_file(both, None, &path).unwrap();
    let message = Backbone::load(folder.path(), None).unwrap_err().to_string();
    assert!(
        message.contains(
            "several models: `bert.embeddings.word_embeddings.weight`, `teacher.bert.embeddings.word_embeddings.weight`"
        ),
        "{message}"
    );
}

#[test]
fn other_weights_have_another_hash() {
    let hash = |seed| {
        let settings = TinyBert {
            seed,
            ..TinyBert::default()
        };
        bert(&settings).description().weights_sha256.clone()
    };
    assert_ne!(hash(0), hash(1));
}

/// Halves are hashed by their values, so a file that stores these values as f32 is the same backbone.
#[test]
fn halves_are_hashed_by_their_values() {
    let single = bert(&TinyBert::default());
    for weight_type in [WeightType::F16, WeightType::BF16] {
        let folder = tempfile::tempdir().unwrap();
        let settings = TinyBert {
            weight_type,
            ..TinyBert::default()
        };
        tiny_bert(folder.path(), &settings);
        let half = Backbone::load(folder.path(), None).unwrap();
        assert_ne!(
            half.description().weights_sha256,
            single.description().weights_sha256
        );
        let bits = all_bits(&half);
        edit_tensors(folder.path(), |tensors| {
            for (dtype, _, bytes) in tensors.values_mut() {
                let widen: fn([u8; 2]) -> f32 = match dtype {
                    Dtype::F16 => |two| f16::from_le_bytes(two).to_f32(),
                    Dtype::BF16 => |two| bf16::from_le_bytes(two).to_f32(),
                    _ => continue,
                };
                *dtype = Dtype::F32;
                let values = bytes.as_chunks::<2>().0.iter().map(|&two| widen(two));
                *bytes = values.flat_map(f32::to_le_bytes).collect();
            }
        });
        let widened = Backbone::load(folder.path(), None).unwrap();
        assert_eq!(half.description(), widened.description());
        assert_eq!(bits, all_bits(&widened));
    }
}

/// Covers f64 weights that are single-precision values, and another name for the same activation.
#[test]
fn doubles_and_another_name_of_gelu_change_nothing() {
    let single = bert(&TinyBert::default());
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    set_config(folder.path(), "hidden_act", json!("gelu_python"));
    edit_tensors(folder.path(), |tensors| {
        let floats = tensors
            .values_mut()
            .filter(|(dtype, ..)| *dtype == Dtype::F32);
        for (dtype, _, bytes) in floats {
            *dtype = Dtype::F64;
            let values = bytes.as_chunks::<4>().0.iter();
            let values = values.map(|&four| f64::from(f32::from_le_bytes(four)));
            *bytes = values.flat_map(f64::to_le_bytes).collect();
        }
    });
    let double = Backbone::load(folder.path(), None).unwrap();
    assert_eq!(double.description(), single.description());
    assert_eq!(all_bits(&double), all_bits(&single));
}

/// Covers all three ways in which sentence-transformers has written it.
#[test]
fn pooling_is_read_where_the_list_of_modules_says() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    let pooling = || {
        let backbone = Backbone::load(folder.path(), None).unwrap();
        backbone.description().pooling
    };
    let cls = json!({"pooling_mode": "cls", "embedding_dimension": 32});
    write_pooling(folder.path(), "1_Pooling", &cls);
    assert_eq!(pooling(), Pooling::Cls);
    write_pooling(
        folder.path(),
        "1_Pooling",
        &json!({"pooling_mode": ["mean"]}),
    );
    assert_eq!(pooling(), Pooling::Mean);

    let modules = |transformer: &str, pooling: &str| {
        let list = json!([
            {"idx": 0, "name": "0", "path": transformer, "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": pooling, "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]);
        std::fs::write(folder.path().join("modules.json"), list.to_string()).unwrap();
    };
    write_pooling(folder.path(), "my_pooling", &cls);
    modules("", "my_pooling");
    assert_eq!(pooling(), Pooling::Cls);
    modules("0_Transformer", "my_pooling");
    let message = crate::common::message(Backbone::load(folder.path(), None));
    assert!(message.contains("`path` = `0_Transformer`"), "{message}");
    // If no module describes the pooling, nothing else does.
    std::fs::write(folder.path().join("modules.json"), "[]").unwrap();
    assert_eq!(pooling(), Pooling::Mean);
}

/// The hash is the SHA-256 of name, 0, shape, 0 and values for each tensor, then the SHA-256 of those digests in the
/// order of the names.
#[test]
fn the_hash_is_the_documented_one() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    let tensors = read_tensors(&folder.path().join("model.safetensors"));
    let (mut all, mut parameters) = (Sha256::new(), 0);
    for (name, (_, shape, bytes)) in tensors {
        // The chain does not use these.
        if name.contains("position_ids") || name.starts_with("pooler") {
            continue;
        }
        parameters += bytes.len() / 4;
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let header = format!("{name}\0{}\0", shape.join("x"));
        all.update(Sha256::digest([header.as_bytes(), &bytes].concat()));
    }
    let backbone = Backbone::load(folder.path(), None).unwrap();
    let description = backbone.description();
    assert_eq!(description.weights_sha256, format!("{:x}", all.finalize()));
    assert_eq!(description.parameters, parameters);
}

#[test]
fn descriptions_follow_the_configuration() {
    let description = bert(&TinyBert::default()).description().clone();
    assert_eq!(description.model_type, "bert");
    assert_eq!((description.blocks, description.hidden_states), (2, 5));
    assert_eq!((description.width, description.heads), (32, 4));
    assert_eq!(description.intermediate, 64);
    assert_eq!(description.input.fixed_tokens(), None);
    let vit = crate::common::vit();
    assert_eq!(vit.description().input.fixed_tokens(), Some(17));
    assert_eq!(vit.description().pooling, Pooling::Cls);
}

/// The folder decides, unless the caller chooses. The first token is read as it is, and the mean is over the real
/// tokens.
#[test]
fn pooling_follows_the_caller_then_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    let load = |pooling| Backbone::load(folder.path(), pooling).unwrap();
    assert_eq!(load(None).description().pooling, Pooling::Mean);
    assert_eq!(load(Some(Pooling::Cls)).description().pooling, Pooling::Cls);
    set_pooling(folder.path(), false, true);
    assert_eq!(load(None).description().pooling, Pooling::Cls);
    let mean = load(Some(Pooling::Mean));
    assert_eq!(mean.description().pooling, Pooling::Mean);
    set_pooling(folder.path(), true, false);
    assert_eq!(load(None).description().pooling, Pooling::Mean);

    let examples = vec![0, 7, 11, 13];
    let last: Vec<Vec<f32>> = noise(&[13, 32], 1).to_vec2().unwrap();
    let features = |backbone: &Backbone| {
        let (mut features, saved) = (Vec::new(), &mut SavedPooling::default());
        let pooler = backbone.chain().unwrap().pooler();
        let result = pooler.forward(
            &last.concat(),
            FeatureRows::Pooled(&examples),
            &mut features,
            saved,
        );
        result.unwrap();
        features
    };
    let (means, firsts) = (features(&mean), features(&load(Some(Pooling::Cls))));
    for (row, ends) in examples.windows(2).enumerate() {
        let tokens = &last[ends[0]..ends[1]];
        assert_eq!(firsts[32 * row..][..32], tokens[0]);
        for (column, found) in means[32 * row..][..32].iter().enumerate() {
            let sum: f32 = tokens.iter().map(|token| token[column]).sum();
            assert!((found - sum / tokens.len() as f32).abs() < 1e-6);
        }
    }
}

/// Weights that are read when they are needed are those of the file that was opened, whatever takes its place.
#[test]
fn another_file_in_its_place_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    let expected = all_bits(&Backbone::load(folder.path(), None).unwrap());
    let backbone = Backbone::load(folder.path(), None).unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::rename(&path, folder.path().join("opened")).unwrap();
    let other = TinyBert {
        seed: TinyBert::default().seed + 1,
        ..TinyBert::default()
    };
    tiny_bert(folder.path(), &other);
    assert_ne!(
        all_bits(&Backbone::load(folder.path(), None).unwrap()),
        expected
    );
    assert_eq!(all_bits(&backbone), expected);
    assert_eq!(all_bits(&backbone.on(Cpu::default())), expected);
}

/// A file that was written to since it was opened is no longer the backbone that was hashed.
#[test]
fn a_file_that_has_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    let path = folder.path().join("model.safetensors");
    let backbone = Backbone::load(folder.path(), None).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(0);
    std::fs::write(&path, bytes).unwrap();
    let error = backbone.chain().unwrap_err().to_string();
    for part in ["model.safetensors", "the file has changed", "start again"] {
        assert!(error.contains(part), "{error}");
    }
}
