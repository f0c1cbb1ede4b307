//! The gradient of the loss with respect to every trained tensor compared with finite differences.

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::Backbone;

use super::{definition, loss_and_gradients, ragged_inputs, tensors, values};
use crate::support::{head, model, noise_values, tiny_bert};
use crate::{Model, NamedTensor, Parameters};

const LABELS: [u32; 3] = [1, 0, 2];

/// The parameters with `distance` times `direction` added to the tensor of this name.
fn moved(original: &Parameters, name: &str, direction: &[f32], distance: f32) -> Parameters {
    let tensors: Vec<NamedTensor> = original.tensors();
    let (width, classes) = (original.width(), original.classes());
    Parameters::from_tensors(original.placement(), width, classes, |wanted, _| {
        let mut tensors = tensors.iter();
        let mut values = tensors
            .find(|one| one.name == wanted)
            .unwrap()
            .values
            .clone();
        if wanted == name {
            let pairs = values.iter_mut().zip(direction);
            pairs.for_each(|(value, by)| *value += distance * by);
        }
        Ok::<_, ()>(values)
    })
    .unwrap()
}

/// The cross-entropy summed over the rows.
fn loss<A: Arithmetic>(backbone: &Backbone<A>, parameters: Parameters) -> f64 {
    let model = Model::new(backbone, parameters).unwrap();
    let (mean, _) = loss_and_gradients(&model, &ragged_inputs(), &LABELS);
    mean * LABELS.len() as f64
}

/// A placement of all kinds at once, with a recurrent connection to a target that others share. The gradient g of each
/// tensor is compared along directions v of unit variance with finite differences of F(t) = loss(tensor + t v):
///
/// (8 F(h) - 8 F(-h) - F(2h) + F(-2h)) / (12 h) = <g, v> + O(h^4)
///
/// The logits are exact to some 1e-6, which becomes 1e-4 of it at h = 0.01.
fn check_mixed_placement<A: Arithmetic>(backbone: &Backbone<A>) {
    let model = model(backbone, &[(3, 1), (0, 1), (1, 1), (0, 3), (4, 4), (4, 2)]);
    let (_, gradients) = loss_and_gradients(&model, &ragged_inputs(), &LABELS);
    let gradients = gradients.tensors();
    assert_eq!(gradients.len(), 6 * 4 + 2);
    let step = 0.01;
    for (index, NamedTensor { name, values, .. }) in (0_u64..).zip(&gradients) {
        let gradient: Vec<f64> = values
            .iter()
            .map(|&g| f64::from(g) * LABELS.len() as f64)
            .collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        for seed in [2 * index, 2 * index + 1] {
            let direction = noise_values(values.len(), 3.0_f32.sqrt(), 500 + seed);
            let at = |distance: f64| {
                let parameters = moved(model.parameters(), name, &direction, distance as f32);
                loss(backbone, parameters)
            };
            let difference =
                (8.0 * (at(step) - at(-step)) - at(2.0 * step) + at(-2.0 * step)) / (12.0 * step);
            let pairs = gradient.iter().zip(&direction);
            let slope: f64 = pairs.map(|(g, &v)| g * f64::from(v)).sum();
            assert!(
                (difference - slope).abs() < 2e-3 * norm + 2e-4,
                "{name}: difference {difference}, slope {slope}, norm {norm}"
            );
        }
    }
}

#[test]
fn mixed_placement() {
    check_mixed_placement(&tiny_bert());
}

#[test]
fn mixed_placement_as_tensors() {
    check_mixed_placement(&tiny_bert().on(tensors()));
}

/// d loss / d bias = the mean over rows of (softmax - one-hot), computed by hand from the logits of the definition.
#[test]
fn bias_of_the_head_by_hand() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(4, 0)]);
    let (_, gradients) = loss_and_gradients(&model, &ragged_inputs(), &LABELS);
    let found = gradients.head().bias;
    let definition = definition::of(&model);
    let logits = values(&definition.logits(&ragged_inputs(), &definition.branches()));
    let classes = head().bias.len();
    for class in 0..classes {
        let rows = logits.chunks_exact(classes).zip(LABELS);
        let slopes = rows.map(|(row, label)| {
            let sum: f32 = row.iter().map(|logit| logit.exp()).sum();
            row[class].exp() / sum - f32::from(u8::from(label as usize == class))
        });
        let expected = slopes.sum::<f32>() / LABELS.len() as f32;
        assert!((found[class] - expected).abs() < 1e-5);
    }
}
