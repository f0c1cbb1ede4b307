//! Backbones of every family, from inspecting to evaluating.

use std::fs;
use std::path::Path;

use crate::common::{EVALUATE, Lab, SEARCH_IMAGES, TRAIN};

/// Replaces the lab's backbone by the small model of a family, and keeps the tokenizer or preprocessing that is there.
fn with_family(lab: &Lab, family: &str) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fixtures = workspace.join("crates/backbone/tests/parity/fixtures");
    for name in ["config.json", "model.safetensors"] {
        let from = fixtures.join(family).join(name);
        fs::copy(from, lab.path("backbone").join(name)).unwrap();
    }
}

#[track_caller]
fn goes_all_the_way(lab: &Lab) {
    lab.run("probe --backbone backbone --task task --examples 30 --out map.json")
        .succeeded();
    lab.placement("placement.toml", &[(0, 4), (4, 0)], 2, 1.0);
    lab.run(&format!("{TRAIN} --out trained")).succeeded();
    lab.run(EVALUATE).succeeded();
    // It has no length, so that it suits both.
    lab.run(&format!("{SEARCH_IMAGES} --out study")).succeeded();
    let journal = fs::read_to_string(lab.path("study/journal.jsonl")).unwrap();
    assert!(journal.lines().count() >= 4);
}

#[test]
fn texts() {
    for (family, positions) in [
        ("distilbert", 12),
        ("roberta", 10),
        ("xlm-roberta", 10),
        ("electra", 12),
        ("mpnet", 12),
        ("deberta-v2", 16),
        ("modernbert", 64),
        ("gpt2", 12),
        ("llama", 64),
        ("mistral", 64),
        ("qwen2", 64),
        ("qwen3", 64),
        ("gemma", 64),
        ("gemma2", 64),
        ("gemma3_text", 64),
        ("starcoder2", 64),
    ] {
        let lab = Lab::text();
        with_family(&lab, family);
        // The lab's tokenizer is not the one that the class of every family builds.
        lab.write(
            "backbone/tokenizer_config.json",
            r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#,
        );
        let inspected = lab.run("inspect backbone").succeeded().stdout;
        assert!(inspected.starts_with(&format!("{family}: 2 blocks")));
        assert!(inspected.contains(&format!("up to {positions} tokens")));
        goes_all_the_way(&lab);
    }
}

/// The preprocessing of the lab makes 16 x 16 pixels, and the models of DINOv2 were made for 20 x 20.
#[test]
fn pictures() {
    for (family, tokens) in [
        ("vit", 17),
        ("deit", 18),
        ("dinov2", 17),
        ("dinov2_with_registers", 20),
        ("clip_vision_model", 17),
        ("siglip_vision_model", 16),
        ("dinov3_vit", 19),
    ] {
        let lab = Lab::images();
        with_family(&lab, family);
        let inspected = lab.run("inspect backbone").succeeded().stdout;
        assert!(inspected.contains("images of 16 x 16 pixels"));
        assert!(inspected.contains(&format!("for {tokens} tokens")));
        goes_all_the_way(&lab);
    }
}

/// A folder of timm has the settings of its pictures in `config.json`.
fn with_timm(lab: &Lab, name: &str) {
    with_family(lab, name);
    fs::remove_file(lab.path("backbone/preprocessor_config.json")).unwrap();
}

#[test]
fn models_of_timm() {
    for (name, size, tokens) in [
        ("vit", 16, 17),
        ("deit", 16, 18),
        ("dinov2-registers", 20, 30),
        ("deit3", 16, 17),
        ("dinov3-gated", 16, 21),
    ] {
        let lab = Lab::images();
        with_timm(&lab, &format!("timm-{name}"));
        // Only DINOv3 may be read at a size of its own.
        let config = fs::read_to_string(lab.path("backbone/config.json")).unwrap();
        lab.write("backbone/config.json", config.replace("256", "16"));
        let inspected = lab.run("inspect backbone").succeeded().stdout;
        assert!(inspected.contains(&format!("images of {size} x {size} pixels")));
        assert!(inspected.contains(&format!("for {tokens} tokens")));
        goes_all_the_way(&lab);
    }
}

#[test]
fn settings_of_timm_that_are_not_supported_are_named() {
    let lab = Lab::images();
    with_timm(&lab, "timm-vit");
    let original = fs::read_to_string(lab.path("backbone/config.json")).unwrap();
    for (from, to, parts) in [
        (
            "vit_tiny_patch16_224",
            "vit_tiny_patch16_rope_224",
            [
                "`architecture` = `vit_tiny_patch16_rope_224`",
                "`vit_SIZE_patchN_..`",
            ],
        ),
        (
            "\"global_pool\": \"token\"",
            "\"global_pool\": \"avg\"",
            ["`global_pool` = `avg`", "class token"],
        ),
        (
            "\"depth\": 2",
            "\"depth\": 2, \"qk_norm\": true",
            ["`model_args` = `qk_norm: true`", "not supported"],
        ),
        (
            "\"num_heads\": 4",
            "\"num_heads\": 5",
            ["`num_heads` = `5`", "it must divide the width `32`"],
        ),
        (
            "\n      16,\n      16\n    ],\n    \"fixed_input_size\"",
            "18, 18],\n    \"fixed_input_size\"",
            ["`backbone/config.json`", "18 x 18"],
        ),
        (
            "\"interpolation\": \"bicubic\"",
            "\"interpolation\": \"random\"",
            ["`interpolation` must be one of nearest", "\"random\""],
        ),
    ] {
        assert!(original.contains(from), "{from}");
        lab.write("backbone/config.json", original.replace(from, to));
        lab.refuses("inspect backbone", &parts);
    }
}

#[test]
fn pictures_that_patches_do_not_fill_are_refused() {
    let lab = Lab::images();
    lab.write("backbone/preprocessor_config.json", r#"{"size": 18}"#);
    let parts = [
        "`backbone/preprocessor_config.json`",
        "18 x 18",
        "patches of 4",
    ];
    lab.refuses("inspect backbone", &parts);
    lab.refuses(
        "probe --backbone backbone --task task --out map.json",
        &parts,
    );
}
