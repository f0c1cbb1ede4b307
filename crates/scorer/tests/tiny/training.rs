//! Proxy training is deterministic and paired, and it learns.

use std::sync::Arc;

use adaplace_backbone::Backbone;
use adaplace_scorer::{
    GradientMapSettings, Head, LinearProbe, Model, Parameters, ProxyScorer, Score, ScoreError,
    Scorer, Statistic, TrainingSettings, evaluate, fine_tune,
};
use adaplace_search_space::{AdapterSpec, Connection, Count, Fidelity, Placement, Positive, Share};
use adaplace_task::{Encoder, ImageEncoder, Task, TaskOptions};
use adaplace_testkit::{ImageTask, TinyVit, image_task, tiny_vit};

use crate::support::{CLASSES, WIDTH, tiny, trained};

fn placement(connections: &[(u16, u16)]) -> Placement {
    let spec = AdapterSpec::new(4, 1.0).unwrap();
    let connections = connections.iter();
    connections
        .map(|&(source, target)| (Connection { source, target }, spec))
        .collect()
}

fn steps(steps: u32) -> Fidelity {
    Fidelity::of(steps)
}

fn settings() -> TrainingSettings {
    TrainingSettings {
        batch_size: Count::of(16),
        ..TrainingSettings::default()
    }
}

fn scorer(backbone: &Arc<Backbone>, task: &Arc<Task>) -> ProxyScorer {
    ProxyScorer::new(Arc::clone(backbone), Arc::clone(task), settings(), 7).unwrap()
}

fn bits(score: Score) -> [u64; 3] {
    let Score {
        train_loss,
        validation_loss,
        measures,
        ..
    } = score;
    [train_loss, validation_loss, measures.headline()].map(f64::to_bits)
}

#[test]
fn a_score_depends_on_its_arguments_alone() {
    let (backbone, task) = tiny();
    let placements = [placement(&[(0, 1)]), placement(&[(3, 1), (2, 2)])];
    let score = |scorer: &ProxyScorer, placement: &Placement, repetition| {
        bits(scorer.score(placement, steps(5), repetition).unwrap())
    };
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let scorer = scorer(&backbone, &task);
            let scores = [0, 1].map(|which| score(&scorer, &placements[which], 0));
            (scorer.probe().clone(), scores)
        })
    };
    let (probe, scores) = with_threads(1);
    assert_eq!(with_threads(2), (probe, scores));
    // Scored in another order, after other placements, and again.
    let scorer = scorer(&backbone, &task);
    assert_ne!(score(&scorer, &placements[1], 1), scores[1]);
    assert_eq!(score(&scorer, &placements[1], 0), scores[1]);
    assert_eq!(score(&scorer, &placements[0], 0), scores[0]);
    assert_eq!(score(&scorer, &placements[0], 0), scores[0]);
    assert_ne!(scores[0], scores[1]);
}

#[test]
fn another_seed_gives_another_training() {
    let (backbone, task) = tiny();
    let score = |seed| {
        let scorer =
            ProxyScorer::new(Arc::clone(&backbone), Arc::clone(&task), settings(), seed).unwrap();
        let score = scorer.score(&placement(&[(0, 1)]), steps(3), 0);
        (scorer.probe().clone(), bits(score.unwrap()))
    };
    let (first, second) = (score(1), score(2));
    // The probe involves no randomness.
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
}

#[test]
fn a_connection_starts_the_same_in_every_placement() {
    let initial = |connections: &[(u16, u16)], seed, repetition| {
        let head = Head::zero(CLASSES, WIDTH);
        let parameters =
            Parameters::initial(&placement(connections), WIDTH, &head, seed, repetition);
        let tensors = parameters.tensors().into_iter();
        let own = tensors.filter(|tensor| tensor.name.starts_with("3-1."));
        own.map(|tensor| tensor.values).collect::<Vec<Vec<f32>>>()
    };
    let alone = initial(&[(3, 1)], 7, 0);
    assert_eq!(initial(&[(0, 1), (3, 1), (4, 4)], 7, 0), alone);
    assert_ne!(initial(&[(3, 1)], 7, 1), alone);
    assert_ne!(initial(&[(3, 1)], 8, 0), alone);
    let [down_weight, down_bias, up_weight, up_bias] = &alone[..] else {
        panic!("an adapter has four tensors")
    };
    assert!(up_weight.iter().chain(up_bias).all(|&value| value == 0.0));
    let bound = (WIDTH as f32).powf(-0.5);
    assert!(
        down_weight
            .iter()
            .chain(down_bias)
            .all(|value| value.abs() <= bound)
    );
    // Uniform in +-bound means a mean of 0 and a mean square of bound^2 / 3, checked here within four standard errors.
    let count = down_weight.len() as f32;
    let mean = down_weight.iter().sum::<f32>() / count;
    let square = down_weight.iter().map(|value| value * value).sum::<f32>() / count;
    assert!(mean.abs() < 4.0 * bound / (3.0 * count).sqrt());
    assert!((square / (bound * bound / 3.0) - 1.0).abs() < 4.0 * (0.8 / count).sqrt());
}

#[test]
fn connections_start_differently() {
    let head = Head::zero(CLASSES, WIDTH);
    let parameters = Parameters::initial(&placement(&[(0, 1), (1, 0)]), WIDTH, &head, 7, 0);
    let tensors = parameters.tensors();
    assert_eq!(tensors[0].name, "0-1.down.weight");
    assert_eq!(tensors[4].name, "1-0.down.weight");
    assert_ne!(tensors[0].values, tensors[4].values);
}

/// The untrained model is the probe.
#[test]
fn training_starts_from_the_probe() {
    let (backbone, task) = tiny();
    let scorer = scorer(&backbone, &task);
    let parameters = scorer.initial(&placement(&[(0, 1), (4, 1)]), 0);
    for (examples, reported) in [
        (&task.train, scorer.probe().train),
        (&task.validation, scorer.probe().validation),
    ] {
        let found = scorer.evaluate(&parameters, examples).unwrap();
        assert!(
            (found.loss - reported.loss).abs() < 1e-5,
            "{found:?}, {reported:?}"
        );
        assert_eq!(found.measures, reported.measures);
    }
}

/// The classes differ in the order of two words, which a linear probe hardly recognises, so adapters can improve on it.
#[test]
fn training_learns() {
    let (backbone, task) = tiny();
    let settings = TrainingSettings {
        adapter_learning_rate: Positive::of(1e-2),
        ..settings()
    };
    let scorer = ProxyScorer::new(Arc::clone(&backbone), Arc::clone(&task), settings, 7).unwrap();
    let before = scorer.probe().train.loss;
    for connections in [&[(0, 1), (2, 3)][..], &[(3, 1), (1, 1)][..]] {
        let trained = scorer
            .train(&placement(connections), steps(120), 0)
            .unwrap();
        let train_loss = trained.train_loss;
        let after = scorer.evaluate(&trained.parameters, &task.train).unwrap();
        println!("{connections:?}: {before} -> {} ({train_loss})", after.loss);
        assert!(after.loss < 0.7 * before, "{before} -> {after:?}");
        assert!((train_loss - after.loss).abs() < 0.3 * before);
    }
}

/// The reported training loss is the mean over the last epoch's batches, before their steps. After one step it is the
/// probe's loss on that batch.
#[test]
fn the_first_step_sees_the_probe() {
    let (backbone, task) = tiny();
    let settings = TrainingSettings {
        batch_size: Count::of(task.train.len()),
        ..settings()
    };
    let scorer = ProxyScorer::new(Arc::clone(&backbone), Arc::clone(&task), settings, 7).unwrap();
    let train_loss = scorer
        .train(&placement(&[(0, 1)]), steps(1), 0)
        .unwrap()
        .train_loss;
    assert!((train_loss - scorer.probe().train.loss).abs() < 1e-5);
}

#[test]
fn divergence_is_an_error_and_no_score() {
    let (backbone, task) = tiny();
    let settings = TrainingSettings {
        adapter_learning_rate: Positive::of(1e30),
        warm_up: Share::of(0.0),
        ..settings()
    };
    let scorer = ProxyScorer::new(Arc::clone(&backbone), Arc::clone(&task), settings, 7).unwrap();
    for connections in [&[(0, 1)][..], &[(4, 4)][..], &[(4, 0), (2, 2)][..]] {
        // After one step only the validation can detect it.
        for fidelity in [1, 5] {
            let error = scorer
                .score(&placement(connections), steps(fidelity), 0)
                .unwrap_err();
            let ScoreError::Diverged { step, value, .. } = error else {
                panic!("{error}")
            };
            assert!(!value.is_finite());
            assert_eq!(step, 2, "{connections:?}");
        }
    }
}

/// Whatever the learning rate, a score contains only finite numbers.
#[test]
fn scores_are_finite() {
    let (backbone, task) = tiny();
    for exponent in [0, 3, 6, 9, 12, 16, 18, 19, 20, 25, 35] {
        let rate = 10.0_f64.powi(exponent);
        let settings = TrainingSettings {
            adapter_learning_rate: Positive::of(rate),
            head_learning_rate: Positive::of(rate),
            ..settings()
        };
        let scorer =
            ProxyScorer::new(Arc::clone(&backbone), Arc::clone(&task), settings, 7).unwrap();
        match scorer.score(&placement(&[(0, 1), (3, 1)]), steps(3), 0) {
            Ok(score) => {
                let losses = [score.train_loss, score.validation_loss];
                assert!(
                    losses.iter().all(|loss| loss.is_finite()),
                    "{rate:e}: {score:?}"
                );
                assert!((0.0..=1.0).contains(&score.measures.headline()));
                assert!(exponent < 35, "this must diverge: {score:?}");
            }
            Err(error) => assert!(matches!(error, ScoreError::Diverged { .. }), "{error}"),
        }
    }
}

/// A head of zeros passes no gradient on to the adapters.
#[test]
fn an_adapter_without_influence_is_an_error() {
    let (backbone, task) = tiny();
    let head = Head::zero(CLASSES, WIDTH);
    let parameters = Parameters::initial(&placement(&[(0, 1), (2, 3)]), WIDTH, &head, 7, 0);
    let model = Model::new(&backbone, parameters).unwrap();
    let error = fine_tune(&model, &task.train, &settings(), 3, 7, 0).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("the frozen features carry no information about the labels"),
        "{error}"
    );
    let distinct = task.train.distinct();
    let counted = format!(
        "{distinct} of {} training inputs are distinct",
        task.train.len()
    );
    assert!(message.contains(&counted), "{error}");
}

/// Every tensor of every adapter moves, even if its first gradient is zero.
#[test]
fn training_moves_every_tensor() {
    let (backbone, task) = tiny();
    let scorer = scorer(&backbone, &task);
    let placement = placement(&[(0, 0), (1, 2), (0, 4), (4, 1), (4, 4)]);
    let before = scorer.initial(&placement, 0).tensors();
    let after = scorer.train(&placement, steps(3), 0).unwrap();
    let after = after.parameters.tensors();
    assert_eq!(before.len(), 5 * 4 + 2);
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.values, after.values, "{}", before.name);
    }
}

#[test]
fn out_of_range_placements_are_refused() {
    let (backbone, task) = tiny();
    let scorer = scorer(&backbone, &task);
    let error = scorer
        .score(&placement(&[(0, 9)]), steps(1), 0)
        .unwrap_err();
    assert!(matches!(error, ScoreError::OutOfRange { .. }), "{error}");
}

/// The map of a scorer is that of the frozen model with the probe's head, with and without cross-fitted statistics.
#[test]
fn maps_are_made_at_the_frozen_model() {
    let (backbone, task) = tiny();
    let scorer = scorer(&backbone, &task);
    let settings = GradientMapSettings::default();
    let all = Connection::all(5);
    let frozen = scorer
        .plain_gradient_map(&task.train, &all, &settings)
        .unwrap();
    let statistics = Statistic::NuclearNorm.into();
    let map = scorer
        .gradient_map(&task.train, &all, &settings, &statistics)
        .unwrap();
    let nuclear = |map: &adaplace_scorer::GradientMap| map.table(Statistic::NuclearNorm).unwrap();
    for (found, expected) in nuclear(&map).values().zip(nuclear(&frozen).values()) {
        assert!((found - expected).abs() <= 1e-6 * expected);
    }
    assert!(map.joint().is_some() && frozen.joint().is_none());
}

/// A probe that is stored and read again is the same starting point.
#[test]
fn the_probe_survives_its_file() {
    let (backbone, task) = tiny();
    let scorer = scorer(&backbone, &task);
    let text = serde_json::to_string(scorer.probe()).unwrap();
    let read: LinearProbe = serde_json::from_str(&text).unwrap();
    assert_eq!(&read, scorer.probe());
}

/// The batch size of an evaluation only affects its speed.
#[test]
fn evaluation_does_not_depend_on_the_batch_size() {
    let (backbone, task) = tiny();
    let model = Model::new(&backbone, trained(&[(3, 1), (0, 0)], 2)).unwrap();
    let [one, many] = [1, 30].map(|size| evaluate(&model, &task.validation, size).unwrap());
    assert!((one.loss - many.loss).abs() < 1e-5 * many.loss);
    assert_eq!((one.measures, one.examples), (many.measures, many.examples));
    let [one, many] =
        [1, 30].map(|size| adaplace_scorer::features(&model, &task.validation, size).unwrap());
    let probe = |features| LinearProbe::fit(features, features, CLASSES).unwrap();
    assert!((probe(&one).train.loss - probe(&many).train.loss).abs() < 1e-3);
}

/// A training with cached frozen states equals one that computes them, on texts and on pictures.
#[test]
fn kept_states_change_nothing_but_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let (path, task_path) = (folder.path().join("backbone"), folder.path().join("task"));
    tiny_vit(&path, &TinyVit::default());
    image_task(&task_path, &ImageTask::default());
    let encoder = Encoder::Image(ImageEncoder::from_folder(&path, 16, 3).unwrap());
    let images = Task::load(&task_path, &encoder, &TaskOptions::default()).unwrap();
    let vit = Backbone::load(&path, None).unwrap();
    for (backbone, task) in [tiny(), (Arc::new(vit), Arc::new(images))] {
        let scorer = scorer(&backbone, &task);
        for connections in [&[(2, 3)][..], &[(4, 2), (1, 4)][..], &[][..]] {
            let placement = placement(connections);
            let kept = scorer.train(&placement, steps(5), 1).unwrap();
            let untrained = Model::new(&backbone, scorer.initial(&placement, 1)).unwrap();
            let computed = fine_tune(&untrained, &task.train, &settings(), 5, 7, 1).unwrap();
            let validated = scorer.validate(&kept, steps(5)).unwrap().validation_loss;
            let evaluated = scorer.evaluate(&computed.parameters, &task.validation);
            let pairs = [
                (kept.train_loss, computed.train_loss),
                (validated, evaluated.unwrap().loss),
            ];
            for (found, expected) in pairs {
                let error = (found - expected).abs() / expected;
                assert!(error < 1e-4, "{connections:?}: {found}, {expected}");
            }
        }
    }
}
