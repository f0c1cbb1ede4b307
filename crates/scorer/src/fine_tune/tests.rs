use adaplace_arithmetic::OnDevice;
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use adaplace_testkit::TextTask;

use super::*;
use crate::support::{head, model, tiny_bert, tiny_task};
use crate::tests::{error_of, loss_and_gradients};
use crate::{Parameters, evaluate};

fn factors(warm_up: f64, steps: u32) -> Vec<f64> {
    let settings = TrainingSettings {
        warm_up: Share::of(warm_up),
        ..TrainingSettings::default()
    };
    (0..steps)
        .map(|step| settings.learning_rate_factor(step, steps))
        .collect()
}

/// The rate rises in two of eight steps and falls in the others, towards zero after the last one.
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
    // A fraction of a step counts as one: 0.3 becomes 1.
    assert_eq!(factors(0.1, 3), [1.0, 1.0, 0.5]);
    assert_eq!(factors(0.1, 1), [1.0]);
}

/// A trainer with these gradients.
fn trainer<'a>(
    model: &Model<'a>,
    settings: &'a TrainingSettings,
    gradients: impl Fn(usize) -> f32,
) -> Trainer<'a> {
    let mut trainer = Trainer::new(model, settings).unwrap();
    let count = trainer.gradients.len();
    trainer.gradients = (0..count).map(gradients).collect();
    trainer
}

/// All values are one except for a two, so the norm follows from their number.
#[test]
fn clipping_shortens_all_gradients_together() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1), (0, 2)]);
    let settings = TrainingSettings {
        gradient_clip: Positive::of(1.5),
        ..TrainingSettings::default()
    };
    let mut clipped = trainer(
        &model,
        &settings,
        |index| if index == 7 { 2.0 } else { 1.0 },
    );
    // There are two adapters of rank 4 and a head of 3 classes over a width of 32.
    let count = 2 * (2 * 4 * 32 + 4 + 32) + 3 * 33;
    assert_eq!(clipped.gradients.len(), count);
    clipped.clip(0).unwrap();
    let factor = 1.5 / (count as f32 + 3.0).sqrt();
    for (index, found) in clipped.gradients.iter().enumerate() {
        let original = if index == 7 { 2.0 } else { 1.0 };
        assert!((found - factor * original).abs() < 1e-6);
    }
    // Short gradients stay as they are.
    let mut short = trainer(&model, &settings, |_| 0.01);
    short.clip(0).unwrap();
    assert!(short.gradients.iter().all(|&g| g == 0.01));
}

#[test]
fn a_gradient_that_is_not_finite_is_a_divergence() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(0, 2)]);
    let settings = TrainingSettings::default();
    let mut trainer = trainer(&model, &settings, |index| 1.0 / (index as f32 - 5.0).abs());
    let error = trainer.clip(4).unwrap_err();
    let ScoreError::Diverged { step, value, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(step, 5);
    assert!(!value.is_finite());
}

/// A training with tensors instead of the kernels takes the same course.
#[test]
fn trainings_agree_with_both_arithmetics() {
    let task = tiny_task(&TextTask::default());
    let settings = TrainingSettings::default();
    let cpu = tiny_bert();
    let tensors = tiny_bert().on(OnDevice::new(candle_core::Device::Cpu));
    let connections = [(3, 1), (0, 2), (2, 2)];
    let (found, expected) = (model(&tensors, &connections), model(&cpu, &connections));
    let found = fine_tune(&found, &task.train, &settings, 6, 1, 0).unwrap();
    let expected = fine_tune(&expected, &task.train, &settings, 6, 1, 0).unwrap();
    assert!((found.train_loss - expected.train_loss).abs() < 1e-5);
    let evaluated = Model::new(&tensors, found.parameters).unwrap();
    let evaluated = evaluate(&evaluated, &task.validation, 16).unwrap();
    let same = Model::new(&cpu, expected.parameters).unwrap();
    let same = evaluate(&same, &task.validation, 16).unwrap();
    assert!(
        (evaluated.loss - same.loss).abs() < 1e-4,
        "{evaluated:?} {same:?}"
    );
}

/// The loss of a batch is the mean over its examples, however it is cut into shards, and its gradient is the one of the
/// whole batch at once.
#[test]
fn shards_add_up_to_the_batch() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1), (0, 2)]);
    let task = tiny_task(&TextTask::default());
    let rows: Vec<usize> = (0..task.train.len()).collect();
    let settings = TrainingSettings::default();
    let mut trainer = Trainer::new(&model, &settings).unwrap();
    let data = Dataset::from(&task.train);
    assert!(shards(&backbone, data, &rows).unwrap().len() > 1);
    let loss = trainer.loss_and_gradients(data, &rows).unwrap();
    let inputs = crate::inputs::inputs(&task.train, &rows);
    let (expected, gradients) = loss_and_gradients(&model, &inputs, &task.train.labels);
    assert!((loss - expected).abs() < 1e-6);
    let found = model.parameters().with_values(trainer.gradients);
    let pairs = found.tensors().into_iter().zip(gradients.tensors());
    for (found, expected) in pairs {
        assert!(error_of(&found.values, &expected.values) < 1e-5);
    }
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

/// The order follows from seed and repetition, and does not depend on the placement.
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

/// A trainer on the tiny task with a learned scale. Its values are drawn at random, so no gradient is zero.
fn with_learned_scale<'a>(model: &Model<'a>, settings: &'a TrainingSettings) -> Trainer<'a> {
    let mut trainer = Trainer::new(model, settings).unwrap();
    let scale = trainer.learned_scale.as_mut().unwrap();
    let mut state = 1_u32;
    for value in scale.trained() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value += 0.2 * (f32::from((state >> 16) as u16) / 32_768.0 - 1.0);
    }
    let layout = trainer.engine.layout();
    scale.merge(layout, &mut trainer.values);
    trainer
}

/// Compares with central differences of the loss with respect to W_up, b_up and s, and with respect to values without a
/// scale.
#[test]
fn gradients_of_a_learned_scale_are_those_of_differences() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1), (2, 2)]);
    let task = tiny_task(&TextTask::default());
    let rows: Vec<usize> = (0..8).collect();
    let data = Dataset::from(&task.train);
    let settings = TrainingSettings {
        learned_scale: true,
        ..TrainingSettings::default()
    };
    let mut trainer = with_learned_scale(&model, &settings);
    trainer.loss_and_gradients(data, &rows).unwrap();
    let (length, count) = (trainer.engine.layout().len(), trainer.gradients.len());
    assert_eq!(count, length + 2 * 32);
    let mut gradients = trainer.gradients.clone();
    let scale = trainer.learned_scale.as_ref().unwrap();
    scale.pull_back(trainer.engine.layout(), &mut gradients);
    let largest = gradients.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
    let mut loss_at = |index: usize, by: f32| {
        let scale = trainer.learned_scale.as_mut().unwrap();
        scale.trained()[index] += by;
        scale.merge(trainer.engine.layout(), &mut trainer.values);
        let loss = trainer.loss_and_gradients(data, &rows).unwrap();
        trainer.learned_scale.as_mut().unwrap().trained()[index] -= by;
        loss
    };
    for index in (0..length).step_by(37).chain((length..count).step_by(3)) {
        let difference = loss_at(index, 1e-2) - loss_at(index, -1e-2);
        let (found, expected) = (f64::from(gradients[index]), difference / 2e-2);
        assert!(
            (found - expected).abs() < 2e-3 * f64::from(largest),
            "value {index}: {found}, by differences {expected}"
        );
    }
}

/// At first W_up is zero and s is one, so the first step is the same as without a scale and leaves s unchanged.
#[test]
fn a_learned_scale_changes_the_course_from_the_second_step_on() {
    let backbone = tiny_bert();
    let adapter = AdapterSpec::new(4, 1.0).unwrap();
    let placement: Placement = [(3, 1), (2, 2)]
        .map(|(source, target)| (Connection::new(source, target), adapter))
        .into_iter()
        .collect();
    let parameters = Parameters::initial(&placement, &head(), 0, 0);
    let model = Model::new(&backbone, parameters).unwrap();
    let task = tiny_task(&TextTask::default());
    let rows: Vec<usize> = (0..8).collect();
    let plain = TrainingSettings::default();
    let scaled = TrainingSettings {
        learned_scale: true,
        ..plain
    };
    let after = |settings: &TrainingSettings, steps: u32| {
        let mut trainer = Trainer::new(&model, settings).unwrap();
        for step in 0..steps {
            let data = Dataset::from(&task.train);
            trainer.step(data, &rows, step, 1.0).unwrap();
        }
        trainer.values
    };
    assert_eq!(after(&plain, 1).len(), after(&scaled, 1).len());
    let moved = |steps| {
        let pairs = after(&plain, steps).into_iter().zip(after(&scaled, steps));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max)
    };
    // This is the weight decay of s: 1e-4 of the rate.
    assert!(moved(1) < 1e-8, "{}", moved(1));
    assert!(moved(3) > 1e-5, "{}", moved(3));
}
