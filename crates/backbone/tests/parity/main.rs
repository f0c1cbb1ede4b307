//! Every family compared with transformers, on small random models that `make.py` created.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use adaplace_backbone::{Backbone, Inputs, InstructionSet, Pooling, SavedPooling, SublayerScratch};
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

/// Compares the states and features of the prepared chain, with every instruction set of this machine.
fn check_chain(family: &str, case: &Case) {
    let inputs = case.inputs();
    let tensor = |values: &[f32]| {
        let shape = (values.len() / WIDTH, WIDTH);
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    };
    for set in InstructionSet::available() {
        let backbone = backbone(family, case).with_instruction_set(set);
        let what = format!("{family} at {}, {set:?}", case.name);
        let mut state = backbone.embed(&inputs).unwrap();
        let (offsets, chain) = (backbone.offsets(&inputs), backbone.chain().unwrap());
        for (n, sublayer) in chain.sublayers().iter().enumerate() {
            let mut next = Vec::new();
            let scratch = &mut SublayerScratch::default();
            let result = sublayer.forward(&state, &offsets, &mut next, None, scratch);
            result.unwrap();
            state = next;
            if n % 2 == 1 {
                let expected = real_rows(case.tensor(&format!("state.{}", n + 1)), &offsets);
                assert_close(&tensor(&state), &expected, &format!("{what}, h_{}", n + 1));
            }
        }
        let (mut features, saved) = (Vec::new(), &mut SavedPooling::default());
        let pooler = chain.pooler();
        let result = pooler.forward(&state, &offsets, &mut features, saved);
        result.unwrap();
        let expected = expected_features(case, &offsets, backbone.description().pooling);
        assert_close(&tensor(&features), &expected, &format!("{what}, features"));
    }
}

#[track_caller]
fn check(family: &str, cases: &[&'static str]) {
    for name in cases {
        let case = Case::read(family, name);
        check_definition(family, &case);
        check_chain(family, &case);
    }
}

#[test]
fn bert() {
    check("bert", &["text"]);
}

#[test]
fn distilbert() {
    check("distilbert", &["text"]);
}

#[test]
fn roberta() {
    check("roberta", &["text"]);
}

#[test]
fn xlm_roberta() {
    check("xlm-roberta", &["text"]);
}

/// Covers the size of the checkpoint and interpolated positions, like the other image models.
#[test]
fn vit() {
    check("vit", &["16", "20"]);
}

#[test]
fn deit() {
    check("deit", &["16", "12"]);
}

#[test]
fn dinov2() {
    check("dinov2", &["20", "12"]);
}

/// Its tables are narrower than its states.
#[test]
fn electra() {
    check("electra", &["text"]);
}

/// Its positions are interpolated in another way, towards smaller and larger pictures.
#[test]
fn dinov2_with_registers() {
    check("dinov2_with_registers", &["20", "12", "28"]);
}

/// Its embedding ends with a norm, and its activation is the quick gelu.
#[test]
fn clip() {
    check("clip_vision_model", &["16", "20"]);
}

#[test]
fn other_activations() {
    check("bert-gelu-new", &["text"]);
    check("vit-quick-gelu", &["16"]);
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
