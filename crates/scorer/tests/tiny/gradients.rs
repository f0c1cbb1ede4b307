//! The gradient of the loss with respect to every trained tensor compared with finite differences.

use candle_core::{Tensor, Var};

use crate::definition;
use crate::support::{head, model, noise, ragged_inputs, tiny_bert, values};

/// The cross-entropy summed over the rows, in f64 from f32 logits.
fn loss(logits: &Tensor, labels: &[u32]) -> f64 {
    let logits: Vec<Vec<f32>> = logits.to_vec2().unwrap();
    let rows = logits.iter().zip(labels).map(|(row, &label)| {
        let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
        sum.ln() - f64::from(row[label as usize])
    });
    rows.sum()
}

/// A placement of all kinds at once, with a recurrent connection onto a target to which others also add.
#[test]
fn mixed_placement() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1), (0, 1), (1, 1), (0, 3), (4, 4), (4, 2)]);
    let (inputs, labels) = (ragged_inputs(), [1, 0, 2]);
    let logits = model.logits(&inputs).unwrap();
    let gradients = definition::loss(&logits, &labels).backward().unwrap();
    let mut vars = model.adapters().vars();
    vars.extend([model.head().weight.clone(), model.head().bias.clone()]);
    assert_eq!(vars.len(), 6 * 4 + 2);
    for (index, var) in vars.iter().enumerate() {
        let gradient = gradients.get(var).unwrap();
        let norm = gradient.sqr().unwrap().sum_all().unwrap();
        let norm = f64::from(norm.to_scalar::<f32>().unwrap()).sqrt();
        for seed in 0..2 {
            check(var, gradient, norm, 2 * index as u64 + seed, || {
                loss(&model.logits(&inputs).unwrap(), &labels)
            });
        }
    }
}

/// Compares `gradient` along a direction v of unit variance with finite differences of F(t) = loss(var + t v):
///
/// (8 F(h) - 8 F(-h) - F(2h) + F(-2h)) / (12 h) = <gradient, v> + O(h^4)
///
/// The logits are exact to some 1e-6, which becomes 1e-4 of it at h = 0.01.
fn check(var: &Var, gradient: &Tensor, norm: f64, seed: u64, loss: impl Fn() -> f64) {
    let step = 0.01;
    let direction = noise(var.dims(), 3.0_f32.sqrt(), 500 + seed);
    let original = var.copy().unwrap();
    let at = |distance: f64| {
        let moved = (&original + (&direction * distance).unwrap()).unwrap();
        var.set(&moved).unwrap();
        let value = loss();
        var.set(&original).unwrap();
        value
    };
    let difference =
        (8.0 * (at(step) - at(-step)) - at(2.0 * step) + at(-2.0 * step)) / (12.0 * step);
    let slope: f64 = values(gradient)
        .into_iter()
        .zip(values(&direction))
        .map(|(g, v)| f64::from(g) * f64::from(v))
        .sum();
    assert!(
        (difference - slope).abs() < 2e-3 * norm + 2e-4,
        "{:?}: difference {difference}, slope {slope}, norm {norm}",
        var.dims()
    );
}

/// d loss / d bias = sum over rows of (softmax - one-hot), computed by hand from the logits.
#[test]
fn bias_of_the_head_by_hand() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(4, 0)]);
    let logits = model.logits(&ragged_inputs()).unwrap();
    let labels = [1_u32, 0, 2];
    let gradients = definition::loss(&logits, &labels).backward().unwrap();
    let found = values(gradients.get(&model.head().bias).unwrap());
    let rows: Vec<Vec<f32>> = logits.to_vec2().unwrap();
    for class in 0..head().bias.dim(0).unwrap() {
        let expected: f32 = rows
            .iter()
            .zip(labels)
            .map(|(row, label)| {
                let sum: f32 = row.iter().map(|logit| logit.exp()).sum();
                row[class].exp() / sum - f32::from(u8::from(label as usize == class))
            })
            .sum();
        assert!((found[class] - expected).abs() < 1e-5);
    }
}
