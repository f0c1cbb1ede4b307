//! The composition of candle's own operations compared with finite differences, and its shapes.

use adaplace_backbone::Backbone;
use adaplace_testkit::TinyBert;

use crate::common::{
    backbones, bert, check_by_differences, gradient, noise, relative_error, states,
};

#[test]
fn gradient_is_that_of_differences() {
    for (_, backbone, inputs) in backbones() {
        let states = states(&backbone, &inputs);
        for (n, sublayer) in backbone.sublayers().iter().enumerate() {
            let weights = noise(states[n].dims(), n as u64);
            let forward = |h: &_| sublayer.forward(h, inputs.mask());
            let found = gradient(forward, &states[n], &weights);
            check_by_differences(forward, &states[n], &weights, &found);
        }
    }
}

#[test]
fn a_state_that_is_not_contiguous_is_read_in_its_order() {
    for (_, backbone, inputs) in backbones() {
        let states = states(&backbone, &inputs);
        let swapped = states[0].transpose(1, 2).unwrap().contiguous().unwrap();
        let strided = swapped.transpose(1, 2).unwrap();
        assert!(!strided.is_contiguous());
        let result = backbone.sublayers()[0].forward(&strided, inputs.mask());
        assert!(relative_error(&result.unwrap(), &states[1]) < 1e-5);
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let (_, backbone, inputs) = &backbones()[0];
    let sublayer = &backbone.sublayers()[0];
    for shape in [[3, 6, 32], [2, 7, 32], [3, 7, 16]] {
        let state = noise(&shape, 0);
        assert!(
            sublayer.forward(&state, inputs.mask()).is_err(),
            "{shape:?}"
        );
    }
}

/// With d = 32, m = 64 and T tokens, attention takes 8 T d^2 + 4 T^2 d and the MLP 4 T d m.
#[test]
fn operations_follow_the_closed_form() {
    let check = |backbone: &Backbone, tokens: u64| {
        let attention = 8 * tokens * 32 * 32 + 4 * tokens * tokens * 32;
        let mlp = 4 * tokens * 32 * 64;
        let found = backbone.sublayer_flops(tokens as usize);
        assert_eq!(found, [attention, mlp, attention, mlp]);
    };
    for (_, backbone, _) in backbones() {
        check(&backbone, 1);
        check(&backbone, 17);
    }
    let deeper = TinyBert {
        blocks: 3,
        ..TinyBert::default()
    };
    assert_eq!(bert(&deeper).sublayer_flops(5).len(), 6);
}
