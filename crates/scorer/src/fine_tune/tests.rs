use adaplace_arithmetic::Cpu;
use adaplace_backbone::Backbone;
use adaplace_search_space::{AdapterSpec, Connection, Count, Placement, Positive};
use adaplace_task::{Encoder, ImageEncoder, Task, TaskOptions};
use adaplace_testkit::{ImageTask, TextTask, TinyVit, image_task};

use super::course::Norms;
use super::learned_scale::ScaledUpdate;
use super::trainer::Update;
use super::*;
use crate::engine::shards;
use crate::support::{WIDTH, head, model, tiny_bert, tiny_task};
use crate::tests::{error_of, loss_and_gradients, tensors};
use crate::{Parameters, evaluate, evaluate_together};

/// The first of two models loses its loss in the third step, and the other one its gradient in the fifth.
#[test]
fn a_number_that_is_not_finite_is_a_divergence() {
    let mut course = Course::<Cpu>::new(2);
    for step in 0..6 {
        let lost = if step >= 2 { f64::NAN } else { 1.0 };
        // There are two shards, with four examples together.
        course.add_losses(vec![vec![lost, 3.0], vec![1.0, 5.0]], 4.0);
        let norm = if step == 4 { f64::INFINITY } else { 1.0 };
        course.add_norms(Norms::Known(vec![1.0, norm]));
        if step % 2 == 0 {
            course.settle(&Cpu::default()).unwrap();
        }
        assert_eq!(course.is_over(), step >= 4);
    }
    course.settle(&Cpu::default()).unwrap();
    let mut errors = course.into_outcomes(3).into_iter().map(Result::unwrap_err);
    for (expected, name) in [(3, "training loss"), (5, "gradient's norm")] {
        match errors.next() {
            Some(ScoreError::Diverged { step, quantity, .. }) => {
                assert_eq!((step, quantity), (expected, name));
            }
            other => panic!("{other:?}"),
        }
    }

    let mut course = Course::<Cpu>::new(1);
    for loss in [8.0, 4.0, 2.0] {
        course.add_losses(vec![vec![loss]], 2.0);
    }
    course.settle(&Cpu::default()).unwrap();
    assert_eq!(course.into_outcomes(2)[0].as_ref().ok(), Some(&1.5));
}

/// A training with tensors instead of the kernels takes the same course.
#[test]
fn trainings_agree_with_both_arithmetics() {
    let task = tiny_task(&TextTask::default());
    let settings = TrainingSettings::default();
    let cpu = tiny_bert();
    let tensors = tiny_bert().on(tensors());
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

/// Placements of all kinds: several adapters at one target, sequential ones there too, recurrent ones, and none.
const GROUP: [&[(u16, u16)]; 6] = [
    &[(3, 1), (0, 2), (2, 2)],
    &[(0, 2), (2, 2), (4, 4)],
    &[],
    &[(4, 2), (0, 2), (1, 2), (2, 2)],
    &[(1, 4)],
    &[(2, 0), (3, 3)],
];

/// Models that are trained side by side are those that are trained one by one, on texts and on pictures.
fn check_group<A: Arithmetic>(on: impl Fn(&Backbone) -> Backbone<A>, bound: f32) {
    let texts = (tiny_bert(), tiny_task(&TextTask::default()));
    let (folder, task_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    adaplace_testkit::tiny_vit(folder.path(), &TinyVit::default());
    image_task(task_folder.path(), &ImageTask::default());
    let encoder = Encoder::Image(ImageEncoder::from_folder(folder.path(), 16, 3).unwrap());
    let task = Task::load(task_folder.path(), &encoder, &TaskOptions::default()).unwrap();
    let vit = Backbone::load(folder.path(), None).unwrap();
    for (backbone, task) in [texts, (vit, task)] {
        let backbone = on(&backbone);
        for group in [&GROUP[..], &GROUP[1..3], &[GROUP[4], GROUP[1], GROUP[4]]] {
            let models = group
                .iter()
                .map(|&connections| model(&backbone, connections));
            let models: Vec<Model<'_, A>> = models.collect();
            let settings = TrainingSettings {
                batch_size: Count::of(16),
                adapter_learning_rate: Positive::of(1e-2),
                ..TrainingSettings::default()
            };
            let each: Vec<&Model<'_, A>> = models.iter().collect();
            let together = fine_tune_together(&each, &task.train, &settings, 5, 1, 0).unwrap();
            let mut trained = Vec::new();
            for (found, model) in together.into_iter().zip(&models) {
                let found = found.unwrap();
                let expected = fine_tune(model, &task.train, &settings, 5, 1, 0).unwrap();
                assert!((found.train_loss - expected.train_loss).abs() < f64::from(bound));
                let pairs = found
                    .parameters
                    .values()
                    .iter()
                    .zip(expected.parameters.values());
                let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(
                    error <= bound,
                    "{}: {error:e}",
                    expected.parameters.placement()
                );
                trained.push(Model::new(&backbone, found.parameters).unwrap());
            }
            let each: Vec<&Model<'_, A>> = trained.iter().collect();
            let together = evaluate_together(&each, &task.validation, 7).unwrap();
            for (found, model) in together.iter().zip(&trained) {
                let expected = evaluate(model, &task.validation, 7).unwrap();
                assert_eq!(found.measures, expected.measures);
                assert!((found.loss - expected.loss).abs() < f64::from(bound));
            }
        }
    }
}

#[test]
fn side_by_side_is_one_by_one() {
    check_group(|backbone| backbone.on(*backbone.arithmetic()), 2e-5);
    check_group(|backbone| backbone.on(tensors()), 2e-4);
}

/// One of two models has such values that its loss is not finite. The other one is trained as if it were alone.
#[test]
fn a_model_that_diverges_does_not_disturb_the_others() {
    let task = tiny_task(&TextTask::default());
    let backbone = tiny_bert();
    let settings = TrainingSettings::default();
    let sound = model(&backbone, &[(0, 2)]);
    let values = model(&backbone, &[(3, 1)]);
    let values = values.parameters().values().iter().map(|v| v * 1e30);
    let parameters = model(&backbone, &[(3, 1)])
        .parameters()
        .with_values(values.collect());
    let broken = Model::new(&backbone, parameters).unwrap();
    for models in [[&sound, &broken], [&broken, &sound]] {
        let both = fine_tune_together(&models, &task.train, &settings, 4, 1, 0).unwrap();
        let expected = fine_tune(&sound, &task.train, &settings, 4, 1, 0).unwrap();
        for (outcome, model) in both.into_iter().zip(models) {
            match std::ptr::eq(model, &raw const sound) {
                true => {
                    let error = outcome.unwrap().train_loss - expected.train_loss;
                    assert!(error.abs() < 1e-6);
                }
                false => assert!(matches!(outcome, Err(ScoreError::Diverged { .. }))),
            }
        }
    }
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
    let models = [&model];
    let mut trainer = Trainer::new(&models, &settings).unwrap();
    let data = Dataset::from(&task.train);
    assert!(shards(&backbone, data, &rows, 1).unwrap().len() > 1);
    let loss = mean_loss(&mut trainer, data, &rows);
    let inputs = crate::inputs::inputs(&task.train, &rows);
    let (expected, gradients) =
        loss_and_gradients(&model, &inputs, task.train.labels.classes().unwrap());
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

/// The mean loss of the examples at `rows`. The trainer receives its gradients.
fn mean_loss(trainer: &mut Trainer<'_, '_, Cpu>, data: Dataset<'_>, rows: &[usize]) -> f64 {
    let losses = trainer.losses_and_gradients(data, rows).unwrap();
    losses.into_iter().flatten().sum::<f64>() / rows.len() as f64
}

/// The training with a learned scale.
fn scaled<'t>(trainer: &'t mut Trainer<'_, '_, Cpu>) -> &'t mut ScaledUpdate {
    match &mut trainer.update {
        Update::Scaled(update) => update,
        Update::Plain(_) => panic!("there is no learned scale"),
    }
}

/// Draws the trained values of a learned scale at random, so that no gradient is zero.
fn draw_scale(trainer: &mut Trainer<'_, '_, Cpu>) {
    let ScaledUpdate { layout, scale, .. } = scaled(trainer);
    let mut state = 1_u32;
    for value in scale.trained() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value += 0.2 * (f32::from((state >> 16) as u16) / 32_768.0 - 1.0);
    }
    let mut values = vec![0.0; layout.len()];
    scale.merge(layout, &mut values);
    trainer.values = values;
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
    let models = [&model];
    let mut trainer = Trainer::new(&models, &settings).unwrap();
    draw_scale(&mut trainer);
    mean_loss(&mut trainer, data, &rows);
    let length = trainer.gradients.len();
    let count = length + 2 * 32;
    let mut gradients = trainer.gradients.clone();
    gradients.resize(count, 0.0);
    let ScaledUpdate { layout, scale, .. } = scaled(&mut trainer);
    assert_eq!(layout.len(), length);
    scale.pull_back(layout, &mut gradients);
    let largest = gradients.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
    let mut loss_at = |index: usize, by: f32| {
        let ScaledUpdate { layout, scale, .. } = scaled(&mut trainer);
        scale.trained()[index] += by;
        let mut values = vec![0.0; layout.len()];
        scale.merge(layout, &mut values);
        trainer.values = values;
        let loss = mean_loss(&mut trainer, data, &rows);
        scaled(&mut trainer).scale.trained()[index] -= by;
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
    let parameters = Parameters::initial(&placement, WIDTH, &head(), 0, 0);
    let model = Model::new(&backbone, parameters).unwrap();
    let task = tiny_task(&TextTask::default());
    let rows: Vec<usize> = (0..8).collect();
    let plain = TrainingSettings::default();
    let scaled = TrainingSettings {
        learned_scale: true,
        ..plain
    };
    let after = |settings: &TrainingSettings, steps: u32| {
        let models = [&model];
        let mut trainer = Trainer::new(&models, settings).unwrap();
        let mut course = Course::new(1);
        for step in 0..steps {
            let data = Dataset::from(&task.train);
            let at = (step == 0, 1.0);
            trainer.step(data, &rows, at, &mut course).unwrap();
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
