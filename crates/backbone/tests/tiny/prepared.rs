//! The prepared chain compared with the definition, with every instruction set of this machine and as tensors.

use adaplace_arithmetic::{Arithmetic, Cpu, InstructionSet, OnDevice, Precision};
use adaplace_backbone::{FeatureRows, Inputs, SavedPooling, SavedSublayer, SublayerScratch};
use adaplace_reference::{mask, real_rows};
use candle_core::{Device, Tensor, Var};

use crate::common::{Defined, backbones, gradient, noise, relative_error, values};

const WIDTH: usize = 32;

/// One backbone with inputs, and the arithmetic that computes it.
struct Case<A: Arithmetic> {
    name: String,
    defined: Defined<A>,
    inputs: Inputs,
    offsets: Vec<usize>,
    rows: A::Rows,
}

/// The backbones, computed by `arithmetic`.
fn cases<A: Arithmetic>(arithmetic: &A) -> Vec<Case<A>> {
    let backbones = backbones().into_iter();
    let case = |(name, defined, inputs): (&str, Defined, Inputs)| {
        let offsets = defined.backbone.offsets(&inputs);
        Case {
            name: format!("{name}, {arithmetic:?}"),
            defined: defined.on(arithmetic.clone()),
            inputs,
            rows: arithmetic.rows(offsets.clone()).unwrap(),
            offsets,
        }
    };
    backbones.map(case).collect()
}

/// The kernels with every instruction set of this machine.
fn processors() -> impl Iterator<Item = Cpu> {
    let sets = InstructionSet::available().into_iter();
    sets.map(|instruction_set| Cpu {
        instruction_set,
        precision: Precision::F32,
    })
}

/// Tensors on the device that `ADAPLACE_DEVICE` names (`cuda`, with the feature `adaplace-arithmetic/cuda`), or on the
/// processor.
fn tensors() -> OnDevice {
    let name = std::env::var("ADAPLACE_DEVICE").unwrap_or_else(|_| "candle".to_owned());
    OnDevice::open(name.parse().unwrap()).unwrap()
}

impl<A: Arithmetic> Case<A> {
    fn buffer(&self, values: &[f32]) -> A::Buffer {
        let mut buffer = A::Buffer::default();
        let shape = (values.len() / WIDTH, WIDTH);
        let fill = |to: &mut [f32]| to.copy_from_slice(values);
        let arithmetic = self.defined.backbone.arithmetic();
        arithmetic.write(shape, fill, &mut buffer).unwrap();
        buffer
    }

    fn read(&self, buffer: &A::Buffer) -> Vec<f32> {
        let arithmetic = self.defined.backbone.arithmetic();
        arithmetic.read(buffer).unwrap().into_owned()
    }

    /// The real tokens of a (batch, tokens, width) tensor, as (rows, width).
    fn rows(&self, tensor: &Tensor) -> Tensor {
        real_rows(tensor, &self.offsets)
    }

    fn error(&self, found: &A::Buffer, expected: &Tensor) -> f64 {
        let found = self.read(found);
        let shape = (found.len() / WIDTH, WIDTH);
        let found = Tensor::from_vec(found, shape, &Device::Cpu).unwrap();
        relative_error(&found, expected)
    }

    /// Random gradients for real tokens and 0 for the others, (batch, tokens, width).
    fn gradient_at(&self, state: &Tensor, seed: u64) -> Tensor {
        let weights = noise(state.dims(), seed);
        match mask(&self.inputs) {
            None => weights,
            Some(mask) => weights.broadcast_mul(&mask.unsqueeze(2).unwrap()).unwrap(),
        }
    }

    fn check_forward(&self) {
        let name = &self.name;
        let states = self.defined.states(&self.inputs);
        let chain = self.defined.backbone.chain().unwrap();
        for (n, sublayer) in chain.sublayers().iter().enumerate() {
            let state = self.buffer(&values(&self.rows(&states[n])));
            let (mut found, mut unsaved) = (A::Buffer::default(), A::Buffer::default());
            let scratch = &mut SublayerScratch::default();
            let saved = &mut SavedSublayer::default();
            let result = sublayer.forward(&state, &self.rows, &mut found, Some(saved), scratch);
            result.unwrap();
            let result = sublayer.forward(&state, &self.rows, &mut unsaved, None, scratch);
            result.unwrap();
            let expected = self.rows(&states[n + 1]);
            for found in [found, unsaved] {
                let error = self.error(&found, &expected);
                assert!(error < 1e-5, "{name}, sublayer {n}: {error:e}");
            }
        }
    }

    fn check_gradient(&self) {
        let name = &self.name;
        let states = self.defined.states(&self.inputs);
        let chain = self.defined.backbone.chain().unwrap();
        let mask = mask(&self.inputs);
        for (n, sublayer) in chain.sublayers().iter().enumerate() {
            let weights = self.gradient_at(&states[n], n as u64);
            let plain = |h: &_| self.defined.definition.sublayer(n, h, mask.as_ref());
            let expected = self.rows(&gradient(plain, &states[n], &weights));
            let weights = values(&self.rows(&weights));

            let state = self.buffer(&values(&self.rows(&states[n])));
            let scratch = &mut SublayerScratch::default();
            let mut saved = SavedSublayer::default();
            let mut result = A::Buffer::default();
            sublayer
                .forward(&state, &self.rows, &mut result, Some(&mut saved), scratch)
                .unwrap();
            let mut found = A::Buffer::default();
            let mut gradient = self.buffer(&weights);
            sublayer
                .backward(
                    &saved,
                    &self.rows,
                    &mut gradient,
                    &mut found,
                    false,
                    scratch,
                )
                .unwrap();
            let error = self.error(&found, &expected);
            assert!(error < 1e-4, "{name}, sublayer {n}: {error:e}");

            let mut added = self.buffer(&vec![0.5; weights.len()]);
            let mut gradient = self.buffer(&weights);
            sublayer
                .backward(&saved, &self.rows, &mut gradient, &mut added, true, scratch)
                .unwrap();
            for (added, found) in self.read(&added).iter().zip(self.read(&found)) {
                assert!((added - 0.5 - found).abs() < 1e-4);
            }
        }
    }

    fn check_pooling(&self) {
        let name = &self.name;
        let states = self.defined.states(&self.inputs);
        let last = &states[states.len() - 1];
        let pooler = self.defined.backbone.chain().unwrap().pooler();
        let state = self.buffer(&values(&self.rows(last)));
        let (mut features, mut saved) = (A::Buffer::default(), SavedPooling::default());
        let result = pooler.forward(
            &state,
            FeatureRows::Pooled(&self.rows),
            &mut features,
            &mut saved,
        );
        result.unwrap();
        let expected = self.defined.pool(last, &self.inputs);
        let error = self.error(&features, &expected);
        assert!(error < 1e-6, "{name}: {error:e}");

        let weights = noise(expected.dims(), 3);
        let tracked = Var::from_tensor(last).unwrap();
        let pooled = self.defined.pool(&tracked, &self.inputs);
        let loss = (pooled * &weights).unwrap().sum_all().unwrap();
        let expected = loss.backward().unwrap().get(&tracked).unwrap().clone();
        let (mut gradient, mut found) = (self.buffer(&values(&weights)), A::Buffer::default());
        let result = pooler.backward(
            &mut gradient,
            FeatureRows::Pooled(&self.rows),
            &mut found,
            &saved,
        );
        result.unwrap();
        let error = self.error(&found, &self.rows(&expected));
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn forward_is_that_of_the_definition() {
    for processor in processors() {
        cases(&processor).iter().for_each(Case::check_forward);
    }
    cases(&tensors()).iter().for_each(Case::check_forward);
}

#[test]
fn gradient_is_that_of_the_definition() {
    for processor in processors() {
        cases(&processor).iter().for_each(Case::check_gradient);
    }
    cases(&tensors()).iter().for_each(Case::check_gradient);
}

#[test]
fn pooling_and_its_gradient_are_those_of_the_definition() {
    for processor in processors() {
        cases(&processor).iter().for_each(Case::check_pooling);
    }
    cases(&tensors()).iter().for_each(Case::check_pooling);
}

/// What is stored for the backward pass changes no bit of the forward pass.
#[test]
fn saving_changes_nothing() {
    for case in processors().flat_map(|processor| cases(&processor)) {
        let state = case.defined.backbone.embed(&case.inputs).unwrap();
        for sublayer in case.defined.backbone.chain().unwrap().sublayers() {
            let (mut found, mut unsaved) = (Vec::new(), Vec::new());
            let scratch = &mut SublayerScratch::default();
            let saved = Some(&mut SavedSublayer::default());
            let result = sublayer.forward(&state, &case.rows, &mut found, saved, scratch);
            result.unwrap();
            let result = sublayer.forward(&state, &case.rows, &mut unsaved, None, scratch);
            result.unwrap();
            assert_eq!(found, unsaved, "{}", case.name);
        }
    }
}

/// An example has the same bits alone and among others, whatever instruction set computes it.
#[test]
fn an_example_does_not_depend_on_its_company() {
    for case in processors().flat_map(|processor| cases(&processor)) {
        let embedded = case.defined.backbone.embed(&case.inputs).unwrap();
        let chain = case.defined.backbone.chain().unwrap();
        let through = |state: &[f32], rows: &Vec<usize>| {
            let mut state = state.to_vec();
            for sublayer in chain.sublayers() {
                let mut next = Vec::new();
                let scratch = &mut SublayerScratch::default();
                let result = sublayer.forward(&state, rows, &mut next, None, scratch);
                result.unwrap();
                state = next;
            }
            state
        };
        let all = through(&embedded, &case.rows);
        for ends in case.offsets.windows(2) {
            let own = ends[0] * WIDTH..ends[1] * WIDTH;
            let alone = through(&embedded[own.clone()], &vec![0, ends[1] - ends[0]]);
            assert_eq!(alone, all[own], "{}", case.name);
        }
    }
}
