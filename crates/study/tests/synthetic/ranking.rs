use std::cmp::Ordering;

use adaplace_analysis::Estimate;
use adaplace_scorer::Score;
use adaplace_search_space::{Count, Placement, PlacementFile, Repetitions, SpaceDescription};
use adaplace_strategy::{CostObjective, StrategyDescription};
use adaplace_study::{
    Metric, RankedTrial, Ranking, StudyConfiguration, StudyError, parallel_baseline,
};
use adaplace_synthetic::{
    EVERY_SUBLAYER, SEQUENTIAL, Synthetic, all_configurations, backbone, closed_form,
    configuration, diverged, finished, lines, placement, score, space,
};
use adaplace_task::ProblemKind;

fn rank(scorer: Synthetic, configuration: &StudyConfiguration) -> (tempfile::TempDir, Ranking) {
    let folder = tempfile::tempdir().unwrap();
    let ranking = finished(scorer.run(folder.path(), configuration, 2).unwrap());
    (folder, ranking)
}

fn targets(ranking: &Ranking) -> Vec<u16> {
    let of = |trial: &RankedTrial| trial.placement.earliest_target().unwrap();
    ranking.trials.iter().map(of).collect()
}

/// The documented order, implemented independently.
fn documented(metric: Metric) -> impl Fn(&RankedTrial, &RankedTrial) -> Ordering {
    move |a, b| {
        let (first, second) = match (a.result.score(), b.result.score()) {
            (Some(first), Some(second)) => (first, second),
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => return a.trial.cmp(&b.trial),
        };
        let accuracy = second
            .measures
            .headline()
            .total_cmp(&first.measures.headline());
        let loss = first.validation_loss.total_cmp(&second.validation_loss);
        let metric = match metric {
            Metric::Accuracy => accuracy.then(loss),
            Metric::Loss => loss.then(accuracy),
            Metric::Combined => {
                let combined =
                    |score: &Score| score.measures.headline() - score.validation_loss / 2.0;
                combined(second).total_cmp(&combined(first)).then(loss)
            }
            _ => {
                let value = |score: &Score| {
                    let by_class = score.measures.by_class().unwrap();
                    match metric {
                        Metric::BalancedAccuracy => by_class.balanced_accuracy,
                        Metric::MacroF1 => by_class.macro_f1,
                        _ => by_class.matthews,
                    }
                };
                value(second).total_cmp(&value(first)).then(loss)
            }
        };
        let steps = b.steps.cmp(&a.steps);
        steps.then(metric).then(a.trial.cmp(&b.trial))
    }
}

#[test]
fn trials_stand_in_the_documented_order_for_every_strategy() {
    for mut configuration in all_configurations() {
        for &metric in Metric::of_problem(ProblemKind::Classification) {
            configuration.search.metric = metric;
            // Gradient-greedy has only one trial.
            let lowest = match configuration.strategy {
                StrategyDescription::GradientGreedy { .. } => 0.0,
                _ => 0.1,
            };
            let scorer = Synthetic::new(move |placement, fidelity, repetition| {
                let score = closed_form(placement, fidelity, repetition);
                match score.measures.headline() < lowest {
                    true => Err(diverged(fidelity)),
                    // Many ties in accuracy, broken against it.
                    false => Ok(adaplace_synthetic::score(
                        (4.0 * score.measures.headline()).floor() / 4.0,
                        score.measures.headline(),
                    )),
                }
            });
            let (_folder, ranking) = rank(scorer, &configuration);
            assert!(
                ranking
                    .trials
                    .is_sorted_by(|a, b| documented(metric)(a, b).is_lt())
            );
            for (index, trial) in ranking.trials.iter().enumerate() {
                assert_eq!(trial.place, index + 1);
                assert_eq!(trial.hash, trial.placement.hash());
            }
        }
    }
}

#[test]
fn ties_are_broken_by_the_other_number_and_then_by_the_order_of_the_trials() {
    // Accuracy has two values and loss three: states 0, 6 and 12 agree in both.
    let scorer = || {
        Synthetic::new(|placement, _, _| {
            let state = placement.earliest_target().unwrap_or_default();
            Ok(score(f64::from(state % 2), f64::from(state % 3)))
        })
    };
    let mut configuration = configuration("exhaustive", None);
    let (_folder, ranking) = rank(scorer(), &configuration);
    assert_eq!(
        targets(&ranking),
        [3, 9, 1, 7, 5, 11, 0, 6, 12, 4, 10, 2, 8]
    );
    configuration.search.metric = Metric::Loss;
    let (_folder, ranking) = rank(scorer(), &configuration);
    assert_eq!(
        targets(&ranking),
        [3, 9, 0, 6, 12, 1, 7, 4, 10, 5, 11, 2, 8]
    );
}

#[test]
fn longer_trainings_stand_before_shorter_ones_and_failed_ones_last() {
    // Shorter trainings score better, which must not count.
    let scorer = Synthetic::new(|placement, fidelity, _| {
        match placement.earliest_target().unwrap_or_default() {
            0 => Err(diverged(fidelity)),
            target => Ok(score(
                f64::from(target) / f64::from(13 * fidelity.steps()),
                1.0,
            )),
        }
    });
    let mut configuration = configuration("exhaustive", Some(3));
    configuration.search.finalists = Count::of(2);
    let (_folder, ranking) = rank(scorer, &configuration);
    let steps: Vec<u32> = ranking
        .trials
        .iter()
        .map(|trial| trial.steps.steps())
        .collect();
    assert_eq!(targets(&ranking).last(), Some(&0));
    assert_eq!(steps.last(), Some(&1));
    assert!(steps.is_sorted_by(|a, b| a >= b), "{steps:?}");
    assert!(steps.contains(&9) && steps.contains(&3));
    for finalist in &ranking.finalists {
        let trial = ranking
            .trials
            .iter()
            .find(|trial| trial.trial == finalist.trial);
        assert_eq!(trial.unwrap().steps.steps(), 9);
    }
}

#[test]
fn incomplete_placements_of_a_greedy_search_are_never_finalists() {
    // A single adapter is better than two.
    let scorer = || {
        Synthetic::new(|placement, fidelity, repetition| {
            let score = closed_form(placement, fidelity, repetition);
            Ok(adaplace_synthetic::score(
                score.measures.headline() / placement.len().pow(4) as f64,
                score.validation_loss,
            ))
        })
    };
    let mut configuration = configuration("greedy", None);
    let (_folder, ranking) = rank(scorer(), &configuration);
    assert_eq!(ranking.trials[0].placement.len(), 1);
    assert!(!ranking.trials[0].complete);
    assert_eq!(ranking.finalists.len(), 2);
    for finalist in &ranking.finalists {
        assert_eq!(finalist.repeated.placement.len(), 2);
    }

    // Stopped before the second adapter.
    configuration.search.trials = Count::of(3);
    configuration.strategy = StrategyDescription::Greedy {
        candidates: Some(8),
    };
    let folder = tempfile::tempdir().unwrap();
    let error = scorer().run(folder.path(), &configuration, 1).unwrap_err();
    assert!(
        matches!(error, StudyError::NothingComplete { trials: 3, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("allow more trials"), "{error}");
}

#[test]
fn without_a_race_finalists_are_ranked_by_the_mean_of_their_repetitions() {
    let mut configuration = configuration("exhaustive", None);
    configuration.search.finalists = Count::of(3);
    configuration.search.race = 0;
    configuration.search.repetitions = Repetitions::of(3);
    // In the search later connections are better; in the repetitions 10->10 is the best.
    let scorer = Synthetic::new(|placement, _, repetition| {
        let target = placement.earliest_target().unwrap_or_default();
        Ok(match repetition {
            0 => score(f64::from(target) / 13.0, 1.0),
            _ => score(
                0.25 * f64::from(repetition - 1) + f64::from(12 - target),
                1.0,
            ),
        })
    });
    let (folder, ranking) = rank(scorer, &configuration);
    let trials: Vec<usize> = ranking.finalists.iter().map(|found| found.trial).collect();
    assert_eq!(trials, [10, 11, 12]);
    // 2, 2.25 and 2.5: sample variance 1/16, standard error 1/4 / sqrt(3).
    assert_eq!(
        ranking.finalists[0].repeated.validation_accuracy,
        Some(Estimate {
            mean: 2.25,
            standard_error: Some((0.0625_f64 / 3.0).sqrt())
        })
    );
    for finalist in &ranking.finalists {
        let path = folder
            .path()
            .join(format!("placements/{}.toml", finalist.place));
        let file = PlacementFile::read(&path).unwrap();
        assert_eq!(file.placement, finalist.repeated.placement);
        assert_eq!(file.backbone, backbone());
        let provenance = file.provenance.unwrap();
        assert_eq!(
            provenance["trial"].as_integer(),
            Some(finalist.trial as i64)
        );
        assert_eq!(provenance["strategy"].as_str(), Some("exhaustive"));
        let accuracy = finalist.repeated.validation_accuracy.unwrap();
        assert_eq!(
            provenance["validation_accuracy"].as_float(),
            Some(accuracy.mean)
        );
    }
    assert!(!folder.path().join("placements/4.toml").exists());
    let stored = std::fs::read(folder.path().join("ranking.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Ranking>(&stored).unwrap(), ranking);
}

#[test]
fn a_finalist_that_is_the_baseline_is_trained_once() {
    let mut configuration = configuration("exhaustive", None);
    configuration.space = SpaceDescription::from_toml(EVERY_SUBLAYER).unwrap();
    let scorer = Synthetic::closed_form();
    let folder = tempfile::tempdir().unwrap();
    let ranking = finished(scorer.run(folder.path(), &configuration, 2).unwrap());
    assert_eq!(scorer.calls().len(), 3, "one trial and two repetitions");
    assert_eq!(lines(folder.path()).len(), 3);
    assert_eq!(ranking.finalists[0].repeated, ranking.baseline);
    let again = Synthetic::new(|_, _, _| panic!("nothing is to be trained"));
    assert_eq!(
        finished(again.run(folder.path(), &configuration, 1).unwrap()),
        ranking
    );
}

#[test]
fn the_baseline_has_the_largest_adapter_in_parallel_at_every_sublayer() {
    let baseline = parallel_baseline(&space(&configuration("random", None)));
    let connections: Vec<(u16, u16)> = (0..12).map(|state| (state, state + 1)).collect();
    assert!(
        baseline
            .connections()
            .eq(placement(&connections).connections())
    );
    assert!(baseline.iter().all(|(_, adapter)| adapter.rank == 4));
}

/// Accuracy grows with the target, and rank 4 adds 0.1: the front is the best placement of each rank. It is marked, and
/// the finalists are its two ends, although the second best placement is nearly as good as the best. There is no race.
#[test]
fn with_costs_finalists_come_from_the_front() {
    let mut configuration = configuration("exhaustive", None);
    configuration.space =
        SpaceDescription::from_toml(&SEQUENTIAL.replace("[2]", "[2, 4]")).unwrap();
    configuration.search.trials = Count::of(26);
    configuration.search.finalists = Count::of(2);
    configuration.search.costs = vec![CostObjective::Parameters];
    let scorer = || {
        Synthetic::new(|placement, _, _| {
            let (connection, adapter) = placement.iter().next().unwrap();
            let gain = if adapter.rank == 4 { 0.1 } else { 0.0 };
            let accuracy = f64::from(connection.target) / 20.0 + gain;
            Ok(score(accuracy, 1.0 - accuracy))
        })
    };
    let (_folder, ranking) = rank(scorer(), &configuration);
    let describe = |placement: &Placement| {
        let (connection, adapter) = placement.iter().next().unwrap();
        (connection.target, adapter.rank)
    };
    let front: Vec<(u16, u16)> = ranking
        .trials
        .iter()
        .filter(|trial| trial.front)
        .map(|trial| describe(&trial.placement))
        .collect();
    assert_eq!(front, [(12, 4), (12, 2)]);
    assert!(ranking.race.is_empty());
    let finalists = |ranking: &Ranking| -> Vec<(u16, u16)> {
        let finalists = ranking.finalists.iter();
        finalists
            .map(|finalist| describe(&finalist.repeated.placement))
            .collect()
    };
    assert_eq!(finalists(&ranking), [(12, 4), (12, 2)]);
    configuration.search.costs = Vec::new();
    let (_folder, ranking) = rank(scorer(), &configuration);
    assert!(ranking.trials.iter().all(|trial| !trial.front));
    assert_eq!(finalists(&ranking), [(12, 4), (11, 4)]);
}
