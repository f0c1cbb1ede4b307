use candle_core::Tensor;
use proptest::prelude::*;

use super::*;
use crate::support::{error_by, model, ragged_inputs, tiny_bert, values};

/// States of the last pass, and the gradient of the logits' squares towards every trained tensor.
fn run(model: &Model<'_>, prefix: Prefix) -> (Vec<Tensor>, Vec<Tensor>) {
    let inputs = ragged_inputs();
    let frozen = Frozen::computed(model.backbone(), &inputs);
    let (_, last) = model
        .passes(&frozen, prefix, &mut |_, state| Ok(state))
        .unwrap();
    let states: Vec<Tensor> = (0..5).map(|n| last.state(n, &frozen).unwrap()).collect();
    let features = model.backbone().pool(&states[4], inputs.mask()).unwrap();
    let logits = model.head.logits(&features).unwrap();
    let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let mut vars = model.adapters.vars();
    vars.extend([model.head.weight.clone(), model.head.bias.clone()]);
    let gradients = vars.iter().map(|var| gradients.get(var).unwrap().clone());
    (states, gradients.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The states are the same sums in the same order, to the bit; the gradients add up in another order.
    #[test]
    fn a_shared_prefix_changes_nothing(
        connections in proptest::collection::btree_set((0_u16..5, 0_u16..5), 1..=4),
    ) {
        let backbone = tiny_bert();
        let connections: Vec<(u16, u16)> = connections.into_iter().collect();
        let model = model(&backbone, &connections);
        let (states, gradients) = run(&model, Prefix::Shared);
        let (separate_states, separate_gradients) = run(&model, Prefix::Separate);
        prop_assert_eq!(states.len(), separate_states.len());
        for (shared, separate) in states.iter().zip(&separate_states) {
            prop_assert_eq!(values(shared), values(separate));
        }
        for (shared, separate) in gradients.iter().zip(&separate_gradients) {
            let error = error_by(separate, shared, separate);
            prop_assert!(error < 1e-5, "{:?}: {:e}", &connections, error);
        }
    }
}

/// How many states each pass makes.
fn states_made(connections: &[(u16, u16)], prefix: Prefix) -> [usize; 2] {
    let backbone = tiny_bert();
    let model = model(&backbone, connections);
    let inputs = ragged_inputs();
    let frozen = Frozen::computed(&backbone, &inputs);
    let mut made = [0, 0];
    let count = &mut |pass: usize, state| {
        made[pass] += 1;
        Ok(state)
    };
    model.passes(&frozen, prefix, count).unwrap();
    made
}

/// What no adapter changes is taken over; the first pass ends at the latest recurrent source.
#[test]
fn a_shared_prefix_makes_fewer_states() {
    assert_eq!(states_made(&[(3, 1)], Prefix::Separate), [5, 5]);
    // The first pass reads h_3 from the frozen backbone; the second makes h_1 to h_4.
    assert_eq!(states_made(&[(3, 1)], Prefix::Shared), [1, 4]);
    // The first pass makes h_2 and h_3, the second h_1 to h_4.
    assert_eq!(states_made(&[(3, 1), (0, 2)], Prefix::Shared), [2, 4]);
    // The first pass makes h_0 to h_3, the second takes h_0 and h_1 over.
    assert_eq!(states_made(&[(3, 2), (0, 0)], Prefix::Shared), [4, 3]);
}

#[test]
fn one_pass_where_nothing_recurs() {
    assert_eq!(states_made(&[], Prefix::Separate), [5, 0]);
    // Only the last state is asked for.
    assert_eq!(states_made(&[], Prefix::Shared), [1, 0]);
    assert_eq!(states_made(&[(0, 3), (2, 4)], Prefix::Shared), [2, 0]);
}
