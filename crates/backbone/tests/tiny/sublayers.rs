//! The definition compared with finite differences, and the operations that a sublayer takes.

use adaplace_backbone::Backbone;
use adaplace_reference::mask;
use adaplace_testkit::TinyBert;

use crate::common::{backbones, bert, check_by_differences, gradient, noise};

#[test]
fn gradient_is_that_of_differences() {
    for (_, defined, inputs) in backbones() {
        let mask = mask(&inputs);
        for (n, state) in defined.states(&inputs).iter().enumerate() {
            if n == defined.definition.sublayers() {
                break;
            }
            let weights = noise(state.dims(), n as u64);
            let forward = |h: &_| defined.definition.sublayer(n, h, mask.as_ref());
            let found = gradient(forward, state, &weights);
            check_by_differences(forward, state, &weights, &found);
        }
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
    for (_, defined, _) in backbones() {
        check(&defined.backbone, 1);
        check(&defined.backbone, 17);
    }
    let deeper = TinyBert {
        blocks: 3,
        ..TinyBert::default()
    };
    assert_eq!(bert(&deeper).sublayer_flops(5).len(), 6);
}
