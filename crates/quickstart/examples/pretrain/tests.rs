use adaplace_backbone::{Backbone, Inputs, Pooling};
use adaplace_reference::{Transformer, embedded};
use candle_core::Var;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::training::{self, Batch, Settings, loss_and_gradients, train};
use crate::vit::{PATCH, PATCH_VALUES, Vit, Weights};
use crate::{round, write};

fn weights() -> Weights {
    Weights::new(&mut ChaCha8Rng::seed_from_u64(7))
}

fn batch(pictures: usize) -> Batch {
    Batch::draw(pictures, &mut ChaCha8Rng::seed_from_u64(8)).unwrap()
}

fn loss(weights: &Weights, batch: &Batch) -> f64 {
    let variables: Vec<Var> = weights.variables().unwrap();
    let logits = Vit::new(weights, &variables).logits(&batch.patches);
    let loss = training::loss(&logits.unwrap(), batch).unwrap();
    f64::from(loss.to_scalar::<f32>().unwrap())
}

/// Compares the entry of every tensor at which the gradient is largest with (L(w + h) - L(w - h)) / 2h.
#[test]
fn every_tensor_gets_the_gradient_that_differences_give() {
    let (mut weights, batch) = (weights(), batch(2));
    let variables = weights.variables().unwrap();
    let (_, gradients) = loss_and_gradients(&weights, &variables, &batch).unwrap();
    for (index, gradient) in gradients.iter().enumerate() {
        let name = weights.0[index].name.clone();
        let (entry, &largest) = gradient
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
            .unwrap();
        if name.ends_with("key.bias") {
            // It adds the same amount to all scores of a query, which does not change the softmax.
            assert!(largest.abs() < 1e-6, "{name}: {largest}");
            continue;
        }
        assert!(largest.abs() > 1e-5, "{name}: {largest}");
        let (step, value) = (0.01, weights.0[index].values[entry]);
        let mut shifted = |step: f32| {
            weights.0[index].values[entry] = value + step;
            loss(&weights, &batch)
        };
        let (above, below) = (shifted(step), shifted(-step));
        weights.0[index].values[entry] = value;
        let expected = (above - below) / (2.0 * f64::from(step));
        // The losses are about 8 and known to some 1e-6, hence the quotient to 1e-4.
        let bound = 1e-4 + 0.02 * expected.abs();
        let difference = (f64::from(largest) - expected).abs();
        assert!(difference < bound, "{name}: {largest}, not {expected}");
    }
}

/// The network that is trained is the backbone that is read from its file.
#[test]
fn the_written_backbone_has_the_same_features() {
    let folder = tempfile::tempdir().unwrap();
    let (mut weights, batch) = (weights(), batch(3));
    round(&mut weights);
    adaplace_quickstart::write_backbone(folder.path()).unwrap();
    write(&weights, &folder.path().join("model.safetensors")).unwrap();
    let backbone = Backbone::load(folder.path(), None).unwrap();

    // The dimensions change from (pictures, rows, columns, channels, rows, columns) of patches to (pictures, channels,
    // rows, columns).
    let grid = 32 / PATCH;
    let pixels = batch
        .patches
        .reshape(&[3, grid, grid, 3, PATCH, PATCH][..])
        .and_then(|patches| patches.permute(&[0, 3, 1, 4, 2, 5][..]))
        .and_then(|pixels| pixels.reshape((3, 3, 32, 32)))
        .unwrap();
    assert_eq!(pixels.elem_count(), batch.patches.elem_count());
    assert_eq!(batch.patches.dims()[2], PATCH_VALUES);
    let pixels = pixels.flatten_all().unwrap().to_vec1().unwrap();
    let mut state = embedded(&backbone, &Inputs::images([3, 3, 32, 32], pixels));
    let definition = Transformer::read(folder.path());
    for n in 0..definition.sublayers() {
        state = definition.sublayer(n, &state, None).unwrap();
    }
    let expected = definition.pool(&state, None, Pooling::Cls).unwrap();

    let variables = weights.variables().unwrap();
    let state = Vit::new(&weights, &variables).state(&batch.patches);
    let found = state.and_then(|state| Ok(state.get_on_dim(1, 0)?)).unwrap();
    let difference = (found - expected).unwrap().abs().unwrap();
    let largest = difference.flatten_all().unwrap().max(0).unwrap();
    assert!(largest.to_scalar::<f32>().unwrap() < 1e-5);
}

#[test]
fn a_seed_trains_the_same_weights() {
    let settings = Settings {
        steps: 2,
        batch_size: 2,
        learning_rate: 1e-3,
        seed: 4,
    };
    let trained = || train(&settings, |_, _| {}).unwrap();
    let values = |weights: Weights| -> Vec<Vec<f32>> {
        weights.0.into_iter().map(|weight| weight.values).collect()
    };
    let first = values(trained());
    assert_eq!(first, values(trained()));
    let fresh = values(Weights::new(&mut ChaCha8Rng::seed_from_u64(4)));
    assert_ne!(first, fresh);
}
