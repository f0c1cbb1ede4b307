//! States, loss and gradients compared with the definition, for placements of all kinds and with both arithmetics.

use adaplace_arithmetic::{Arithmetic, Cpu, InstructionSet, Precision};
use adaplace_backbone::Inputs;
use adaplace_reference::real_rows;
use proptest::prelude::*;

use super::forward::backbones;
use super::{definition, error_of, loss_and_gradients, states, tensors, values};
use crate::Model;
use crate::support::model;

fn check<A: Arithmetic>(model: &Model<'_, A>, inputs: &Inputs, labels: &[u32], context: &str) {
    let definition = definition::of(model);
    let found = states(model, inputs).unwrap();
    let expected = definition.states(inputs, &definition.branches());
    assert_eq!(found.len(), expected.len());
    let offsets = model.backbone().offsets(inputs);
    for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = error_of(found, &values(&real_rows(expected, &offsets)));
        assert!(error < 1e-5, "{context}: state {n} is {error:e} off");
    }

    let (found, gradients) = loss_and_gradients(model, inputs, labels);
    let (loss, expected) = definition.gradients(inputs, labels);
    assert!((found - loss).abs() < 1e-5, "{context}: {found} and {loss}");
    let found = gradients.tensors();
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

/// Checks a placement on both backbones with each of two arithmetics.
fn check_everywhere(connections: &[(u16, u16)]) {
    for (backbone, inputs, labels) in backbones() {
        let context = format!("{connections:?}");
        check(&model(&backbone, connections), &inputs, &labels, &context);
        let backbone = backbone.on(tensors());
        let context = format!("{connections:?} as tensors");
        check(&model(&backbone, connections), &inputs, &labels, &context);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_placement(
        connections in proptest::collection::btree_set((0_u16..5, 0_u16..5), 0..=5),
    ) {
        check_everywhere(&connections.into_iter().collect::<Vec<_>>());
    }
}

/// Covers one placement with all kinds, several of them at one target, with every instruction set of this machine.
#[test]
fn every_instruction_set() {
    for instruction_set in InstructionSet::available() {
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
        for (backbone, inputs, labels) in backbones() {
            let backbone = backbone.on(Cpu {
                instruction_set,
                precision: Precision::F32,
            });
            let model = model(&backbone, &connections);
            check(&model, &inputs, &labels, instruction_set.name());
        }
    }
}
