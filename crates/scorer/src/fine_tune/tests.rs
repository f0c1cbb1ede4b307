use super::*;
use crate::support::{model, tiny_bert, values};

fn factors(warm_up: f64, steps: u32) -> Vec<f64> {
    let settings = TrainingSettings {
        warm_up,
        ..TrainingSettings::default()
    };
    (0..steps)
        .map(|step| settings.learning_rate_factor(step, steps))
        .collect()
}

/// Two of eight steps climb, the others fall towards the zero behind the last one.
#[test]
fn learning_rate_climbs_and_falls_linearly() {
    assert_eq!(
        factors(0.25, 8),
        [
            0.5,
            1.0,
            1.0,
            5.0 / 6.0,
            4.0 / 6.0,
            3.0 / 6.0,
            2.0 / 6.0,
            1.0 / 6.0
        ]
    );
    assert_eq!(factors(0.0, 4), [1.0, 0.75, 0.5, 0.25]);
    assert_eq!(factors(1.0, 4), [0.25, 0.5, 0.75, 1.0]);
    // a part of a step counts as one: 0.3 -> 1
    assert_eq!(factors(0.1, 3), [1.0, 1.0, 0.5]);
    assert_eq!(factors(0.1, 1), [1.0]);
}

fn norm(gradients: &GradStore, vars: &[Var]) -> f64 {
    let squares = vars
        .iter()
        .flat_map(|var| values(gradients.get(var).unwrap()));
    squares.map(|g| f64::from(g).powi(2)).sum::<f64>().sqrt()
}

/// The gradient of `factor` times the sum of the logits' squares.
fn gradients(model: &Model<'_>, factor: f64) -> GradStore {
    let logits = model.logits(&crate::support::ragged_inputs()).unwrap();
    let loss = (logits.sqr().unwrap().sum_all().unwrap() * factor).unwrap();
    loss.backward().unwrap()
}

#[test]
fn clipping_shortens_all_gradients_together() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1), (0, 2)]);
    let unclipped = gradients(&model, 1.0);
    let all = norm(
        &unclipped,
        &Optimiser::new(&model, &TrainingSettings::default())
            .unwrap()
            .vars,
    );
    let settings = TrainingSettings {
        gradient_clip: 0.25 * all,
        ..TrainingSettings::default()
    };
    let optimiser = Optimiser::new(&model, &settings).unwrap();
    assert_eq!(optimiser.vars.len(), 2 * 4 + 2);
    let mut clipped = gradients(&model, 1.0);
    optimiser.clip(&mut clipped, 0).unwrap();
    assert!((norm(&clipped, &optimiser.vars) / (0.25 * all) - 1.0).abs() < 1e-5);
    // the direction stays
    for var in &optimiser.vars {
        let (found, original) = (clipped.get(var).unwrap(), unclipped.get(var).unwrap());
        for (found, original) in values(found).into_iter().zip(values(original)) {
            assert!((found - 0.25 * original).abs() <= 1e-5 * original.abs());
        }
    }
    // short ones stay as they are
    let (mut short, untouched) = (gradients(&model, 0.1), gradients(&model, 0.1));
    optimiser.clip(&mut short, 0).unwrap();
    for var in &optimiser.vars {
        assert_eq!(
            values(short.get(var).unwrap()),
            values(untouched.get(var).unwrap())
        );
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_a_divergence() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(0, 2)]);
    let settings = TrainingSettings::default();
    let optimiser = Optimiser::new(&model, &settings).unwrap();
    let mut gradients = gradients(&model, f64::INFINITY);
    let error = optimiser.clip(&mut gradients, 4).unwrap_err();
    let ScoreError::Diverged { step, value, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(step, 5);
    assert!(!value.is_finite());
}

#[test]
fn every_epoch_has_every_example_once() {
    let lengths: Vec<usize> = (0..60).map(|example| 2 + example * 7 % 11).collect();
    let mut order = ExampleOrder::new(lengths, 16, 7, 0);
    let mut epoch = || -> Vec<usize> { (0..4).flat_map(|_| order.next_batch()).collect() };
    let (first, second) = (epoch(), epoch());
    assert_ne!(first, second);
    for mut found in [first, second] {
        found.sort_unstable();
        assert_eq!(found, (0..60).collect::<Vec<_>>());
    }
}

/// The order follows from seed and repetition, and from nothing of the placement.
#[test]
fn the_order_is_that_of_seed_and_repetition() {
    let order = |seed, repetition| -> Vec<Vec<usize>> {
        let mut order = ExampleOrder::new(vec![3; 60], 16, seed, repetition);
        (0..10).map(|_| order.next_batch()).collect()
    };
    assert_eq!(order(7, 0), order(7, 0));
    assert_ne!(order(7, 0), order(7, 1));
    assert_ne!(order(7, 0), order(8, 0));
}
