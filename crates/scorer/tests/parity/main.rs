//! The engine against the outputs of an independent PyTorch definition, on two real backbones.
//!
//! The fixtures and backbones lie outside of the project (`ADAPLACE_SHARED`, else `../shared` beside the checkout);
//! without them these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use adaplace_scorer::{GradientMap, GradientMapSettings, Model};
use adaplace_search_space::Connection;
use candle_core::{D, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use fixture::Fixture;

const BACKBONES: [(&str, &str); 2] = [("minilm-l6", "minilm"), ("dinov2-s-98", "dinov2")];

fn for_fixtures(check: impl Fn(&Fixture)) {
    for (backbone, outputs) in BACKBONES {
        match Fixture::open(backbone, outputs) {
            Some(fixture) => check(&fixture),
            None => eprintln!("skipped: no parity fixtures for `{backbone}` (see ADAPLACE_SHARED)"),
        }
    }
}

/// The largest difference, as a share of the largest expected absolute value.
fn relative_maximum(found: &Tensor, expected: &Tensor) -> f64 {
    let largest = |tensor: &Tensor| -> f64 {
        let tensor = tensor.abs().unwrap().flatten_all().unwrap();
        f64::from(tensor.max(D::Minus1).unwrap().to_scalar::<f32>().unwrap())
    };
    largest(&(found - expected).unwrap()) / largest(expected)
}

/// |found - expected| / |expected| in the Frobenius norm.
fn relative_frobenius(found: &Tensor, expected: &Tensor) -> f64 {
    let norm = |tensor: &Tensor| -> f64 {
        let sum = tensor.sqr().unwrap().sum_all().unwrap();
        f64::from(sum.to_scalar::<f32>().unwrap()).sqrt()
    };
    norm(&(found - expected).unwrap()) / norm(expected)
}

#[test]
fn states_logits_loss_and_gradients_of_every_case() {
    for_fixtures(|fixture| {
        let (mut worst_state, mut worst_loss, mut worst_gradient) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (case, connections) in fixture.cases() {
            let adapters = fixture.adapters(&case, &connections);
            let model = Model::new(fixture.backbone(), adapters, fixture.head()).unwrap();
            for (n, state) in model.states(&fixture.inputs()).unwrap().iter().enumerate() {
                let expected = fixture.tensor(&format!("{case}/state.{n}"));
                let error = relative_maximum(&state.narrow(1, 0, 4).unwrap(), &expected);
                assert!(error < 1e-4, "{case}: state {n} is {error:e} off");
                worst_state = worst_state.max(error);
            }
            let logits = model.logits(&fixture.inputs()).unwrap();
            let error = relative_maximum(&logits, &fixture.tensor(&format!("{case}/logits")));
            assert!(error < 1e-4, "{case}: logits are {error:e} off");

            let loss = candle_nn::loss::cross_entropy(&logits, &fixture.labels()).unwrap();
            let expected = fixture.tensor(&format!("{case}/loss")).squeeze(0).unwrap();
            let difference = (&loss - expected).unwrap().to_scalar::<f32>().unwrap();
            assert!(
                difference.abs() < 1e-5,
                "{case}: loss is {difference:e} off"
            );
            worst_loss = worst_loss.max(f64::from(difference.abs()));

            let gradients = loss.backward().unwrap();
            let mut compare = |var: &Var, name: String| {
                let found = gradients
                    .get(var)
                    .expect("every trained tensor has a gradient");
                let error = relative_frobenius(found, &fixture.tensor(&name));
                assert!(error < 1e-3, "{name} is {error:e} off");
                worst_gradient = worst_gradient.max(error);
            };
            compare(&model.head().weight, format!("{case}/grad.head.weight"));
            compare(&model.head().bias, format!("{case}/grad.head.bias"));
            for adapter in model.adapters().iter() {
                let Connection { source, target } = adapter.connection;
                let names = ["down.weight", "down.bias", "up.weight", "up.bias"];
                for (var, name) in adapter.vars().zip(names) {
                    compare(var, format!("{case}/grad.{source}-{target}.{name}"));
                }
            }
        }
        println!(
            "{}: worst state {worst_state:.1e}, loss {worst_loss:.1e}, gradient {worst_gradient:.1e}",
            fixture.name()
        );
    });
}

#[test]
fn singular_values_of_every_gradient_matrix() {
    for_fixtures(|fixture| {
        let adapters = fixture.adapters("frozen", &[]);
        let model = Model::new(fixture.backbone(), adapters, fixture.head()).unwrap();
        let settings = GradientMapSettings::default();
        let batch = (fixture.inputs(), fixture.labels());
        let map = GradientMap::from_batches(&model, [Ok(batch)], &settings).unwrap();
        let expected = fixture
            .tensor("gradient/singular_values")
            .to_vec3::<f32>()
            .unwrap();
        let norms = fixture
            .tensor("gradient/frobenius")
            .to_vec2::<f32>()
            .unwrap();
        let mut worst = 0.0_f64;
        for (source, row) in expected.iter().enumerate() {
            for (target, expected) in row.iter().enumerate() {
                let connection = Connection {
                    source: source as u16,
                    target: target as u16,
                };
                let found = map.singular_values(connection);
                for (found, &expected_value) in found.iter().zip(expected) {
                    let error = (found - f64::from(expected_value)).abs() / f64::from(expected[0]);
                    assert!(
                        error < 1e-3,
                        "{connection}: singular value is {error:e} off"
                    );
                    worst = worst.max(error);
                }
                let norm = found.iter().map(|s| s * s).sum::<f64>().sqrt();
                let expected = f64::from(norms[source][target]);
                assert!(
                    (norm - expected).abs() < 1e-3 * expected,
                    "{connection}: norm {norm}"
                );
            }
        }
        println!("{}: worst singular value {worst:.1e}", fixture.name());
    });
}

#[test]
fn twenty_training_steps() {
    for_fixtures(|fixture| {
        let connections = fixture.training_connections();
        let adapters = fixture.adapters("training", &connections);
        let model = Model::new(fixture.backbone(), adapters, fixture.head()).unwrap();
        let mut vars = vec![model.head().weight.clone(), model.head().bias.clone()];
        vars.extend(model.adapters().vars());
        let parameters = ParamsAdamW {
            lr: 2e-3,
            weight_decay: 1e-2,
            ..ParamsAdamW::default()
        };
        let mut optimiser = AdamW::new(vars, parameters).unwrap();
        let expected = fixture.tensor("training/losses").to_vec1::<f32>().unwrap();
        assert_eq!(expected.len(), 20);
        let mut worst = 0.0_f32;
        for (step, expected) in expected.iter().enumerate() {
            let logits = model.logits(&fixture.inputs()).unwrap();
            let loss = candle_nn::loss::cross_entropy(&logits, &fixture.labels()).unwrap();
            let value = loss
                .to_device(&Device::Cpu)
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            let error = (value - expected).abs() / expected;
            assert!(
                error < 0.01,
                "step {step}: loss {value}, expected {expected}"
            );
            worst = worst.max(error);
            optimiser.backward_step(&loss).unwrap();
        }
        println!("{}: worst training loss {worst:.1e}", fixture.name());
    });
}
