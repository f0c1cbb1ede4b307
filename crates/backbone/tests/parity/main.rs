//! Every family compared with transformers, on small random models that `make.py` created.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use adaplace_arithmetic::{Arithmetic, Cpu, OnDevice, Precision};
use adaplace_backbone::{
    Backbone, FeatureRows, Inputs, InstructionSet, Pooling, SavedPooling, SavedSublayer,
    SublayerScratch,
};
use adaplace_reference::{Transformer, embedded, mask, real_rows};
use candle_core::{DType, Device, IndexOp, Tensor};
use sha2::{Digest, Sha256};

const WIDTH: usize = 32;

/// The upper bound of |found - expected| / |expected|.
const BOUND: f64 = 1e-5;

fn folder(family: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("parity/fixtures").join(family)
}

/// The results of transformers for one input.
struct Case {
    tensors: HashMap<String, Tensor>,
    name: &'static str,
}

impl Case {
    fn read(family: &str, name: &'static str) -> Self {
        let path = folder(family).join("expected.safetensors");
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        Self { tensors, name }
    }

    fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[&format!("{}/{name}", self.name)]
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&format!("{}/{name}", self.name))
    }

    fn inputs(&self) -> Inputs {
        if self.name != "text" {
            let pixels = self.tensor("pixels");
            let values = pixels.flatten_all().unwrap().to_vec1().unwrap();
            return Inputs::images(pixels.dims().try_into().unwrap(), values);
        }
        let real = |name| -> Vec<u32> {
            let tensor = self.tensor(name).to_dtype(DType::U32).unwrap();
            let rows: Vec<Vec<u32>> = tensor.to_vec2().unwrap();
            let real = rows.iter().zip(self.lengths());
            real.flat_map(|(row, length)| &row[..length])
                .copied()
                .collect()
        };
        Inputs::text(self.lengths(), real("ids"), real("type_ids"))
    }

    /// The number of real tokens of each text, which come first.
    fn lengths(&self) -> Vec<usize> {
        let mask = self.tensor("mask").to_dtype(DType::U32).unwrap();
        let rows: Vec<Vec<u32>> = mask.to_vec2().unwrap();
        rows.iter()
            .map(|row| row.iter().sum::<u32>() as usize)
            .collect()
    }
}

#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor, what: &str) {
    let square = |tensor: &Tensor| {
        let wide = tensor.to_dtype(DType::F64).unwrap();
        let sum = wide.sqr().unwrap().sum_all().unwrap();
        sum.to_scalar::<f64>().unwrap()
    };
    let error = (square(&(found - expected).unwrap()) / square(expected)).sqrt();
    println!("{what}: {error:.1e}");
    assert!(error < BOUND, "{what}: {error:e}");
}

/// The family's backbone, for pictures of the case's size.
fn backbone(family: &str, case: &Case) -> Backbone {
    let backbone = Backbone::load(&folder(family), None).unwrap();
    match case.name.parse() {
        Ok(image_size) => backbone.with_image_size(image_size).unwrap(),
        Err(_) => backbone,
    }
}

/// The pooled last state: its mean over the real tokens, or its first token.
fn expected_features(case: &Case, offsets: &[usize], pooling: Pooling) -> Tensor {
    let last = case.tensor("last");
    let rows: Vec<Tensor> = offsets
        .windows(2)
        .enumerate()
        .map(|(row, ends)| match pooling {
            Pooling::Cls => last.i((row, 0)).unwrap(),
            Pooling::Last => last.i((row, ends[1] - ends[0] - 1)).unwrap(),
            Pooling::Mean => last.i((row, ..ends[1] - ends[0])).unwrap().mean(0).unwrap(),
        })
        .collect();
    Tensor::stack(&rows, 0).unwrap()
}

/// Compares the states and features of the definition.
fn check_definition(family: &str, case: &Case) {
    let (backbone, inputs) = (backbone(family, case), case.inputs());
    let (offsets, mask) = (backbone.offsets(&inputs), mask(&inputs));
    let definition = Transformer::read(&folder(family));
    let mut state = embedded(&backbone, &inputs);
    let check = |state: &Tensor, n: usize| {
        let expected = case.tensor(&format!("state.{n}"));
        let what = format!("{family} at {}, h_{n}", case.name);
        assert_close(
            &real_rows(state, &offsets),
            &real_rows(expected, &offsets),
            &what,
        );
    };
    check(&state, 0);
    for n in 0..definition.sublayers() {
        state = definition.sublayer(n, &state, mask.as_ref()).unwrap();
        // transformers returns the states between blocks.
        if n % 2 == 1 {
            check(&state, n + 1);
        }
    }
    let pooling = backbone.description().pooling;
    let features = definition.pool(&state, mask.as_ref(), pooling).unwrap();
    let expected = expected_features(case, &offsets, pooling);
    let what = format!("{family} at {}, features", case.name);
    assert_close(&features, &expected, &what);
}

/// Compares the states and features of the prepared chain, and the gradients if the case has them, with every instruction
/// set of this machine and as tensors.
fn check_chain(family: &str, case: &Case) {
    for instruction_set in InstructionSet::available() {
        let processor = Cpu {
            instruction_set,
            precision: Precision::F32,
        };
        check_computed(family, case, processor);
    }
    let device = std::env::var("ADAPLACE_DEVICE").unwrap_or_else(|_| "candle".to_owned());
    let device = OnDevice::open(device.parse().unwrap()).unwrap();
    check_computed(family, case, device);
}

fn check_computed<A: Arithmetic>(family: &str, case: &Case, arithmetic: A) {
    let inputs = case.inputs();
    let backbone = backbone(family, case).on(arithmetic.clone());
    let what = format!("{family} at {}, {arithmetic:?}", case.name);
    let offsets = backbone.offsets(&inputs);
    let rows = arithmetic.rows(offsets.clone()).unwrap();
    let close = |found: &A::Buffer, expected: &Tensor, what: &str| {
        let values = arithmetic.read(found).unwrap();
        let shape = (values.len() / WIDTH, WIDTH);
        let found = Tensor::from_slice(&values, shape, &Device::Cpu).unwrap();
        assert_close(&found, expected, what);
    };
    let buffer = |values: &[f32]| {
        let (mut buffer, shape) = (A::Buffer::default(), (values.len() / WIDTH, WIDTH));
        let fill = |to: &mut [f32]| to.copy_from_slice(values);
        arithmetic.write(shape, fill, &mut buffer).unwrap();
        buffer
    };
    let mut state = buffer(&backbone.embed(&inputs).unwrap());
    let chain = backbone.chain().unwrap();
    let scratch = &mut SublayerScratch::default();
    let mut all_saved = Vec::new();
    let at = |name: &str, n: usize| real_rows(case.tensor(&format!("{name}.{n}")), &offsets);
    close(&state, &at("state", 0), &format!("{what}, h_0"));
    for (n, sublayer) in chain.sublayers().iter().enumerate() {
        let (mut next, mut saved) = (A::Buffer::default(), SavedSublayer::default());
        let result = sublayer.forward(&state, &rows, &mut next, Some(&mut saved), scratch);
        result.unwrap();
        all_saved.push(saved);
        state = next;
        // transformers returns the states between blocks.
        if n % 2 == 1 {
            close(&state, &at("state", n + 1), &format!("{what}, h_{}", n + 1));
        }
    }
    let (mut features, mut saved) = (A::Buffer::default(), SavedPooling::default());
    let pooler = chain.pooler();
    let result = pooler.forward(
        &state,
        FeatureRows::Pooled(&rows),
        &mut features,
        &mut saved,
    );
    result.unwrap();
    let expected = expected_features(case, &offsets, backbone.description().pooling);
    close(&features, &expected, &format!("{what}, features"));
    if !case.has("weights") {
        return;
    }
    let weights: Vec<f32> = case
        .tensor("weights")
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let (mut towards_features, mut gradient) = (buffer(&weights), A::Buffer::default());
    let result = pooler.backward(
        &mut towards_features,
        FeatureRows::Pooled(&rows),
        &mut gradient,
        &saved,
    );
    result.unwrap();
    for (n, sublayer) in chain.sublayers().iter().enumerate().rev() {
        if n % 2 == 1 {
            let what = format!("{what}, dL/dh_{}", n + 1);
            close(&gradient, &at("gradient", n + 1), &what);
        }
        let mut before = A::Buffer::default();
        let saved = &all_saved[n];
        let result = sublayer.backward(saved, &rows, &mut gradient, &mut before, false, scratch);
        result.unwrap();
        gradient = before;
    }
    close(&gradient, &at("gradient", 0), &format!("{what}, dL/dh_0"));
}

#[track_caller]
fn check(family: &str, cases: &[&'static str]) {
    for name in cases {
        let case = Case::read(family, name);
        check_definition(family, &case);
        check_chain(family, &case);
    }
}

/// Families that the definition does not have: their gradients are compared with those of transformers.
#[track_caller]
fn check_variants(variants: &[&str]) {
    for variant in variants {
        check_pictures(variant, &["text"]);
    }
}

/// The same for a variant that reads pictures, in these sizes.
#[track_caller]
fn check_pictures(variant: &str, cases: &[&'static str]) {
    for name in cases {
        let case = Case::read(variant, name);
        assert!(case.has("weights"));
        check_chain(variant, &case);
    }
}

#[test]
fn bert() {
    check("bert", &["text"]);
    check_variants(&["bert-few"]);
}

#[test]
fn distilbert() {
    check("distilbert", &["text"]);
    check_variants(&["distilbert-few", "distilbert-many"]);
}

#[test]
fn roberta() {
    check("roberta", &["text"]);
    check_variants(&["roberta-few", "roberta-many"]);
}

#[test]
fn xlm_roberta() {
    check("xlm-roberta", &["text"]);
    check_variants(&["xlm-roberta-few", "xlm-roberta-many"]);
}

/// Covers the size of the checkpoint and interpolated positions, like the other image models.
#[test]
fn vit() {
    check("vit", &["16", "20"]);
    check_pictures("vit-coarse", &["24", "16"]);
}

#[test]
fn deit() {
    check("deit", &["16", "12"]);
    check_pictures("deit-coarse", &["24"]);
    check_pictures("deit-fine", &["8", "6"]);
}

#[test]
fn dinov2() {
    check("dinov2", &["20", "12"]);
    check_pictures("dinov2-coarse", &["24", "16"]);
    check_pictures("dinov2-fine", &["8", "6"]);
}

/// Its tables are narrower than its states.
#[test]
fn electra() {
    check("electra", &["text"]);
    check_variants(&["electra-few", "electra-many"]);
}

/// Its positions are interpolated in another way, towards smaller and larger pictures.
#[test]
fn dinov2_with_registers() {
    check("dinov2_with_registers", &["20", "12", "28"]);
    check_pictures("dinov2_with_registers-coarse", &["24", "16"]);
    check_pictures("dinov2_with_registers-fine", &["8", "6"]);
}

/// Its embedding ends with a norm, and its activation is the quick gelu.
#[test]
fn clip() {
    check("clip_vision_model", &["16", "20"]);
    check_pictures("clip_vision_model-coarse", &["24", "16"]);
    check_pictures("clip_vision_model-fine", &["8", "6"]);
}

#[test]
fn other_activations() {
    check("bert-gelu-new", &["text"]);
    check("vit-quick-gelu", &["16"]);
}

/// Its attention has rotary positions, and in most blocks a window.
#[test]
fn modernbert() {
    check_variants(&["modernbert", "modernbert-biased", "modernbert-turned"]);
}

/// The positions of its patches are rotary, computed for each size of the pictures.
#[test]
fn dinov3() {
    check_pictures("dinov3_vit", &["16", "20", "12"]);
    check_pictures("dinov3_vit-plain", &["16", "24"]);
    check_pictures("dinov3_vit-gated", &["16"]);
}

/// It has no class token.
#[test]
fn siglip() {
    check_pictures("siglip_vision_model", &["16", "20"]);
    check_pictures("siglip_vision_model-headless", &["16"]);
    check_pictures("siglip_vision_model-wide", &["24", "16"]);
}

/// `make_timm.py` created these, with positions that timm resized.
#[test]
fn timm() {
    check_pictures("timm-vit", &["16", "20"]);
    check_pictures("timm-deit", &["16", "12"]);
    check_pictures("timm-dinov2", &["20", "12"]);
    check_pictures("timm-dinov2-registers", &["20", "28"]);
    check_pictures("timm-deit3", &["16", "20"]);
    check_pictures("timm-dinov3", &["16", "20"]);
    check_pictures("timm-dinov3-biased", &["16", "12"]);
    check_pictures("timm-dinov3-gated", &["16", "24"]);
    let description = |family| {
        let backbone = Backbone::load(&folder(family), None).unwrap();
        backbone.description().model_type
    };
    assert_eq!(description("timm-deit"), "deit");
    assert_eq!(
        description("timm-dinov2-registers"),
        "dinov2_with_registers"
    );
}

/// Scores depend on the distance between tokens.
#[test]
fn mpnet() {
    check_variants(&["mpnet", "mpnet-few", "mpnet-coarse"]);
}

#[test]
fn deberta() {
    check_variants(&["deberta-v2", "deberta-v2-own", "deberta-v2-one"]);
}

#[test]
fn llama() {
    check_variants(&["llama", "llama-biased", "llama-single", "llama-yarn"]);
}

#[test]
fn mistral() {
    check_variants(&["mistral", "mistral-wide", "mistral-yarn"]);
}

#[test]
fn qwen() {
    check_variants(&["qwen2", "qwen2-late", "qwen2-dynamic"]);
    check_variants(&["qwen3", "qwen3-biased", "qwen3-yarn"]);
}

#[test]
fn gemma() {
    check_variants(&["gemma", "gemma-wide", "gemma-biased"]);
    check_variants(&["gemma2", "gemma2-free", "gemma2-windows"]);
    let third = ["gemma3_text", "gemma3_text-both-ways", "gemma3_text-yarn"];
    check_variants(&third);
}

#[test]
fn starcoder2() {
    check_variants(&["starcoder2", "starcoder2-window", "starcoder2-yarn"]);
}

#[test]
fn gpt2() {
    check_variants(&["gpt2", "gpt2-inverse", "gpt2-unscaled"]);
}

/// Folding LayerScale, interpolating positions and adding up constant rows do not change the hash, which is that of the
/// stored weights.
#[test]
fn hashes_are_those_of_the_stored_weights() {
    for (family, ignored) in [
        ("dinov2", &["embeddings.mask_token"][..]),
        ("xlm-roberta", &["pooler.dense.weight", "pooler.dense.bias"]),
    ] {
        let path = folder(family).join("model.safetensors");
        let stored: BTreeMap<_, _> = candle_core::safetensors::load(path, &Device::Cpu)
            .unwrap()
            .into_iter()
            .filter(|(name, _)| !ignored.contains(&name.as_str()))
            .collect();
        let mut all = Sha256::new();
        for (name, tensor) in stored {
            let shape: Vec<String> = tensor.dims().iter().map(usize::to_string).collect();
            let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
            let values: Vec<f32> = values.to_vec1().unwrap();
            let mut bytes = format!("{name}\0{}\0", shape.join("x")).into_bytes();
            bytes.extend(values.into_iter().flat_map(f32::to_le_bytes));
            all.update(Sha256::digest(bytes));
        }
        let mut backbone = Backbone::load(&folder(family), None).unwrap();
        if family == "dinov2" {
            backbone = backbone.with_image_size(12).unwrap();
        }
        let description = backbone.description();
        assert_eq!(description.weights_sha256, format!("{:x}", all.finalize()));
    }
}
