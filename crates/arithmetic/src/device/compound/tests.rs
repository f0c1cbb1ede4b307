//! The kernels compute what the composition computes.

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use candle_core::{DType, Device, Tensor};

use super::kernels::{Argument, Grid, Kernels, Launcher, SOURCE};
use super::{AdamWStep, Composition, Compound, Kept, NormKind, Normalized};
#[cfg(feature = "cuda")]
use crate::Precision;
use crate::device::optimiser::{Models, Moments};
#[cfg(feature = "cuda")]
use crate::device::products::{InSinglePrecision, Operand, Products, Transposed};
use crate::device::rows::{ExampleRows, indices};
use crate::{Activation, ArithmeticError, OptimiserPlan, Result};

/// Runs the kernels on the processor, a thread for each of a card's.
#[derive(Debug)]
struct OnHost {
    program: PathBuf,
}

impl OnHost {
    /// Compiles the kernels with the C++ compiler of this machine.
    fn compiled(folder: &Path) -> Self {
        let (kernels, main) = (folder.join("kernels.cu"), folder.join("on_host.cpp"));
        std::fs::write(&kernels, SOURCE).unwrap();
        std::fs::write(&main, include_str!("on_host.cpp")).unwrap();
        let program = folder.join("kernels");
        let compiled = Command::new("c++")
            .args(["-std=c++20", "-O1", "-pthread"])
            .arg(format!("-DKERNELS={:?}", kernels.display().to_string()))
            .arg(&main)
            .arg("-o")
            .arg(&program)
            .status()
            .expect("there is a C++ compiler");
        assert!(compiled.success());
        Self { program }
    }
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    assert!(tensor.is_contiguous());
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::BF16 => {
            let bits = flat.to_vec1::<half::bf16>().unwrap().into_iter();
            let mut bits: Vec<u16> = bits.map(half::bf16::to_bits).collect();
            // A kernel reads and writes whole words here.
            bits.resize(bits.len().next_multiple_of(2), 0);
            bits.into_iter().flat_map(u16::to_le_bytes).collect()
        }
        DType::U32 => flat
            .to_vec1::<u32>()
            .unwrap()
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect(),
        _ => flat
            .to_vec1::<f32>()
            .unwrap()
            .into_iter()
            .flat_map(f32::to_le_bytes)
            .collect(),
    }
}

/// The number of words of 4 bytes that have a place for all values.
fn words(tensor: &Tensor) -> usize {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()).div_ceil(4)
}

impl Launcher for OnHost {
    fn empty_of(&self, shape: &[usize], of: DType) -> Result<Tensor> {
        Ok(Tensor::full(f32::NAN, shape, &Device::Cpu)?.to_dtype(of)?)
    }

    fn indices(&self, of: Vec<u32>) -> Result<Tensor> {
        indices(of.into_iter(), &Device::Cpu)
    }

    fn launch(&self, kernel: &'static str, grid: &Grid, arguments: &[Argument<'_>]) -> Result<()> {
        let mut passed = Vec::new();
        let mut word = |value: u32| passed.extend(value.to_le_bytes());
        let mut written = Vec::new();
        for argument in arguments {
            match argument {
                Argument::Read(tensor) => {
                    word(u32::from(b'r'));
                    word(words(tensor) as u32);
                    for value in bytes_of(tensor).chunks_exact(4) {
                        word(u32::from_le_bytes(value.try_into().unwrap()));
                    }
                }
                Argument::Write(tensor) => {
                    word(u32::from(b'w'));
                    word(words(tensor) as u32);
                    written.push(tensor);
                }
                Argument::Null => word(u32::from(b'n')),
                Argument::Count(count) => {
                    word(u32::from(b'c'));
                    word(*count);
                }
                Argument::Number(number) => {
                    word(u32::from(b'f'));
                    word(number.to_bits());
                }
            }
        }
        let numbers =
            [grid.blocks, grid.threads.0, grid.threads.1].map(|number| number.to_string());
        let mut running = Command::new(&self.program)
            .arg(kernel)
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        running.stdin.take().unwrap().write_all(&passed).unwrap();
        let output = running.wait_with_output().unwrap();
        if !output.status.success() {
            return Err(ArithmeticError(format!("{kernel} failed")));
        }
        let mut values = &output.stdout[..];
        for tensor in written {
            let (own, rest) = values.split_at(4 * words(tensor));
            values = rest;
            let size = tensor.dtype().size_in_bytes();
            let (shape, own) = (tensor.dims(), &own[..size * tensor.elem_count()]);
            let own = Tensor::from_raw_buffer(own, tensor.dtype(), shape, &Device::Cpu)?;
            tensor.slice_set(&own, 0, 0)?;
        }
        assert!(values.is_empty());
        Ok(())
    }
}

fn waves(shape: &[usize], step: f64, device: &Device) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|place| (2.5 * (place as f64 * step + step).sin()) as f32)
        .collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

/// The largest distance between two tensors of the same shape, as a share of the largest value.
#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims());
    assert_eq!(found.dtype(), expected.dtype());
    let values = |tensor: &Tensor| -> Vec<f32> {
        let all = tensor.to_dtype(DType::F32).unwrap().contiguous().unwrap();
        all.flatten_all().unwrap().to_vec1().unwrap()
    };
    let (found, expected) = (values(found), values(expected));
    let scale = expected
        .iter()
        .fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = f64::from((found - expected).abs() / scale);
        assert!(
            error <= bound,
            "place {place}: {found} in place of {expected}"
        );
    }
}

/// Compares every operation, in shapes that do not fill warps and blocks.
fn check(kernels: &dyn Compound, device: &Device) {
    layers(kernels, device);
    blocks(kernels, device);
    attention(kernels, device);
    optimiser(kernels, device);
}

fn layers(kernels: &dyn Compound, device: &Device) {
    for (rows, width) in [(1, 1), (1, 3), (3, 45), (9, 32), (21, 70)] {
        let x = waves(&[rows, width], 0.37, device);
        let (weight, bias) = (waves(&[width], 0.11, device), waves(&[width], 0.71, device));
        norms(kernels, &x, [&weight, &bias]);
        let to = waves(&[rows, width], 0.05, device);
        for to in [None, Some(&to)] {
            let sum = |compound: &dyn Compound| compound.add_bias(&x, &bias, to).unwrap();
            assert_close(&sum(kernels), &sum(&Composition), 1e-6);
        }
        activated(kernels, &x, &bias);
        // Each block of rows has a bias of its own.
        let x = waves(&[3, rows, width], 0.37, device);
        let bias = waves(&[3, 1, width], 0.71, device);
        activated(kernels, &x, &bias);
        let sum = |compound: &dyn Compound| compound.add_bias(&x, &bias, None).unwrap();
        assert_close(&sum(kernels), &sum(&Composition), 1e-6);
    }
}

fn norms(kernels: &dyn Compound, x: &Tensor, weights: [&Tensor; 2]) {
    let close = |found: &Normalized, expected: &Normalized| {
        let deviations = |of: &Normalized| of.inverse_deviation.clone();
        assert_close(&deviations(found), &deviations(expected), 1e-5);
        // With up to two values in a row the gradient is zero, and what rounding leaves has no scale to compare it with.
        if x.dims()[1] <= 2 {
            return;
        }
        let gradient = waves(x.dims(), 0.9, x.device());
        let to = waves(x.dims(), 0.2, x.device());
        for (weight, to) in [
            (None, None),
            (Some(weights[0]), None),
            (Some(weights[0]), Some(&to)),
        ] {
            let [found, expected] = [(kernels, found), (&Composition as &dyn Compound, expected)]
                .map(|(compound, saved)| compound.norm_backward(&gradient, weight, saved, to));
            assert_close(&found.unwrap(), &expected.unwrap(), 1e-5);
        }
    };
    let layer_norm = NormKind::layer_norm(1e-5);
    let normalized = |compound: &dyn Compound| compound.normalize(x, layer_norm).unwrap();
    let (found, expected) = (normalized(kernels), normalized(&Composition));
    assert_close(&found.rows, &expected.rows, 1e-5);
    close(&found, &expected);
    let root_mean_square = NormKind {
        centred: false,
        ..layer_norm
    };
    let kinds = [layer_norm, root_mean_square].into_iter();
    let all = [Kept::Nothing, Kept::Rows, Kept::Input];
    for (kind, kept) in kinds.flat_map(|kind| all.map(|kept| (kind, kept))) {
        for (of, bound) in [(DType::F32, 1e-5), (DType::BF16, ONE_STEP)] {
            let normed = |compound: &dyn Compound| {
                compound.norm_forward(x, weights, kind, kept, of).unwrap()
            };
            let ((result, found), (expected_result, expected)) =
                (normed(kernels), normed(&Composition));
            assert_close(&result, &expected_result, bound);
            assert_eq!(found.is_some(), kept != Kept::Nothing);
            if let (Some(found), Some(expected)) = (found, expected) {
                // The composition computes from the input of a layer norm as well.
                close(&found, &found);
                close(&found, &expected);
            }
        }
    }
}

/// In bf16, neighbouring numbers are 2^-8 of their value apart or less. Where the values before rounding differ by less than
/// that, the rounded ones are neighbours at most.
const ONE_STEP: f64 = 1.0 / 256.0;

fn activated(kernels: &dyn Compound, x: &Tensor, bias: &Tensor) {
    let both = |compound: &dyn Compound| compound.gelu_and_slope(x, bias).unwrap();
    for (found, expected) in both(kernels).iter().zip(both(&Composition)) {
        assert_close(found, &expected, 1e-6);
    }
    for activation in [
        Activation::Gelu,
        Activation::GeluByTanh,
        Activation::QuickGelu,
        Activation::Silu,
    ] {
        activated_by(kernels, activation, x, bias);
    }
}

fn activated_by(kernels: &dyn Compound, activation: Activation, x: &Tensor, bias: &Tensor) {
    let gradient = waves(x.dims(), 0.9, x.device());
    for (of, bound) in [(DType::F32, 1e-6), (DType::BF16, ONE_STEP)] {
        let value = |compound: &dyn Compound| compound.activate(activation, x, bias, of).unwrap();
        assert_close(&value(kernels), &value(&Composition), bound);
        let backward = |compound: &dyn Compound| {
            compound.activation_backward(activation, &gradient, x, bias, of)
        };
        assert_close(
            &backward(kernels).unwrap(),
            &backward(&Composition).unwrap(),
            bound,
        );
    }
}

/// Blocks of several models, in any order, and those of other shapes.
fn blocks(kernels: &dyn Compound, device: &Device) {
    let to = waves(&[12, 5], 0.37, device);
    let all: [&[(usize, usize)]; 4] = [
        &[(0, 12)],
        &[(8, 12), (0, 4)],
        &[(3, 6), (6, 9), (0, 3), (9, 12)],
        &[(0, 4), (5, 7)],
    ];
    for blocks in all {
        let blocks: Vec<_> = blocks.iter().map(|&(begin, end)| begin..end).collect();
        let rows = blocks.iter().map(Range::len).sum();
        let from = waves(&[rows, 5], 0.11, device);
        let sum = |compound: &dyn Compound| compound.add_blocks(&to, &from, &blocks).unwrap();
        assert_close(&sum(kernels), &sum(&Composition), 0.0);
    }
}

/// Examples of the same length and of different ones, one of them longer than a warp.
fn attention(kernels: &dyn Compound, device: &Device) {
    for (offsets, head_width) in [(vec![0, 5, 10], 7), (vec![0, 3, 40, 41], 8)] {
        let all = *offsets.last().unwrap();
        let rows = ExampleRows::new(offsets, device);
        let (examples, tokens) = rows.table();
        let heads = 3;
        let from = waves(&[all, 45], 0.37, device);
        let sums = |compound: &dyn Compound| compound.sums(&from, &rows).unwrap();
        assert_close(&sums(kernels), &sums(&Composition), 1e-6);
        for parts in [1, 3] {
            let from = waves(&[all, parts * heads * head_width], 0.37, device);
            let bias = waves(&[parts * heads * head_width], 0.11, device);
            let split = |compound: &dyn Compound, bias: Option<&Tensor>| {
                let split = compound.split_heads(&from, bias, parts, heads, &rows);
                split.unwrap()
            };
            let biased = split(kernels, Some(&bias));
            assert_close(&biased, &split(&Composition, Some(&bias)), 0.0);
            let (found, expected) = (split(kernels, None), split(&Composition, None));
            assert_close(&found, &expected, 0.0);
            let each: Vec<Tensor> = (0..parts).map(|part| found.get(part).unwrap()).collect();
            for of in [DType::F32, DType::BF16] {
                let expected = from.to_dtype(of).unwrap();
                let merged = |compound: &dyn Compound| compound.merge_heads(&each, &rows, of);
                assert_close(&merged(kernels).unwrap(), &expected, 0.0);
                assert_close(&merged(&Composition).unwrap(), &expected, 0.0);
            }
        }
        let scores = waves(&[examples, heads, tokens, tokens], 0.13, device);
        let weights =
            |compound: &dyn Compound| compound.softmax_forward(&scores, 0.4, &rows).unwrap();
        let (found, expected) = (weights(kernels), weights(&Composition));
        assert_close(&found, &expected, 1e-6);
        let gradient = waves(&[examples, heads, tokens, tokens], 0.7, device);
        let backward = |compound: &dyn Compound| {
            compound
                .softmax_backward(&gradient, &expected, 0.4)
                .unwrap()
        };
        assert_close(&backward(kernels), &backward(&Composition), 1e-5);
    }
}

/// Three models with different numbers of values, and a single one, over two steps. The norm of one model is below the
/// bound, and those of the others are above it.
fn optimiser(kernels: &dyn Compound, device: &Device) {
    let three = vec![vec![0..300, 320..321], vec![300..320], vec![321..2000]];
    for models in [three, vec![vec![0..2000]]] {
        let plan = OptimiserPlan {
            rates: vec![(0.01, 700), (0.003, 1300)],
            models,
            weight_decay: 0.1,
            clip: 20.0,
        };
        let models = Models::new(&plan, 2000, device).unwrap();
        let rates = Tensor::full(0.01_f32, (1, 2000), device).unwrap();
        let stepped = |compound: &dyn Compound| {
            let zeros = || Tensor::zeros((1, 2000), DType::F32, device).unwrap();
            let mut moments = Moments {
                means: zeros(),
                squares: zeros(),
            };
            let mut values = waves(&[1, 2000], 0.37, device);
            let mut all_norms = Vec::new();
            for number in [1, 2] {
                let gradients = waves(&[1, 2000], 0.3 * f64::from(number), device);
                let norms = compound.norms_of_models(&gradients, &models).unwrap();
                let step = AdamWStep {
                    number,
                    factor: 0.7,
                    rates: &rates,
                    weight_decay: plan.weight_decay,
                    clip: plan.clip,
                    models: &models,
                    norms: &norms,
                };
                values = compound
                    .adamw(&step, &values, &gradients, &mut moments)
                    .unwrap();
                all_norms.push(norms);
            }
            all_norms.extend([values, moments.means, moments.squares]);
            all_norms
        };
        for (found, expected) in stepped(kernels).iter().zip(stepped(&Composition)) {
            assert_close(found, &expected, 1e-6);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn kernels_compute_what_the_composition_computes() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels(OnHost::compiled(folder.path()));
    check(&kernels, &Device::Cpu);
    rounding(&kernels, &Device::Cpu);
}

/// Every number is rounded as the processor rounds it.
fn rounding<L: Launcher>(kernels: &Kernels<L>, device: &Device) {
    let half_way = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -1.0 - 3.0 / 256.0];
    let special = [
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-40,
    ];
    let mut numbers = [half_way.as_slice(), &special].concat();
    numbers.extend((0..500).map(|place| f32::from_bits(place * 4_294_967)));
    // All bits of a number that is none may be set.
    numbers.extend([
        f32::NAN,
        f32::from_bits(0x7fff_ffff),
        f32::from_bits(u32::MAX),
    ]);
    let numbers = Tensor::new(numbers, device).unwrap();
    let values = |rounded: Tensor| -> Vec<half::bf16> { rounded.to_vec1().unwrap() };
    let found = values(kernels.rounded(&numbers).unwrap());
    let numbers: Vec<f32> = numbers.to_vec1().unwrap();
    for (number, found) in numbers.into_iter().zip(found) {
        let expected = half::bf16::from_f32(number);
        let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
        assert!(
            same,
            "{number:e} becomes {found:e} in place of {expected:e}"
        );
    }
}

#[cfg(feature = "cuda")]
fn products(of_card: &dyn Products, device: &Device) {
    let (rows, inputs, outputs) = (37, 29, 21);
    let weight = waves(&[outputs, inputs], 0.37, device);
    for precision in [Precision::F32, Precision::Bf16, Precision::Tf32] {
        for (of, depth) in [(Operand::Transposed, inputs), (Operand::AsItIs, outputs)] {
            let x = waves(&[rows, depth], 0.11, device);
            let product = |products: &dyn Products| {
                let weight = products.frozen(weight.clone(), precision).unwrap();
                products.product(&x, &weight, of, precision).unwrap()
            };
            // A card may round to the nearest TF32 number or towards zero.
            let bound = if precision == Precision::Tf32 {
                2e-3
            } else {
                1e-5
            };
            assert_close(&product(of_card), &product(&InSinglePrecision), bound);
        }
    }
}

#[cfg(feature = "cuda")]
fn products_of_heads(of_card: &dyn Products, device: &Device) {
    use Transposed::{Left, Neither, Right};
    let tall = waves(&[2, 3, 9, 5], 0.37, device);
    let wide = waves(&[2, 3, 5, 9], 0.11, device);
    let other = waves(&[2, 3, 9, 7], 0.2, device);
    for (left, right, transposed) in [
        (&tall, &wide, Neither),
        (&tall, &tall, Right),
        (&tall, &other, Left),
    ] {
        for (precision, bound) in [
            (Precision::F32, 1e-5),
            (Precision::Tf32, 2e-3),
            (Precision::Bf16, 2e-3),
        ] {
            let product = |products: &dyn Products| {
                products
                    .of_heads(left, right, transposed, precision)
                    .unwrap()
            };
            assert_close(&product(of_card), &product(&InSinglePrecision), bound);
        }
    }
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a card of NVIDIA"]
fn kernels_compute_it_on_a_card_too() {
    let card = super::cuda::open(0).unwrap();
    check(&card.kernels(), &card.device());
    rounding(&card.kernels(), &card.device());
    products(&card, &card.device());
    products_of_heads(&card, &card.device());
}
