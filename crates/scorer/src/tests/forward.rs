//! Placements that change nothing, and placements that are rejected.

use adaplace_backbone::{Backbone, Inputs, Pooling};
use adaplace_search_space::{AdapterSpec, Connection, Placement};

use super::{loss_and_gradients, pictures, ragged_inputs, states, tiny_vit};
use crate::support::{WIDTH, head, model, tiny_bert, tiny_bert_pooled_by, trained};
use crate::{Model, Parameters, ScoreError};

/// The tiny backbones, with inputs and labels for each: a BERT at the mean and at the last token, and a ViT.
pub fn backbones() -> [(Backbone, Inputs, Vec<u32>); 3] {
    [
        (tiny_bert(), ragged_inputs(), vec![1, 0, 2]),
        (
            tiny_bert_pooled_by(Some(Pooling::Last)),
            ragged_inputs(),
            vec![1, 0, 2],
        ),
        (tiny_vit(), pictures(), vec![2, 0]),
    ]
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
    for (backbone, inputs, labels) in backbones() {
        let of = |parameters: Parameters| {
            let model = Model::new(&backbone, parameters).unwrap();
            let (loss, _) = loss_and_gradients(&model, &inputs, &labels);
            (states(&model, &inputs).unwrap(), loss)
        };
        let expected = of(Parameters::of_head(WIDTH, &head()));
        for connections in placements {
            let parameters = Parameters::initial(&placement(connections), WIDTH, &head(), 3, 0);
            assert_eq!(of(parameters), expected, "{connections:?}");
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
fn connections_outside_of_the_backbone_are_refused() {
    let backbone = tiny_bert();
    for connection in [(5, 1), (1, 5), (5, 5)] {
        let parameters = trained(&[(0, 1), connection], 1);
        let error = Model::new(&backbone, parameters).unwrap_err();
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
    let error = states(&model, &pictures()).unwrap_err();
    assert!(error.to_string().contains("reads text"), "{error}");
}
