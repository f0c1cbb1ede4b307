//! The engine of training and evaluation compared with the definition, for placements of all kinds.

use std::collections::BTreeSet;

use adaplace_backbone::{Inputs, InstructionSet};
use adaplace_scorer::{Model, loss_and_gradients, states};
use candle_core::Tensor;
use proptest::prelude::*;

use crate::definition;
use crate::forward::backbones;
use crate::support::{error_of, model, values};

/// The real tokens of all examples, one example after the other.
fn rows(state: &Tensor, inputs: &Inputs) -> Tensor {
    let (examples, tokens, _) = state.dims3().unwrap();
    let length = |row: usize| match inputs.mask() {
        Some(mask) => mask.row(row).iter().filter(|&&keep| keep != 0).count(),
        None => tokens,
    };
    let parts: Vec<Tensor> = (0..examples)
        .map(|row| state.get(row).unwrap().narrow(0, 0, length(row)).unwrap())
        .collect();
    Tensor::cat(&parts, 0).unwrap()
}

fn check(model: &Model<'_>, inputs: &Inputs, labels: &[u32], context: &str) {
    let definition = definition::of(model);
    let found = states(model, inputs).unwrap();
    let expected = definition.states(inputs, &definition.branches());
    assert_eq!(found.len(), expected.len());
    for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = error_of(found, &values(&rows(expected, inputs)));
        assert!(error < 1e-5, "{context}: state {n} is {error:e} off");
    }

    let found = loss_and_gradients(model, inputs, labels).unwrap();
    let (loss, expected) = definition.gradients(inputs, labels);
    assert!(
        (found.loss - loss).abs() < 1e-5,
        "{context}: {} and {loss}",
        found.loss
    );
    let found = found.parameters.tensors();
    assert_eq!(found.len(), expected.len());
    for tensor in &found {
        let error = error_of(&tensor.values, &values(&expected[&tensor.name]));
        let name = &tensor.name;
        assert!(
            error < 1e-4,
            "{context}: gradient of {name} is {error:e} off"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn states_loss_and_gradients_of_any_placement(
        connections in proptest::collection::btree_set((0_u16..5, 0_u16..5), 0..=5),
    ) {
        let connections: Vec<(u16, u16)> = connections.into_iter().collect();
        for (backbone, inputs, labels) in backbones() {
            let model = model(&backbone, &connections);
            check(&model, &inputs, &labels, &format!("{connections:?}"));
        }
    }
}

/// Covers one placement with all kinds, several of them at one target, with every instruction set of this machine.
#[test]
fn every_instruction_set() {
    for set in InstructionSet::available() {
        let connections = [
            (3, 1),
            (0, 1),
            (1, 1),
            (0, 3),
            (4, 4),
            (4, 2),
            (2, 2),
            (0, 0),
        ];
        let distinct: BTreeSet<_> = connections.iter().collect();
        assert_eq!(distinct.len(), connections.len());
        for (backbone, inputs, labels) in backbones() {
            let backbone = backbone.with_instruction_set(set);
            let model = model(&backbone, &connections);
            check(&model, &inputs, &labels, set.name());
        }
    }
}
