//! States, logits and gradients of a placement compared with its definition.

use adaplace_backbone::{Backbone, Inputs};
use adaplace_scorer::{Adapter, Adapters, Model, ScoreError};
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use adaplace_testkit::{TinyVit, tiny_vit};
use candle_core::Tensor;
use proptest::prelude::*;

use crate::definition;
use crate::support::{
    WIDTH, error_by, head, model, noise, ragged_inputs, tiny_bert, trained_adapters, values,
};

/// The two tiny backbones, with inputs and labels for each.
pub fn backbones() -> [(Backbone, Inputs, Vec<u32>); 2] {
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(folder.path(), &TinyVit::default());
    let pixels = noise(&[2, 3, 16, 16], 1.7, 5);
    [
        (tiny_bert(), ragged_inputs(), vec![1, 0, 2]),
        (
            Backbone::load(folder.path(), None).unwrap(),
            Inputs::Images { pixels },
            vec![2, 0],
        ),
    ]
}

fn check(backbone: &Backbone, inputs: &Inputs, labels: &[u32], connections: &[(u16, u16)]) {
    let model = model(backbone, connections);
    let branches = definition::branches(&model);
    let expected = definition::states(backbone, inputs, &branches);
    let found = model.states(inputs).unwrap();
    assert_eq!(found.len(), expected.len());
    for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = error_by(expected, found, expected);
        assert!(error < 1e-5, "{connections:?}, state {n}: {error:e}");
    }
    let expected = definition::logits(backbone, inputs, &model, &expected[4]);
    let found = model.logits(inputs).unwrap();
    let error = error_by(&expected, &found, &expected);
    assert!(error < 1e-5, "{connections:?}, logits: {error:e}");

    let found = definition::loss(&found, labels).backward().unwrap();
    let expected = definition::loss(&expected, labels).backward().unwrap();
    for adapter in model.adapters().iter() {
        for var in adapter.vars() {
            let (found, expected) = (found.get(var).unwrap(), expected.get(var).unwrap());
            let error = error_by(expected, found, expected);
            assert!(error < 1e-4, "{}: {error:e}", adapter.connection);
        }
    }
    let weight = &model.head().weight;
    let (found, expected) = (found.get(weight).unwrap(), expected.get(weight).unwrap());
    assert!(error_by(expected, found, expected) < 1e-4);
}

#[test]
fn every_single_connection_is_as_defined() {
    for (backbone, inputs, labels) in backbones() {
        for source in 0..5 {
            for target in 0..5 {
                check(&backbone, &inputs, &labels, &[(source, target)]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn random_placements_are_as_defined(
        connections in proptest::collection::btree_set((0_u16..5, 0_u16..5), 1..=4),
    ) {
        let connections: Vec<(u16, u16)> = connections.into_iter().collect();
        for (backbone, inputs, labels) in backbones() {
            check(&backbone, &inputs, &labels, &connections);
        }
    }
}

/// W_up and b_up are zero, so the states are those of the frozen model, and the second pass equals the first.
#[test]
fn untrained_adapters_change_nothing() {
    let placements: [&[(u16, u16)]; 6] = [
        &[(2, 2)],
        &[(1, 2)],
        &[(0, 4)],
        &[(4, 0)],
        &[(3, 1), (4, 3)],
        &[(0, 0), (1, 1), (1, 2), (0, 3), (4, 4), (3, 2), (4, 0)],
    ];
    for (backbone, inputs, _) in backbones() {
        let frozen = Model::new(&backbone, Adapters::default(), head()).unwrap();
        let expected = frozen.states(&inputs).unwrap();
        let logits = values(&frozen.logits(&inputs).unwrap());
        for connections in placements {
            let adapters = Adapters::initial(&placement(connections), WIDTH, 3, 0).unwrap();
            let model = Model::new(&backbone, adapters, head()).unwrap();
            let found = model.states(&inputs).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(values(found), values(expected), "{connections:?}");
            }
            assert_eq!(values(&model.logits(&inputs).unwrap()), logits);
        }
    }
}

fn placement(connections: &[(u16, u16)]) -> Placement {
    let spec = AdapterSpec::new(4, 1.0).unwrap();
    let connections = connections.iter();
    connections
        .map(|&(source, target)| (Connection { source, target }, spec))
        .collect()
}

#[test]
fn the_order_in_which_adapters_are_given_has_no_meaning() {
    let backbone = tiny_bert();
    let connections = [(3, 1), (0, 1), (1, 1), (0, 4)];
    let logits = |adapters: Adapters| {
        let model = Model::new(&backbone, adapters, head()).unwrap();
        values(&model.logits(&ragged_inputs()).unwrap())
    };
    let one_by_one = |order: &[usize]| -> Adapters {
        let adapter = |&index: &usize| {
            let all = trained_adapters(&connections, 1);
            let (source, target) = connections[index];
            let adapters = all
                .iter()
                .find(|a| a.connection == Connection { source, target });
            let Adapter {
                connection,
                spec,
                down_weight,
                down_bias,
                up_weight,
                up_bias,
            } = adapters.unwrap();
            Adapter {
                connection: *connection,
                spec: *spec,
                down_weight: down_weight.clone(),
                down_bias: down_bias.clone(),
                up_weight: up_weight.clone(),
                up_bias: up_bias.clone(),
            }
        };
        order.iter().map(adapter).collect()
    };
    let expected = logits(one_by_one(&[0, 1, 2, 3]));
    assert_eq!(logits(one_by_one(&[3, 1, 0, 2])), expected);
    assert_eq!(logits(one_by_one(&[2, 0, 3, 1])), expected);
}

#[test]
fn connections_outside_of_the_backbone_are_refused() {
    let backbone = tiny_bert();
    for connection in [(5, 1), (1, 5), (5, 5)] {
        let adapters = trained_adapters(&[(0, 1), connection], 1);
        let error = Model::new(&backbone, adapters, head()).unwrap_err();
        assert!(matches!(error, ScoreError::OutOfRange { last: 4, .. }));
        let message = error.to_string();
        let (source, target) = connection;
        assert!(
            message.contains(&format!("{source}->{target}")),
            "{message}"
        );
        assert!(message.contains("0 to 4"), "{message}");
    }
}

/// Inputs of the other modality cause the backbone's own error.
#[test]
fn the_backbones_refusal_comes_through() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(0, 1)]);
    let pixels: Tensor = noise(&[1, 3, 16, 16], 1.0, 0);
    let error = model.logits(&Inputs::Images { pixels }).unwrap_err();
    assert!(error.to_string().contains("reads text"), "{error}");
}
