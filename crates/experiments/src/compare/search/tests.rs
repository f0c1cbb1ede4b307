//! Searches with scores of closed form or of pure noise, without a journal.

use std::collections::{BTreeMap, BTreeSet};

use adaplace_scorer::{Measures, Score, Statistic};
use adaplace_search_space::{ChainShape, Count, Fidelity, Positive, Seed, SpaceDescription};
use adaplace_strategy::{ConnectionProxy, FixedProxy};
use adaplace_study::{Metric, Phase, TrainingLine, TrialResult};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::judgements::Judgements;
use super::*;
use crate::{Baseline, Difference};

fn settings(trainings: u64, race: u32, seed: u64) -> ComparisonSettings {
    ComparisonSettings {
        seed: Seed::of(seed),
        seeds: 10,
        budget_steps: 9 * trainings,
        steps: Fidelity::of(9),
        proposals: Count::of(8),
        metric: Metric::Accuracy,
        statistic: Statistic::Rank.into(),
        race,
        baselines: Baseline::ALL.to_vec(),
        random_parallel: Count::of(1),
        final_steps: Fidelity::of(9),
        final_repetitions: 1,
        learning_rates: vec![Positive::of(0.01)],
        replayed: false,
    }
}

fn space() -> Arc<SearchSpace> {
    let description = "
        [connections]
        kinds = ['sequential', 'parallel', 'long-range', 'recurrent']
        [adapter]
        ranks = [2]
        [budget]
        adapters = 2";
    let shape = ChainShape {
        hidden_states: 13,
        width: 4,
        tokens: 2,
        sublayer_flops: vec![1000; 12],
    };
    let description = SpaceDescription::from_toml(description).unwrap();
    Arc::new(SearchSpace::resolve(&description, &shape).unwrap())
}

/// A pseudo-random number, approximately standard normal: the sum of twelve uniform ones.
fn drawn(placement: &Placement, key: [u64; 3]) -> f64 {
    let connections = placement.connections();
    let states = connections.flat_map(|one| [one.source.into(), one.target.into()]);
    let mut seed = [0; 32];
    for (index, number) in key.into_iter().chain(states).enumerate() {
        let at = (8 * index) % 32;
        let before = u64::from_le_bytes(seed[at..at + 8].try_into().unwrap());
        let mixed = before.rotate_left(17) ^ number;
        seed[at..at + 8].copy_from_slice(&mixed.to_le_bytes());
    }
    let random = ChaCha8Rng::from_seed(seed);
    random.random_iter::<f64>().take(12).sum::<f64>() - 6.0
}

/// A random search with this seed of the comparison. `accuracy` gives the accuracy of a training.
fn searched(
    settings: &ComparisonSettings,
    space: &Arc<SearchSpace>,
    seed: u32,
    accuracy: impl Fn(&Training) -> f64,
) -> Searched {
    let planned = Planned {
        name: "random".to_owned(),
        settings,
        space,
        strategy: &StrategyDescription::Random {},
        trials: settings.trials(),
        finalists: settings.finalists(),
        seed,
    };
    let judgements = Arc::new(Judgements::new(0.0, BTreeMap::new()));
    let proxy: Arc<dyn ConnectionProxy> = Arc::new(FixedProxy::default());
    let mut searching = planned.begin(proxy, judgements).unwrap();
    loop {
        let done: Vec<Record> = searching
            .waits_for()
            .iter()
            .map(|training| {
                let accuracy = accuracy(training);
                let result = TrialResult::Score(Score {
                    train_loss: 0.0,
                    validation_loss: 1.0 - accuracy,
                    measures: Measures::of_accuracy(accuracy),
                });
                Record::new(0, training.clone(), result, 0.0)
            })
            .collect();
        let done: Vec<&Record> = done.iter().collect();
        if let Next::Over(searched) = searching.advance(&done).unwrap() {
            return searched;
        }
    }
}

/// 48 trials, eight of them once more and four twice more, each on its own order.
#[test]
fn trials_and_race_take_the_budget() {
    let (settings, space) = (settings(64, 1, 0), space());
    let seen = std::cell::RefCell::new(Vec::new());
    let result = searched(&settings, &space, 7, |training| {
        seen.borrow_mut()
            .push((training.phase, training.repetition));
        drawn(&training.placement, [0, 0, training.repetition.into()])
    });
    assert_eq!(result.steps, settings.budget_steps);
    let seen = seen.into_inner();
    let count = |repetition| seen.iter().filter(|one| one.1 == repetition).count();
    assert_eq!([7, 7001, 7002, 7003].map(count), [48, 8, 4, 4]);
    let raced = seen.iter().filter(|(phase, _)| *phase == Phase::Race);
    assert_eq!(raced.count(), 16);
    assert_eq!(result.curve.last().unwrap().steps % 9, 0);
    assert!(result.curve.last().unwrap().steps <= 48 * 9);
}

/// If the noise of a training exceeds the differences between placements, some trials are better spent on a race. Units
/// are standard deviations of the placements' quality.
#[test]
fn a_race_chooses_better_than_the_best_trial() {
    let space = space();
    let quality = |placement: &Placement| drawn(placement, [1, 0, 0]);
    let mean = |race: u32| {
        let settings = settings(64, race, 0);
        let of_seed = |seed: u32| {
            let result = searched(&settings, &space, seed, |training| {
                let luck = drawn(
                    &training.placement,
                    [2, seed.into(), training.repetition.into()],
                );
                0.5 + 0.01 * (quality(&training.placement) + 1.5 * luck)
            });
            assert_eq!(result.steps, settings.budget_steps);
            quality(&result.placement)
        };
        (1..=100).map(of_seed).sum::<f64>() / 100.0
    };
    let (single, raced) = (mean(0), mean(1));
    assert!(raced > single + 0.1, "{raced} is not above {single}");
}

/// Two random searches of equally good placements: few of 200 comparisons may call one of them better.
#[test]
fn a_race_makes_no_difference_of_noise() {
    let space = space();
    let difference = |comparison: u64, seed: u32| {
        let test_headline = |strategy: u64| {
            let settings = settings(16, 1, 1000 * comparison + 500 * strategy);
            let accuracy = |placement: &Placement, phase: u64, repetition: u32| {
                let key = [comparison, phase, repetition.into()];
                0.85 + 0.02 * drawn(placement, key)
            };
            let trained =
                |training: &Training| accuracy(&training.placement, 0, training.repetition);
            let result = searched(&settings, &space, seed, trained);
            accuracy(&result.placement, 1, seed)
        };
        test_headline(0) - test_headline(1)
    };
    let comparisons: Vec<Vec<f64>> = (0..200)
        .map(|comparison| (1..=10).map(|seed| difference(comparison, seed)).collect())
        .collect();
    let distinct: BTreeSet<u64> = comparisons
        .iter()
        .flatten()
        .map(|difference| difference.to_bits())
        .collect();
    assert!(distinct.len() > 1900, "{}", distinct.len());
    for seeds in [6, 10] {
        let significant = comparisons.iter().filter(|differences| {
            let difference = Difference::of(&differences[..seeds], 0).unwrap();
            difference.p_value.unwrap() < 0.05
        });
        let share = significant.count() as f64 / 200.0;
        assert!(
            share <= 0.07,
            "{share} of the comparisons with {seeds} seeds"
        );
    }
}
