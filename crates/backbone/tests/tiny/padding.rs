//! Padding has no influence on the real tokens of the definition.

use adaplace_backbone::Inputs;
use adaplace_reference::{embedded, mask};
use candle_core::{Tensor, Var};

use crate::common::{Defined, LENGTHS, bits, noise, ragged_inputs, relative_error};

fn real_tokens(state: &Tensor, row: usize) -> Tensor {
    state.get(row).unwrap().narrow(0, 0, LENGTHS[row]).unwrap()
}

#[test]
fn states_of_padding_do_not_matter() {
    let defined = Defined::bert("gelu");
    let inputs = ragged_inputs();
    let mask = mask(&inputs).unwrap();
    let from = |mut state: Tensor| {
        for n in 0..defined.definition.sublayers() {
            state = defined.definition.sublayer(n, &state, Some(&mask)).unwrap();
        }
        state
    };
    let zeros = embedded(&defined.backbone, &inputs);
    // 0 for a real token, noise for padding.
    let padding = (1.0 - &mask).unwrap().unsqueeze(2).unwrap();
    let padding = noise(zeros.dims(), 9).broadcast_mul(&padding).unwrap();
    let others = (&zeros + padding).unwrap();
    assert_ne!(bits(&zeros), bits(&others));
    let (found, expected) = (from(others), from(zeros));
    for row in 0..LENGTHS.len() {
        let (found, expected) = (real_tokens(&found, row), real_tokens(&expected, row));
        assert_eq!(bits(&found), bits(&expected));
    }
    let features = |state: &Tensor| bits(&defined.pool(state, &inputs));
    assert_eq!(features(&found), features(&expected));
}

#[test]
fn a_text_alone_is_as_in_a_batch() {
    let defined = Defined::bert("gelu");
    let inputs = ragged_inputs();
    let batch = defined.states(&inputs);
    let features = defined.pool(&batch[4], &inputs);
    let Inputs::Text { ids, type_ids, .. } = &inputs else {
        unreachable!("these are texts")
    };
    let mut begin = 0;
    for (row, length) in LENGTHS.into_iter().enumerate() {
        let own = begin..begin + length;
        begin = own.end;
        let (ids, type_ids) = (ids[own.clone()].to_vec(), type_ids[own].to_vec());
        let alone = Inputs::text(vec![length], ids, type_ids);
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
    let defined = Defined::bert("gelu");
    let inputs = ragged_inputs();
    let mask = mask(&inputs).unwrap();
    let first = Var::from_tensor(&embedded(&defined.backbone, &inputs)).unwrap();
    let mut state = first.as_tensor().clone();
    for n in 0..defined.definition.sublayers() {
        state = defined.definition.sublayer(n, &state, Some(&mask)).unwrap();
    }
    let features = defined.pool(&state, &inputs);
    let loss = (features * noise(&[3, 32], 1)).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let gradient: Vec<Vec<Vec<f32>>> = gradients.get(&first).unwrap().to_vec3().unwrap();
    for (row, length) in gradient.iter().zip(LENGTHS) {
        for (token, values) in row.iter().enumerate() {
            let some = values.iter().any(|&value| value != 0.0);
            assert_eq!(some, token < length, "token {token} of {length}");
        }
    }
}
