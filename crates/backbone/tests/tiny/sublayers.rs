//! The fused sublayer against the composition of candle's own operations, and against finite differences.

use adaplace_backbone::Backbone;
use adaplace_testkit::TinyBert;

use crate::common::{
    backbones, bert, bits, check_by_differences, gradient, noise, relative_error, states,
};

#[test]
fn forward_is_that_of_the_composition() {
    for (name, backbone, inputs) in backbones() {
        let states = states(&backbone, &inputs);
        for (n, sublayer) in backbone.sublayers().iter().enumerate() {
            let plain = sublayer.forward_plain(&states[n], inputs.mask()).unwrap();
            let error = relative_error(&states[n + 1], &plain);
            assert!(error < 1e-5, "{name}, sublayer {n}: {error:e}");
        }
    }
}

#[test]
fn gradient_is_that_of_the_composition_and_of_differences() {
    for (name, backbone, inputs) in backbones() {
        let states = states(&backbone, &inputs);
        for (n, sublayer) in backbone.sublayers().iter().enumerate() {
            let weights = noise(states[n].dims(), n as u64);
            let fused = |h: &_| sublayer.forward(h, inputs.mask());
            let found = gradient(fused, &states[n], &weights);
            let plain = |h: &_| sublayer.forward_plain(h, inputs.mask());
            let error = relative_error(&found, &gradient(plain, &states[n], &weights));
            assert!(error < 1e-4, "{name}, sublayer {n}: {error:e}");
            check_by_differences(fused, &states[n], &weights, &found);
        }
    }
}

/// What is kept for the backward must not change the forward.
#[test]
fn a_tracked_state_gives_the_same_bits() {
    for (_, backbone, inputs) in backbones() {
        let states = states(&backbone, &inputs);
        for (n, sublayer) in backbone.sublayers().iter().enumerate() {
            let tracked = candle_core::Var::from_tensor(&states[n]).unwrap();
            let result = sublayer.forward(&tracked, inputs.mask()).unwrap();
            assert_eq!(bits(&result), bits(&states[n + 1]));
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
        assert_eq!(bits(&result.unwrap()), bits(&states[1]));
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

/// d = 32, m = 64, T tokens: attention 8 T d^2 + 4 T^2 d, MLP 4 T d m.
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
