//! Losses, gradients, measures and probes compared with PyTorch, scikit-learn, scipy and seqeval. `tests/fixtures/measures.py`
//! wrote what they compute.

use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_task::{Examples, Inputs, Labels, Scale, TagScheme, Texts, TokenLabel};
use serde::Deserialize;

use super::tensors;
use crate::row_loss::targets;
use crate::{Evaluation, Features, LinearProbe, Measures, OfNumbers, OfSets};

#[derive(Deserialize)]
struct Fixture {
    numbers: Vec<Numbers>,
    sets: Vec<Sets>,
    weighted: Weighted,
    ridge: Vec<OfRidge>,
    tags: Vec<Tags>,
}

#[derive(Deserialize)]
struct Tags {
    name: String,
    names: Vec<String>,
    labels: Vec<Vec<u32>>,
    logits: Vec<Vec<f64>>,
    loss: f64,
    gradient: Vec<f64>,
    entity_precision: f64,
    entity_recall: f64,
    entity_f1: f64,
    token_accuracy: f64,
    macro_f1: f64,
}

#[derive(Deserialize)]
struct Numbers {
    name: String,
    logits: Vec<f64>,
    labels: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    /// None for constant predictions, which have no correlation.
    pearson: Option<f64>,
    spearman: Option<f64>,
    r2: f64,
    root_mean_squared_error: f64,
}

#[derive(Deserialize)]
struct Sets {
    name: String,
    logits: Vec<Vec<f64>>,
    sets: Vec<Vec<u32>>,
    loss: f64,
    gradient: Vec<f64>,
    micro_f1: f64,
    macro_f1: f64,
    mean_average_precision: f64,
    exact_match: f64,
}

#[derive(Deserialize)]
struct Weighted {
    labels: Vec<u32>,
    logits: Vec<Vec<f64>>,
    weights: Vec<f32>,
    loss: f64,
    gradient: Vec<f64>,
    accuracy: f64,
    macro_f1: f64,
}

#[derive(Deserialize)]
struct OfRidge {
    features: Vec<Vec<f32>>,
    labels: Vec<f64>,
    l2: f64,
    weight: Vec<f64>,
    loss: f64,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../tests/fixtures/measures.json")).unwrap()
}

/// Numbers that are not scaled.
const PLAIN: Scale = Scale {
    mean: 0.0,
    deviation: 1.0,
};

fn assert_close(found: f64, expected: f64, tolerance: f64, context: &str) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{context}: {found} is not {expected}"
    );
}

/// Checks the evaluation's loss, and the mean loss and its gradient of both arithmetics.
fn check_loss(
    labels: &Labels,
    weights: Option<&Vec<f32>>,
    logits: &[f64],
    (loss, gradient): (f64, &[f64]),
    context: &str,
) -> Measures {
    let evaluation = Evaluation::of_logits(logits, labels, weights.map(Vec::as_slice));
    assert_close(evaluation.loss, loss, 1e-7, context);
    let examples = Examples {
        inputs: Inputs::Text(Texts { texts: Vec::new() }),
        labels: labels.clone(),
        class_weights: weights.map(|weights| of_classes(labels, weights)),
    };
    let rows: Vec<usize> = (0..labels.len()).collect();
    on_arithmetic(
        &Cpu::default(),
        &examples,
        &rows,
        logits,
        (loss, gradient),
        context,
    );
    on_arithmetic(
        &tensors(),
        &examples,
        &rows,
        logits,
        (loss, gradient),
        context,
    );
    evaluation.measures
}

/// The weight of each class, from those of the examples.
fn of_classes(labels: &Labels, weights: &[f32]) -> Vec<f32> {
    let classes = labels.classes().unwrap();
    let mut of_classes = vec![0.0; 1 + *classes.iter().max().unwrap() as usize];
    for (&class, &weight) in classes.iter().zip(weights) {
        of_classes[class as usize] = weight;
    }
    of_classes
}

fn on_arithmetic<A: Arithmetic>(
    arithmetic: &A,
    examples: &Examples,
    rows: &[usize],
    logits: &[f64],
    (loss, gradient): (f64, &[f64]),
    context: &str,
) {
    let total = examples.total_weight(rows);
    let targets = arithmetic.targets(targets(examples, rows)).unwrap();
    let fill = |to: &mut [f32]| {
        for (to, logit) in to.iter_mut().zip(logits) {
            *to = *logit as f32;
        }
    };
    let mut buffer = A::Buffer::default();
    let predictions = examples.predictions(rows);
    let shape = (predictions, logits.len() / predictions);
    arithmetic.write(shape, fill, &mut buffer).unwrap();
    let losses = arithmetic.loss(&targets, 1, 1.0 / total as f32, &mut buffer);
    let losses = arithmetic.numbers(&[losses.unwrap()]).unwrap();
    assert_close(losses[0][0] / total, loss, 1e-6, context);
    for (found, expected) in arithmetic.read(&buffer).unwrap().iter().zip(gradient) {
        assert_close(f64::from(*found), *expected, 1e-7, context);
    }
}

#[test]
fn numbers_are_those_of_scipy() {
    for of in fixture().numbers {
        let labels = Labels::Numbers {
            numbers: of.labels,
            scale: PLAIN,
        };
        let expected = (of.loss, &of.gradient[..]);
        let measures = check_loss(&labels, None, &of.logits, expected, &of.name);
        let Measures::Numbers(OfNumbers {
            pearson,
            spearman,
            r2,
            root_mean_squared_error,
        }) = measures
        else {
            panic!("{measures:?}");
        };
        for (found, expected) in [
            (pearson, of.pearson.unwrap_or(0.0)),
            (spearman, of.spearman.unwrap_or(0.0)),
            (r2, of.r2),
            (root_mean_squared_error, of.root_mean_squared_error),
        ] {
            assert_close(found, expected, 1e-12, &of.name);
        }
    }
}

#[test]
fn sets_are_those_of_scikit_learn() {
    for of in fixture().sets {
        let logits = of.logits.concat();
        let labels = Labels::Sets {
            classes: of.logits[0].len(),
            sets: of.sets,
        };
        let expected = (of.loss, &of.gradient[..]);
        let measures = check_loss(&labels, None, &logits, expected, &of.name);
        let Measures::Sets(OfSets {
            micro_f1,
            macro_f1,
            mean_average_precision,
            exact_match,
        }) = measures
        else {
            panic!("{measures:?}");
        };
        for (found, expected) in [
            (micro_f1, of.micro_f1),
            (macro_f1, of.macro_f1),
            (mean_average_precision, of.mean_average_precision),
            (exact_match, of.exact_match),
        ] {
            assert_close(found, expected, 1e-12, &of.name);
        }
    }
}

#[test]
fn tags_are_those_of_seqeval() {
    for of in fixture().tags {
        let labelled = |classes: &Vec<u32>| {
            let tokens = (1..).zip(classes);
            tokens
                .map(|(token, &class)| TokenLabel { token, class })
                .collect()
        };
        let labels = Labels::Tags {
            tags: of.labels.iter().map(labelled).collect(),
            scheme: TagScheme::of(&of.names),
        };
        let expected = (of.loss, &of.gradient[..]);
        let measures = check_loss(&labels, None, &of.logits.concat(), expected, &of.name);
        let Measures::Tags(found) = measures else {
            panic!("{measures:?}");
        };
        for (found, expected) in [
            (found.entity_precision, of.entity_precision),
            (found.entity_recall, of.entity_recall),
            (found.entity_f1, of.entity_f1),
            (found.token_accuracy, of.token_accuracy),
            (found.macro_f1, of.macro_f1),
        ] {
            assert_close(found, expected, 1e-12, &of.name);
        }
    }
}

#[test]
fn weighted_classes_are_those_of_pytorch() {
    let of = fixture().weighted;
    let labels = Labels::Classes(of.labels);
    let expected = (of.loss, &of.gradient[..]);
    let logits = of.logits.concat();
    let measures = check_loss(&labels, Some(&of.weights), &logits, expected, "weighted");
    assert_close(measures.accuracy().unwrap(), of.accuracy, 1e-12, "accuracy");
    let by_class = measures.by_class().unwrap();
    assert_close(by_class.macro_f1, of.macro_f1, 1e-12, "macro F1");
}

#[test]
fn a_probe_of_numbers_is_ridge_regression() {
    for of in fixture().ridge {
        let labels = Labels::Numbers {
            numbers: of.labels,
            scale: PLAIN,
        };
        let features = Features::new(of.features, labels);
        let probe = LinearProbe::with_strength(&features, of.l2).unwrap();
        for (found, expected) in probe.weight.iter().zip(&of.weight) {
            assert_close(f64::from(*found), *expected, 1e-6, "weight");
        }
        assert_close(probe.train.loss, of.loss, 1e-9, "loss");
    }
}
