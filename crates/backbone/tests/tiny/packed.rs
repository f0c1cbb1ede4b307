//! The packed chain compared with the definition, with every instruction set of this machine.

use adaplace_backbone::{Inputs, InstructionSet, SavedPooling, SavedSublayer, SublayerScratch};
use candle_core::{Device, Tensor, Var};

use crate::common::{Defined, LENGTHS, backbones, gradient, noise, offsets, relative_error};

/// The backbones with each instruction set, their inputs, and the offsets of the examples.
fn cases() -> Vec<(String, Defined, Inputs, Vec<usize>)> {
    let mut cases = Vec::new();
    for set in InstructionSet::available() {
        for (name, defined, inputs) in backbones() {
            let lengths = match name {
                "bert" => LENGTHS.to_vec(),
                _ => vec![17; 2],
            };
            let examples = offsets(&lengths);
            let defined = Defined {
                backbone: defined.backbone.with_instruction_set(set),
                ..defined
            };
            cases.push((format!("{name}, {set:?}"), defined, inputs, examples));
        }
    }
    cases
}

/// The real tokens of a (batch, tokens, width) tensor, as (rows, width).
fn rows(tensor: &Tensor, examples: &[usize]) -> Tensor {
    let parts: Vec<Tensor> = examples
        .windows(2)
        .enumerate()
        .map(|(row, ends)| {
            let example = tensor.get(row).unwrap();
            example.narrow(0, 0, ends[1] - ends[0]).unwrap()
        })
        .collect();
    Tensor::cat(&parts, 0).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn tensor(values: &[f32], width: usize) -> Tensor {
    let shape = (values.len() / width, width);
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// Random gradients for real tokens and 0 for the others, as (batch, tokens, width) and as rows.
fn gradient_at(state: &Tensor, inputs: &Inputs, examples: &[usize], seed: u64) -> (Tensor, Tensor) {
    let mut weights = noise(state.dims(), seed);
    if let Some(mask) = inputs.mask() {
        let real: Vec<f32> = mask.values().iter().map(|&keep| f32::from(keep)).collect();
        let shape = (mask.shape().0, mask.shape().1, 1);
        let mask = Tensor::from_vec(real, shape, &Device::Cpu).unwrap();
        weights = weights.broadcast_mul(&mask).unwrap();
    }
    let rows = rows(&weights, examples);
    (weights, rows)
}

#[test]
fn forward_is_that_of_the_definition() {
    for (name, defined, inputs, examples) in cases() {
        let states = defined.states(&inputs);
        let embedded = defined.backbone.embed_rows(&inputs).unwrap();
        assert_eq!(embedded, values(&rows(&states[0], &examples)), "{name}");
        for (n, sublayer) in defined.backbone.packed().iter().enumerate() {
            let state = rows(&states[n], &examples);
            let (mut found, mut unsaved) =
                (vec![0.0; state.elem_count()], vec![0.0; state.elem_count()]);
            let scratch = &mut SublayerScratch::default();
            let saved = &mut SavedSublayer::default();
            sublayer.forward(&values(&state), &examples, &mut found, Some(saved), scratch);
            sublayer.forward(&values(&state), &examples, &mut unsaved, None, scratch);
            assert_eq!(
                found, unsaved,
                "what is kept for the backward changes nothing"
            );
            let expected = rows(&states[n + 1], &examples);
            let error = relative_error(&tensor(&found, 32), &expected);
            assert!(error < 1e-5, "{name}, sublayer {n}: {error:e}");
        }
    }
}

#[test]
fn gradient_is_that_of_the_definition() {
    for (name, defined, inputs, examples) in cases() {
        let states = defined.states(&inputs);
        for (n, sublayer) in defined.backbone.packed().iter().enumerate() {
            let (weights, weight_rows) = gradient_at(&states[n], &inputs, &examples, n as u64);
            let plain = |h: &_| defined.definition.sublayer(n, h, inputs.mask());
            let expected = rows(&gradient(plain, &states[n], &weights), &examples);

            let state = values(&rows(&states[n], &examples));
            let scratch = &mut SublayerScratch::default();
            let mut saved = SavedSublayer::default();
            let mut result = vec![0.0; state.len()];
            sublayer.forward(&state, &examples, &mut result, Some(&mut saved), scratch);
            let mut found = vec![f32::NAN; state.len()];
            let mut gradient = values(&weight_rows);
            sublayer.backward(&saved, &examples, &mut gradient, &mut found, false, scratch);
            let error = relative_error(&tensor(&found, 32), &expected);
            assert!(error < 1e-4, "{name}, sublayer {n}: {error:e}");

            let mut added = vec![0.5; state.len()];
            let mut gradient = values(&weight_rows);
            sublayer.backward(&saved, &examples, &mut gradient, &mut added, true, scratch);
            for (added, found) in added.iter().zip(&found) {
                assert!((added - 0.5 - found).abs() < 1e-4);
            }
        }
    }
}

/// An example has the same bits alone and among others, whatever instruction set computes it.
#[test]
fn an_example_does_not_depend_on_its_company() {
    for (name, defined, inputs, examples) in cases() {
        let embedded = defined.backbone.embed_rows(&inputs).unwrap();
        let through = |state: &[f32], examples: &[usize]| {
            let mut state = state.to_vec();
            for sublayer in defined.backbone.packed() {
                let mut next = vec![0.0; state.len()];
                let scratch = &mut SublayerScratch::default();
                sublayer.forward(&state, examples, &mut next, None, scratch);
                state = next;
            }
            state
        };
        let all = through(&embedded, &examples);
        for ends in examples.windows(2) {
            let own = ends[0] * 32..ends[1] * 32;
            let alone = through(&embedded[own.clone()], &[0, ends[1] - ends[0]]);
            assert_eq!(alone, all[own], "{name}");
        }
    }
}

#[test]
fn pooling_and_its_gradient_are_those_of_the_definition() {
    for (name, defined, inputs, examples) in cases() {
        let states = defined.states(&inputs);
        let last = &states[states.len() - 1];
        let count = examples.len() - 1;
        let state = values(&rows(last, &examples));
        let mut features = vec![0.0; count * 32];
        let mut saved = SavedPooling::default();
        defined
            .backbone
            .pool_rows(&state, &examples, &mut features, &mut saved);
        let expected = defined.pool(last, &inputs);
        let error = relative_error(&tensor(&features, 32), &expected);
        assert!(error < 1e-6, "{name}: {error:e}");

        let weights = noise(&[count, 32], 3);
        let tracked = Var::from_tensor(last).unwrap();
        let pooled = defined.pool(&tracked, &inputs);
        let loss = (pooled * &weights).unwrap().sum_all().unwrap();
        let expected = loss.backward().unwrap().get(&tracked).unwrap().clone();
        let mut found = vec![f32::NAN; state.len()];
        defined
            .backbone
            .pool_rows_backward(&values(&weights), &examples, &mut found, &mut saved);
        let error = relative_error(&tensor(&found, 32), &rows(&expected, &examples));
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
#[should_panic(expected = "a row of 32 values for each token")]
fn rows_that_do_not_fit_the_examples_are_refused() {
    let (_, defined, ..) = cases().remove(0);
    let scratch = &mut SublayerScratch::default();
    let (state, mut result) = ([0.0; 3 * 32], [0.0; 3 * 32]);
    defined.backbone.packed()[0].forward(&state, &[0, 4], &mut result, None, scratch);
}
