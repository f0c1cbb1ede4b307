use adaplace_search_space::Placement;
use candle_core::Tensor;
use proptest::prelude::*;

use super::*;
use crate::support::{error_by, head, model, ragged_inputs, tiny_bert, values};

/// States of the last pass, and the gradient of the logits' squares towards every trained tensor.
fn run(model: &Model<'_>, prefix: Prefix) -> (Vec<Tensor>, Vec<Tensor>) {
    let inputs = ragged_inputs();
    let mut passes = model
        .passes(&inputs, prefix, &mut |_, state| Ok(state))
        .unwrap();
    let states = passes.pop().unwrap().states;
    let logits = model
        .head
        .logits(&model.pool(&states, inputs.mask()).unwrap())
        .unwrap();
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

/// A recurrent connection from 3 to 1: the first pass ends at state 3, the second begins at state 1.
#[test]
fn a_shared_prefix_runs_fewer_sublayers() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1)]);
    let taps = |prefix| {
        let mut taps = [0, 0];
        let passes = model.passes(&ragged_inputs(), prefix, &mut |pass, state| {
            taps[pass] += 1;
            Ok(state)
        });
        assert_eq!(passes.unwrap().len(), 2);
        taps
    };
    assert_eq!(taps(Prefix::Separate), [5, 5]);
    assert_eq!(taps(Prefix::Shared), [4, 4]);
}

/// Without a recurrent connection there is one pass.
#[test]
fn one_pass_where_nothing_recurs() {
    let backbone = tiny_bert();
    for connections in [&[][..], &[(0, 0), (1, 2), (0, 4)][..]] {
        let model = model(&backbone, connections);
        let untouched = &mut |_, state| Ok(state);
        let passes = model.passes(&ragged_inputs(), Prefix::Shared, untouched);
        assert_eq!(passes.unwrap().len(), 1);
    }
    let frozen = Model::new(&backbone, Adapters::default(), head()).unwrap();
    assert_eq!(frozen.adapters().placement(), Placement::new());
}
