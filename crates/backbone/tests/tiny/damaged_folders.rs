//! Every folder that is not a backbone causes one message that names the file and says what is wrong.

use std::fs;
use std::path::Path;

use adaplace_backbone::{Backbone, Pooling};
use adaplace_testkit::{TinyBert, TinyVit, tiny_bert, tiny_vit};
use safetensors::Dtype;
use serde_json::json;
use tempfile::TempDir;

use crate::common::{assert_says, message};
use crate::folders::{edit_tensors, set_config, set_pooling, write_pooling};

const WORDS: &str = "embeddings.word_embeddings.weight";

fn bert_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    folder
}

fn vit_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(folder.path(), &TinyVit::default());
    folder
}

/// Checks that `folder` is refused with a message that contains the path of `file` in it, and `parts`.
fn assert_refused(folder: &Path, file: &str, parts: &[&str]) {
    let message = message(Backbone::load(folder, None));
    let path = folder.join(file).display().to_string();
    assert_says(&message, &[&format!("`{path}`")]);
    assert_says(&message, parts);
}

#[test]
fn no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let message = message(Backbone::load(&missing, None));
    let path = missing.display().to_string();
    assert_says(&message, &[&path, "does not exist", "config.json"]);
}

#[test]
fn no_configuration() {
    let folder = bert_folder();
    fs::remove_file(folder.path().join("config.json")).unwrap();
    assert_refused(folder.path(), "config.json", &["cannot read"]);
}

#[test]
fn configuration_that_is_no_json_or_lacks_a_key() {
    let folder = bert_folder();
    set_config(folder.path(), "hidden_size", json!("wide"));
    let parts = ["not a valid description", "wide"];
    assert_refused(folder.path(), "config.json", &parts);
    fs::write(
        folder.path().join("config.json"),
        r#"{ "model_type": "bert" }"#,
    )
    .unwrap();
    assert_refused(folder.path(), "config.json", &["vocab_size"]);
    fs::write(folder.path().join("config.json"), "{").unwrap();
    assert_refused(folder.path(), "config.json", &["not a valid description"]);
}

#[test]
fn unknown_architecture() {
    let folder = bert_folder();
    set_config(folder.path(), "model_type", json!("t5"));
    let parts = [
        "`t5`",
        "`bert`, `distilbert`, `roberta`, `xlm-roberta`, `electra`, `mpnet`, `deberta-v2`, `vit`, `deit`, `dinov2`, `dinov2_with_registers`, `clip_vision_model`, `clip`, `siglip_vision_model`, `siglip`, `dinov3_vit`, `modernbert`, `gpt2`, `llama`, `mistral`, `qwen2`, `qwen3`, `gemma`, `gemma2`, `gemma3_text`, `starcoder2`",
    ];
    assert_refused(folder.path(), "config.json", &parts);
}

#[test]
fn settings_that_are_not_implemented() {
    let cases = [
        ("hidden_act", json!("relu"), "`quick_gelu`"),
        (
            "num_attention_heads",
            json!(5),
            "divide the hidden_size `32`",
        ),
        (
            "num_attention_heads",
            json!(0),
            "divide the hidden_size `32`",
        ),
        (
            "position_embedding_type",
            json!("relative_key"),
            "only `absolute`",
        ),
    ];
    for (key, value, says) in cases {
        let folder = bert_folder();
        set_config(folder.path(), key, value);
        assert_refused(folder.path(), "config.json", &[key, says]);
    }
    let folder = bert_folder();
    set_config(folder.path(), "is_decoder", json!(true));
    assert_refused(
        folder.path(),
        "config.json",
        &["is_decoder", "only `false`"],
    );
    let cases = [
        ("patch_size", json!(5), "divide the image_size `16`"),
        ("patch_size", json!(0), "divide the image_size `16`"),
        ("qkv_bias", json!(false), "only `true`"),
        ("hidden_act", json!("mish"), "`quick_gelu`"),
    ];
    for (key, value, says) in cases {
        let folder = vit_folder();
        set_config(folder.path(), key, value);
        assert_refused(folder.path(), "config.json", &[key, says]);
    }
}

#[test]
fn pooling_that_is_not_implemented() {
    for both in [true, false] {
        let folder = bert_folder();
        set_pooling(folder.path(), both, both);
        let found = if both { "cls, mean" } else { "none" };
        assert_refused(
            folder.path(),
            "1_Pooling/config.json",
            &[found, "only one of them"],
        );
        assert!(Backbone::load(folder.path(), Some(Pooling::Cls)).is_ok());
    }
    for (config, found) in [
        (
            json!({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}),
            "max, mean",
        ),
        (
            json!({"pooling_mode_lasttoken": true, "pooling_mode_cls_token": true}),
            "cls, lasttoken",
        ),
        (
            json!({"pooling_mode_mean_sqrt_len_tokens": true}),
            "mean_sqrt_len",
        ),
        (json!({"pooling_mode": "max"}), "max"),
        (json!({"pooling_mode": ["mean", "max"]}), "mean, max"),
        (json!({"pooling_mode": 7}), "7"),
    ] {
        let folder = bert_folder();
        write_pooling(folder.path(), "1_Pooling", &config);
        assert_refused(
            folder.path(),
            "1_Pooling/config.json",
            &["`pooling_mode`", found],
        );
    }
    let folder = vit_folder();
    for pooling in [Pooling::Mean, Pooling::Last] {
        let message = message(Backbone::load(folder.path(), Some(pooling)));
        let says = format!("leave out `--pooling {pooling}`");
        assert_says(&message, &["config.json", "class token", &says]);
    }
}

#[test]
fn no_weights() {
    let folder = bert_folder();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let message = message(Backbone::load(folder.path(), None));
    let path = folder.path().display().to_string();
    assert_says(&message, &[&path, "neither `model.safetensors` nor"]);
}

#[test]
fn truncated_weights() {
    let folder = bert_folder();
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let parts = ["damaged or truncated", "download it again"];
        assert_refused(folder.path(), "model.safetensors", &parts);
    }
}

#[test]
fn missing_shard() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TinyBert {
        shards: 3,
        ..TinyBert::default()
    };
    tiny_bert(folder.path(), &settings);
    let shard = "model-00002-of-00003.safetensors";
    fs::remove_file(folder.path().join(shard)).unwrap();
    assert_refused(folder.path(), shard, &["cannot read"]);
}

#[test]
fn missing_tensor() {
    for name in [
        WORDS,
        "encoder.layer.1.output.dense.bias",
        "embeddings.LayerNorm.weight",
    ] {
        let folder = bert_folder();
        edit_tensors(folder.path(), |tensors| {
            tensors.remove(name).unwrap();
        });
        assert_refused(
            folder.path(),
            "model.safetensors",
            &["has no tensor", name, "config.json"],
        );
    }
}

/// The configuration asks for one block more than there is.
#[test]
fn missing_block() {
    let folder = vit_folder();
    set_config(folder.path(), "num_hidden_layers", json!(3));
    let parts = ["has no tensor", "encoder.layer.2."];
    assert_refused(folder.path(), "model.safetensors", &parts);
}

#[test]
fn tensor_of_another_shape() {
    let folder = bert_folder();
    set_config(folder.path(), "vocab_size", json!(65));
    let parts = [WORDS, "[64, 32]", "[65, 32]"];
    assert_refused(folder.path(), "model.safetensors", &parts);

    let folder = vit_folder();
    set_config(folder.path(), "image_size", json!(20));
    let parts = [
        "embeddings.position_embeddings",
        "[1, 17, 32]",
        "[1, 26, 32]",
    ];
    assert_refused(folder.path(), "model.safetensors", &parts);
}

#[test]
fn tensor_of_integers() {
    let folder = bert_folder();
    edit_tensors(folder.path(), |tensors| {
        tensors.get_mut(WORDS).unwrap().0 = Dtype::I32;
    });
    let parts = [WORDS, "I32", "F64, F32, F16 and BF16"];
    assert_refused(folder.path(), "model.safetensors", &parts);
}

#[test]
fn weights_that_are_no_numbers() {
    for value in [f32::NAN, f32::INFINITY] {
        let folder = bert_folder();
        edit_tensors(folder.path(), |tensors| {
            let bytes = &mut tensors.get_mut(WORDS).unwrap().2;
            bytes[40..44].copy_from_slice(&value.to_le_bytes());
        });
        assert_refused(folder.path(), "model.safetensors", &[WORDS, "not finite"]);
    }
}
