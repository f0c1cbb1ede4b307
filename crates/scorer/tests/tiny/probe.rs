//! The linear probe compared with closed forms and finite differences.

use adaplace_scorer::{Features, LinearProbe};
use candle_core::{Device, Tensor};

use crate::support::noise_values;

/// The points x = +1 with labels 1, 1, 1, 0 and x = -1 with the mirror image, as a x + b. Before that they have mean 0
/// and deviation 1.
fn two_points(slope: f32, shift: f32) -> Features {
    let rows = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    let rows = rows.map(|x| vec![slope * x + shift]);
    Features::new(rows.to_vec(), vec![1, 1, 1, 0, 0, 0, 0, 1])
}

/// The same points with every label inverted.
fn turned() -> Features {
    let rows = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0].map(|x| vec![x]);
    Features::new(rows.to_vec(), vec![0, 0, 0, 1, 1, 1, 1, 0])
}

/// By symmetry b = 0 and W = (-u, u), so the logits differ by 2u at x = 1. With s = 1 / (1 + exp(-2u)) the loss is -(3
/// ln s + ln(1 - s)) / 4 + l2 u^2, which is stationary at s - 3/4 + l2 u = 0. The root is found by bisection.
fn stationary(l2: f64) -> f64 {
    let slope = |u: f64| 1.0 / (1.0 + (-2.0 * u).exp()) - 0.75 + l2 * u;
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Validation data with inverted labels demand the smallest possible weights, and the training data as validation data
/// the largest.
#[test]
fn two_points_have_the_optimum_of_their_scalar_equation() {
    let cases = [(turned(), 1.0), (two_points(1.0, 0.0), 1e-6)];
    for (validation, l2) in cases {
        let probe = LinearProbe::fit(&two_points(1.0, 0.0), &validation, 2).unwrap();
        assert_eq!(probe.l2, l2);
        let u = stationary(l2);
        for (found, expected) in probe.weight.iter().zip([-u, u]) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{probe:?}");
        }
        assert!(probe.bias.iter().all(|bias| bias.abs() < 1e-4), "{probe:?}");
        let share = 1.0 / (1.0 + (-2.0 * u).exp());
        let loss = -0.75 * share.ln() - 0.25 * (1.0 - share).ln();
        assert!((probe.train.loss - loss).abs() < 2e-5);
        assert_eq!(
            (probe.train.measures.accuracy(), probe.train.examples),
            (Some(0.75), 8)
        );
    }
}

/// The head works on the raw features: a x + b has the weight u / a, and the same logits.
#[test]
fn shift_and_scale_of_the_features_change_no_prediction() {
    let plain = LinearProbe::fit(&two_points(1.0, 0.0), &turned(), 2).unwrap();
    let turned = Features::new(
        [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]
            .map(|x| vec![7.0 * x + 3.0])
            .to_vec(),
        vec![0, 0, 0, 1, 1, 1, 1, 0],
    );
    let moved = LinearProbe::fit(&two_points(7.0, 3.0), &turned, 2).unwrap();
    assert_eq!(moved.l2, plain.l2);
    assert!((moved.weight[1] - plain.weight[1] / 7.0).abs() < 1e-5);
    assert!((moved.train.loss - plain.train.loss).abs() < 1e-6);
    let logits = |probe: &LinearProbe, x: f32| probe.weight[1] * x + probe.bias[1];
    assert!((logits(&moved, 10.0) - logits(&plain, 1.0)).abs() < 1e-4);
    assert!((logits(&moved, -4.0) - logits(&plain, -1.0)).abs() < 1e-4);
}

struct Cloud {
    rows: Vec<Vec<f32>>,
    labels: Vec<u32>,
}

/// 60 points with 5 features and 3 classes. The label follows the first two features, plus noise.
fn cloud(seed: u64) -> Cloud {
    let values = noise_values(60 * 5, 2.0, seed);
    let rows: Vec<Vec<f32>> = values.chunks_exact(5).map(<[f32]>::to_vec).collect();
    let errors = noise_values(60, 1.0, seed + 1);
    let label = |(row, error): (&Vec<f32>, f32)| match row[0] + 0.5 * row[1] + error {
        sum if sum < -0.7 => 0,
        sum if sum < 0.7 => 1,
        _ => 2,
    };
    let labels = rows.iter().zip(errors).map(label).collect();
    Cloud { rows, labels }
}

impl Cloud {
    fn features(&self) -> Features {
        Features::new(self.rows.clone(), self.labels.clone())
    }

    /// The documented objective at W and b in the units of the features: (1/n) sum CE + (l2/2) |deviation W|^2.
    fn objective(&self, weight: &[f64], bias: &[f64], l2: f64) -> f64 {
        let rows = self.rows.iter().zip(&self.labels);
        let losses = rows.map(|(row, &label)| {
            let logits: Vec<f64> = weight
                .chunks(5)
                .zip(bias)
                .map(|(w, b)| {
                    b + w
                        .iter()
                        .zip(row)
                        .map(|(w, &x)| w * f64::from(x))
                        .sum::<f64>()
                })
                .collect();
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            sum.ln() - logits[label as usize]
        });
        let squares: f64 = weight.iter().map(|w| w * w).sum();
        losses.sum::<f64>() / 60.0 + 0.5 * l2 * self.variance() * squares
    }

    /// The mean square of all features minus their mean.
    fn variance(&self) -> f64 {
        let column = |c: usize| self.rows.iter().map(move |row| f64::from(row[c]));
        let squares = (0..5).map(|c| {
            let mean = column(c).sum::<f64>() / 60.0;
            column(c).map(|x| (x - mean).powi(2)).sum::<f64>()
        });
        squares.sum::<f64>() / 300.0
    }
}

/// The gradient of the documented objective, by central differences, is zero at the solution and only there.
#[test]
fn solution_is_stationary() {
    let (train, validation) = (cloud(1), cloud(11));
    let probe = LinearProbe::fit(&train.features(), &validation.features(), 3).unwrap();
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (weight, bias) = (wide(&probe.weight), wide(&probe.bias));
    let slope = |index: usize, weight: &[f64]| {
        let at = |distance: f64| {
            let (mut weight, mut bias) = (weight.to_vec(), bias.clone());
            match index.checked_sub(15) {
                None => weight[index] += distance,
                Some(class) => bias[class] += distance,
            }
            train.objective(&weight, &bias, probe.l2)
        };
        (at(1e-4) - at(-1e-4)) / 2e-4
    };
    for index in 0..18 {
        assert!(
            slope(index, &weight).abs() < 5e-5,
            "{index}: {}",
            slope(index, &weight)
        );
    }
    let shorter: Vec<f64> = weight.iter().map(|w| 0.9 * w).collect();
    assert!((0..18).any(|index| slope(index, &shorter).abs() > 1e-3));
}

/// The reported losses are those of the head on the features.
#[test]
fn losses_are_those_of_the_head() {
    let (train, validation) = (cloud(1), cloud(11));
    let probe = LinearProbe::fit(&train.features(), &validation.features(), 3).unwrap();
    let head = probe.head();
    let shape = (3, head.weight.len() / 3);
    let weight = Tensor::from_vec(head.weight, shape, &Device::Cpu).unwrap();
    let bias = Tensor::from_vec(head.bias, 3, &Device::Cpu).unwrap();
    for (cloud, reported) in [(train, probe.train), (validation, probe.validation)] {
        let features = Tensor::new(cloud.rows, &Device::Cpu).unwrap();
        let scores = features.matmul(&weight.t().unwrap()).unwrap();
        let logits = scores.broadcast_add(&bias).unwrap();
        let loss = adaplace_reference::loss(&logits, &cloud.labels).unwrap();
        let loss = f64::from(loss.to_scalar::<f32>().unwrap()) / 60.0;
        assert!((loss - reported.loss).abs() < 1e-5, "{loss}, {reported:?}");
        let best: Vec<u32> = logits.argmax(1).unwrap().to_vec1().unwrap();
        let correct = best
            .iter()
            .zip(&cloud.labels)
            .filter(|(a, b)| a == b)
            .count();
        assert_eq!(reported.measures.accuracy(), Some(correct as f64 / 60.0));
    }
}

/// No other strength has a lower validation loss. With more data of the same kind, less regularisation is chosen.
#[test]
fn strength_is_chosen_by_the_validation_part() {
    let train = cloud(1);
    let strength = |validation: &Cloud| {
        let probe = LinearProbe::fit(&train.features(), &validation.features(), 3).unwrap();
        probe.l2
    };
    assert_eq!(strength(&train), 1e-6);
    let turned = Cloud {
        rows: train.rows.clone(),
        labels: train.labels.iter().map(|label| 2 - label).collect(),
    };
    assert_eq!(strength(&turned), 1.0);
    let other = strength(&cloud(11));
    assert!(1e-6 < other && other < 1.0, "{other}");
}

/// If nothing distinguishes the examples, the bias alone represents the classes' shares 1/2, 1/3 and 1/6.
#[test]
fn features_all_alike_leave_the_prior() {
    let features = Features::new(vec![vec![2.0, -1.0]; 6], vec![0, 0, 0, 1, 1, 2]);
    let probe = LinearProbe::fit(&features, &features, 3).unwrap();
    assert!(probe.weight.iter().all(|w| w.abs() < 1e-6), "{probe:?}");
    let difference = |a: usize, b: usize| f64::from(probe.bias[a] - probe.bias[b]);
    assert!((difference(0, 1) - 1.5_f64.ln()).abs() < 2e-4, "{probe:?}");
    assert!((difference(1, 2) - 2.0_f64.ln()).abs() < 2e-4, "{probe:?}");
}

/// Separable classes have no optimum without regularisation, but have one with it.
#[test]
fn separable_classes_have_finite_weights() {
    let rows = (0..20).map(|index| vec![if index % 2 == 0 { -3.0 } else { 3.0 }, 0.1]);
    let features = Features::new(
        rows.collect(),
        (0..20).map(|index| index % 2).collect::<Vec<u32>>(),
    );
    let probe = LinearProbe::fit(&features, &features, 2).unwrap();
    assert!(probe.weight.iter().all(|w| w.is_finite()));
    assert_eq!(probe.train.measures.accuracy(), Some(1.0));
    assert!(probe.train.loss < 1e-3);
}

#[test]
fn features_that_are_not_finite_are_an_error() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut rows = cloud(1).rows;
        rows[7][2] = value;
        let features = Features::new(rows, cloud(1).labels);
        let probe = LinearProbe::fit(&features, &cloud(11).features(), 3);
        assert!(probe.is_err(), "{probe:?}");
        let probe = LinearProbe::fit(&cloud(11).features(), &features, 3);
        assert!(probe.is_err(), "{probe:?}");
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let (train, validation) = (cloud(1), cloud(11));
    // 300 examples are three tasks.
    let repeated = Features::new(vec![train.rows; 5].concat(), train.labels.repeat(5));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let fit = || LinearProbe::fit(&repeated, &validation.features(), 3);
        pool.build().unwrap().install(fit).unwrap()
    };
    assert_eq!(with(1), with(2));
}
