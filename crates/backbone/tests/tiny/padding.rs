//! Padding has no influence on the real tokens of the definition.

use adaplace_backbone::Inputs;
use candle_core::{Tensor, Var};

use crate::common::{Defined, LENGTHS, bits, noise, ragged_inputs, relative_error};

fn real_tokens(state: &Tensor, row: usize) -> Tensor {
    state.get(row).unwrap().narrow(0, 0, LENGTHS[row]).unwrap()
}

#[test]
fn ids_of_padding_do_not_matter() {
    let defined = Defined::bert();
    let (inputs, others) = (ragged_inputs(0), ragged_inputs(42));
    let (found, expected) = (defined.states(&others), defined.states(&inputs));
    // The padding itself differs, so there is something that could leak.
    assert_ne!(bits(&found[0]), bits(&expected[0]));
    for (found, expected) in found.iter().zip(&expected) {
        for row in 0..LENGTHS.len() {
            assert_eq!(
                bits(&real_tokens(found, row)),
                bits(&real_tokens(expected, row))
            );
        }
    }
    let features = |states: &[Tensor]| defined.pool(&states[4], &inputs);
    assert_eq!(bits(&features(&found)), bits(&features(&expected)));
}

#[test]
fn a_text_alone_is_as_in_a_batch() {
    let defined = Defined::bert();
    let inputs = ragged_inputs(0);
    let batch = defined.states(&inputs);
    let features = defined.pool(&batch[4], &inputs);
    let Inputs::Text { ids, type_ids, .. } = &inputs else {
        unreachable!("these are texts")
    };
    for (row, length) in LENGTHS.into_iter().enumerate() {
        let values = |tensor: &Tensor| tensor.get(row).unwrap().to_vec1::<u32>().unwrap();
        let (ids, type_ids) = (values(ids), values(type_ids));
        let (ids, type_ids) = (&ids[..length], &type_ids[..length]);
        let alone = Inputs::text(1, length, ids, type_ids, &vec![1; length]).unwrap();
        let alone_states = defined.states(&alone);
        for (found, batch) in alone_states.iter().zip(&batch) {
            let found = found.squeeze(0).unwrap();
            let error = relative_error(&found, &real_tokens(batch, row));
            assert!(error < 1e-5, "row {row}: {error:e}");
        }
        let found = defined.pool(&alone_states[4], &alone);
        let expected = features.narrow(0, row, 1).unwrap();
        assert!(relative_error(&found, &expected) < 1e-5);
    }
}

/// The pooled features do not depend on the padding's states either.
#[test]
fn padding_gets_no_gradient() {
    let defined = Defined::bert();
    let inputs = ragged_inputs(0);
    let embedded = Var::from_tensor(&defined.backbone.embed(&inputs).unwrap()).unwrap();
    let mut state = embedded.as_tensor().clone();
    for n in 0..defined.definition.sublayers() {
        let next = defined.definition.sublayer(n, &state, inputs.mask());
        state = next.unwrap();
    }
    let features = defined.pool(&state, &inputs);
    let loss = (features * noise(&[3, 32], 1)).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let gradient: Vec<Vec<Vec<f32>>> = gradients.get(&embedded).unwrap().to_vec3().unwrap();
    for (row, length) in gradient.iter().zip(LENGTHS) {
        for (token, values) in row.iter().enumerate() {
            let some = values.iter().any(|&value| value != 0.0);
            assert_eq!(some, token < length, "token {token} of {length}");
        }
    }
}
