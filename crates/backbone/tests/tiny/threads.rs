//! The number of threads does not change a bit.

use adaplace_backbone::{Backbone, Inputs};
use adaplace_testkit::{TinyBert, TinyVit, tiny_vit};
use candle_core::{Tensor, Var};

use crate::common::{bert, bits, noise};

/// States, features and the gradient towards h_0 of a loss on the features.
fn forward_and_backward(backbone: &Backbone, inputs: &Inputs) -> Vec<Vec<u32>> {
    let embedded = Var::from_tensor(&backbone.embed(inputs).unwrap()).unwrap();
    let mut states: Vec<Tensor> = vec![embedded.as_tensor().clone()];
    for sublayer in backbone.sublayers() {
        let before = &states[states.len() - 1];
        states.push(sublayer.forward(before, inputs.mask()).unwrap());
    }
    let features = backbone.pool(&states[states.len() - 1], inputs.mask());
    states.push(features.unwrap());
    let features = &states[states.len() - 1];
    let loss = (features * noise(features.dims(), 1)).unwrap();
    let gradients = loss.sum_all().unwrap().backward().unwrap();
    states.push(gradients.get(&embedded).unwrap().clone());
    states.iter().map(bits).collect()
}

fn check(backbone: &Backbone, inputs: &Inputs) {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let run = || forward_and_backward(backbone, inputs);
        pool.build().unwrap().install(run)
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(3));
}

/// Large enough that products and rows are split among threads: 16 texts of 24 tokens, 384 rows.
#[test]
fn texts() {
    let backbone = bert(&TinyBert {
        width: 96,
        intermediate: 384,
        ..TinyBert::default()
    });
    let ids: Vec<u32> = (0..16 * 24).map(|index| 8 + (index * 7) % 50).collect();
    let mask: Vec<u8> = (0..16 * 24)
        .map(|index| u8::from(index % 24 < 24 - index / 24))
        .collect();
    let inputs = Inputs::text(16, 24, &ids, &[0; 16 * 24], &mask).unwrap();
    check(&backbone, &inputs);
}

#[test]
fn images() {
    let folder = tempfile::tempdir().unwrap();
    let settings = TinyVit {
        width: 96,
        intermediate: 384,
        ..TinyVit::default()
    };
    tiny_vit(folder.path(), &settings);
    let backbone = Backbone::load(folder.path(), None).unwrap();
    let pixels = noise(&[24, 3, 16, 16], 2);
    check(&backbone, &Inputs::Images { pixels });
}
