//! What the families other than BERT and ViT refuse and ignore. Their numbers are compared in `tests/parity`, whose
//! small models are used here.

use std::fs;
use std::path::Path;

use adaplace_backbone::{Backbone, Inputs, Pooling};
use adaplace_testkit::{TinyBert, tiny_bert};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{assert_says, bert, bits_of_states, message, pictures, ragged_inputs, vit};
use crate::folders::{edit_tensors, set_config, write_pooling};

/// A copy of the family's small model.
pub fn folder(family: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/fixtures");
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixtures.join(family).join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn load(family: &str) -> Backbone {
    Backbone::load(folder(family).path(), None).unwrap()
}

#[test]
fn settings_that_are_not_implemented() {
    let cases = [
        ("distilbert", "activation", json!("relu"), "`quick_gelu`"),
        ("distilbert", "n_heads", json!(5), "divide the dim `32`"),
        ("roberta", "hidden_act", json!("relu"), "`quick_gelu`"),
        (
            "roberta",
            "max_position_embeddings",
            json!(2),
            "after the pad_token_id `1`",
        ),
        ("deit", "patch_size", json!(5), "divide the image_size `16`"),
        (
            "dinov2",
            "use_swiglu_ffn",
            json!(true),
            "small, base or large",
        ),
        ("dinov2", "qkv_bias", json!(false), "only `true`"),
        ("electra", "hidden_act", json!("relu"), "`quick_gelu`"),
        (
            "dinov2_with_registers",
            "use_swiglu_ffn",
            json!(true),
            "small, base or large",
        ),
        (
            "dinov3_vit",
            "num_attention_heads",
            json!(16),
            "a multiple of 4",
        ),
        ("siglip_vision_model", "hidden_act", json!("relu"), "`silu`"),
        (
            "mpnet",
            "relative_attention_num_buckets",
            json!(16),
            "only `32`",
        ),
        (
            "deberta-v2",
            "conv_kernel_size",
            json!(3),
            "convolution of the largest models",
        ),
        ("deberta-v2", "embedding_size", json!(24), "only `32`"),
        ("deberta-v2", "position_buckets", json!(1), "at least 2"),
        (
            "deberta-v2",
            "position_buckets",
            json!(30),
            "16 distances, at least 2 and below 30",
        ),
        ("gemma2", "attn_logit_softcapping", json!(0.0), "above zero"),
        ("gemma2", "query_pre_attn_scalar", json!(-4), "above zero"),
        ("deberta-v2", "pos_att_type", json!("p2p|c2p"), "`p2p`"),
        ("modernbert", "hidden_activation", json!("relu"), "`silu`"),
        (
            "modernbert-biased",
            "layer_types",
            json!(["full_attention", "chunked_attention"]),
            "only `full_attention` and `sliding_attention`",
        ),
        (
            "modernbert-biased",
            "layer_types",
            json!(["full_attention"]),
            "`too few names`",
        ),
        ("llama", "num_key_value_heads", json!(3), "`4`"),
        ("llama", "hidden_act", json!("relu"), "`silu`"),
        (
            "gemma3_text",
            "layer_types",
            json!(["linear_attention", "full_attention"]),
            "`linear_attention`",
        ),
        ("gpt2", "n_head", json!(5), "divide the n_embd `32`"),
        ("gpt2", "add_cross_attention", json!(true), "only `false`"),
    ];
    for (family, key, value, says) in cases {
        let folder = folder(family);
        set_config(folder.path(), key, value);
        let message = message(Backbone::load(folder.path(), None));
        let path = folder.path().join("config.json").display().to_string();
        assert_says(&message, &[&path, key, says]);
    }
}

/// Earlier versions of transformers have other keys for the same positions.
#[test]
fn rotary_positions_are_read_in_both_forms() {
    let forms = [
        (
            "llama",
            json!({"rope_theta": 50.0, "rope_scaling": {
                "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            }}),
        ),
        (
            "llama-biased",
            json!({"rope_theta": 100.0, "rope_scaling": {"type": "linear", "factor": 3.0}}),
        ),
        (
            "gemma3_text",
            json!({"rope_theta": 200.0, "rope_local_base_freq": 10.0,
                "rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
        ),
        (
            "modernbert-turned",
            json!({"global_rope_theta": 50.0, "local_rope_theta": 7.0}),
        ),
    ];
    for (family, keys) in forms {
        let folder = folder(family);
        set_config(folder.path(), "rope_parameters", Value::Null);
        let plain = Backbone::load(folder.path(), None).unwrap();
        for (key, value) in keys.as_object().unwrap() {
            set_config(folder.path(), key, value.clone());
        }
        let before = Backbone::load(folder.path(), None).unwrap();
        let last = |backbone: &Backbone| bits_of_states(backbone, &ragged_inputs())[4].clone();
        assert_eq!(last(&before), last(&load(family)), "{family}");
        assert_ne!(last(&plain), last(&before), "{family}");
    }
}

#[test]
fn rotary_positions_that_are_not_implemented() {
    let cases = [
        (json!({"rope_type": "longrope", "factor": 4.0}), "`yarn`"),
        (
            json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1.0}),
            "a base above 1",
        ),
        (
            json!({"rope_type": "yarn", "factor": 4.0, "beta_fast": -1}),
            "`beta_fast` = `-1`",
        ),
        (json!({"rope_type": "linear"}), "a number above zero"),
        (
            json!({"rope_type": "linear", "factor": 0}),
            "`factor` = `0`",
        ),
        (json!({"rope_theta": -1.0}), "`rope_theta` = `-1`"),
        (
            json!({"rope_type": "default", "partial_rotary_factor": 1e18}),
            "an even number",
        ),
        (
            json!({"rope_type": "llama3", "factor": 4.0}),
            "low_freq_factor",
        ),
        (
            json!({"rope_type": "default", "partial_rotary_factor": 0.1}),
            "an even number",
        ),
    ];
    for (settings, says) in cases {
        let folder = folder("llama");
        set_config(folder.path(), "rope_parameters", settings);
        let message = message(Backbone::load(folder.path(), None));
        assert_says(&message, &["config.json", says]);
    }
}

/// Layers are listed since version 4.53 of transformers. Before, their number decided.
#[test]
fn windows_are_those_of_the_list_or_of_the_number() {
    let states = |family: &str, edits: &[(&str, Value)]| {
        let folder = folder(family);
        for (key, value) in edits {
            set_config(folder.path(), key, value.clone());
        }
        let backbone = Backbone::load(folder.path(), None).unwrap();
        bits_of_states(&backbone, &ragged_inputs())[4].clone()
    };
    for family in ["modernbert", "qwen2-late", "gemma2"] {
        let unlisted = states(family, &[("layer_types", Value::Null)]);
        assert_eq!(unlisted, states(family, &[]), "{family}");
    }
    let pattern = ("sliding_window_pattern", json!(2));
    let by_number = states("gemma3_text", &[("layer_types", Value::Null), pattern]);
    assert_eq!(by_number, states("gemma3_text", &[]));
    let all = json!(["full_attention", "full_attention"]);
    for family in ["modernbert", "qwen2-late", "gemma2", "gemma3_text"] {
        let without = states(family, &[("layer_types", all.clone())]);
        assert_ne!(without, states(family, &[]), "{family}");
    }
    // A token of these attends to what comes before it alone.
    for family in ["llama", "mistral", "gpt2", "gemma", "qwen3"] {
        let backbone = load(family);
        let of = |last: u32| {
            let inputs = Inputs::text(vec![4], vec![9, 8, 7, last], vec![0; 4]);
            bits_of_states(&backbone, &inputs)[4][..3 * 32].to_vec()
        };
        assert_eq!(of(10), of(11), "{family}");
    }
}

/// Each family has its usual pooling, which the folder or the caller may change.
#[test]
fn decoders_are_read_at_their_last_token() {
    for (family, usual) in [
        ("gpt2", Pooling::Last),
        ("gemma3_text", Pooling::Last),
        ("modernbert", Pooling::Mean),
    ] {
        let folder = folder(family);
        let pooling = |asked| {
            let backbone = Backbone::load(folder.path(), asked).unwrap();
            backbone.description().pooling
        };
        assert_eq!(pooling(None), usual);
        assert_eq!(pooling(Some(Pooling::Cls)), Pooling::Cls);
        let other = json!({"pooling_mode_mean_tokens": false, "pooling_mode_lasttoken": true});
        write_pooling(folder.path(), "1_Pooling", &other);
        assert_eq!(pooling(None), Pooling::Last);
    }
}

/// There are 12 rows of positions, the first two of which no text reads.
#[test]
fn roberta_reads_what_lies_behind_the_padding() {
    let texts = |tokens: usize| Inputs::text(vec![tokens], vec![9; tokens], vec![0; tokens]);
    for family in ["roberta", "xlm-roberta"] {
        let backbone = load(family);
        assert!(backbone.embed(&texts(10)).is_ok());
        let message = message(backbone.embed(&texts(11)));
        assert_says(&message, &[family, "1 to 10 tokens", "of 11"]);
    }
}

/// A tokenizer for BERT assigns type 1 to the second text of a pair, which is meaningless to a model without types.
#[test]
fn token_types_do_not_matter_without_a_table_of_them() {
    let embed = |backbone: &Backbone, second: u32| {
        let inputs = Inputs::text(vec![3], vec![9, 8, 7], vec![0, second, second]);
        backbone.embed(&inputs).unwrap()
    };
    for family in [
        "distilbert",
        "roberta",
        "xlm-roberta",
        "mpnet",
        "deberta-v2",
    ] {
        let backbone = load(family);
        assert_eq!(embed(&backbone, 1), embed(&backbone, 0));
    }
    for family in ["bert", "electra", "deberta-v2-own"] {
        let backbone = load(family);
        assert_ne!(embed(&backbone, 1), embed(&backbone, 0));
    }
}

#[test]
fn tokens_beside_the_patches_are_counted() {
    // There are 4 x 4 patches, 5 x 5 for DINOv2.
    let counted = [
        ("vit", 17),
        ("deit", 18),
        ("dinov2", 26),
        ("dinov2_with_registers", 29),
        ("dinov3_vit", 19),
        ("siglip_vision_model", 16),
    ];
    for (family, tokens) in counted {
        let description = load(family).description().clone();
        assert_eq!(description.input.fixed_tokens(), Some(tokens), "{family}");
    }
}

/// A folder with both towers has the configuration of each, in which keys with usual values may be missing.
#[test]
fn the_tower_is_read_out_of_both() {
    for (family, both) in [
        ("clip_vision_model", "clip"),
        ("siglip_vision_model", "siglip"),
    ] {
        the_tower_is_read(family, both);
    }
}

fn the_tower_is_read(family: &str, both: &str) {
    let folder = folder(family);
    let tower = Backbone::load(folder.path(), None).unwrap();
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let keys = config.as_object_mut().unwrap();
    for key in ["model_type", "hidden_act", "num_channels", "layer_norm_eps"] {
        keys.remove(key);
    }
    let both =
        json!({"model_type": both, "text_config": {"hidden_size": 8}, "vision_config": config});
    fs::write(&path, both.to_string()).unwrap();
    let found = Backbone::load(folder.path(), None).unwrap();
    assert_eq!(found.description(), tower.description());
}

#[test]
fn pictures_of_another_size_are_read_in_whole_patches() {
    let resized = vit().with_image_size(20).unwrap();
    assert_eq!(resized.description().input.fixed_tokens(), Some(26));
    assert_eq!(
        resized.description().weights_sha256,
        vit().description().weights_sha256
    );
    // Intermediate sizes leave no trace.
    let back = resized.with_image_size(16).unwrap();
    assert_eq!(back.description(), vit().description());
    let first = |backbone: &Backbone| bits_of_states(backbone, &pictures())[0].clone();
    assert_eq!(first(&back), first(&vit()));

    for image_size in [0, 2, 18, 32_768] {
        let message = message(vit().with_image_size(image_size));
        let found = format!("pictures of {image_size} pixels");
        assert_says(&message, &[&found, "patches of 4", "up to 16384"]);
    }
    let message = message(bert(&TinyBert::default()).with_image_size(16));
    assert_says(&message, &["`bert`", "reads text, not images"]);
}

/// Early checkpoints of BERT name the parameters of layer norms gamma and beta.
#[test]
fn the_old_names_of_layer_norms_are_read() {
    let folder = tempfile::tempdir().unwrap();
    tiny_bert(folder.path(), &TinyBert::default());
    edit_tensors(folder.path(), |tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| {
                let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
                (name.replace("LayerNorm.bias", "LayerNorm.beta"), tensor)
            })
            .collect();
    });
    let (old, new) = (
        Backbone::load(folder.path(), None).unwrap(),
        bert(&TinyBert::default()),
    );
    assert_eq!(old.description(), new.description());
    let last = |backbone: &Backbone| bits_of_states(backbone, &ragged_inputs())[4].clone();
    assert_eq!(last(&old), last(&new));
}
