//! The race of the best placements and the reported results.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use adaplace_scorer::Score;
use adaplace_search_space::{Count, Placement, PlacementHash, Reduction, Repetitions, SearchSpace};
use adaplace_strategy::{Outcome, Proposal, Strategy, StrategyError};
use adaplace_study::{
    Event, Ranking, StudyConfiguration, StudyError, Trial, TrialResult, Workers, run,
};
use adaplace_synthetic::{
    Synthetic, assert_distinct, configuration, finished, lines, open, open_with, score,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn target(placement: &Placement) -> u16 {
    placement.earliest_target().unwrap_or_default()
}

fn exhaustive(finalists: usize, race: u32, repetitions: u32) -> StudyConfiguration {
    let mut configuration = configuration("exhaustive", None);
    configuration.search.finalists = Count::of(finalists);
    configuration.search.race = race;
    configuration.search.repetitions = Repetitions::of(repetitions);
    configuration
}

/// In the search later connections are better, so that 5 to 12 race. On the first rung 5, 7, 9 and 11 are ahead; in
/// both repetitions of the second rung 7 is ahead of 5. In the repetitions after the race 5 is better than 7, which
/// changes nothing.
#[test]
fn half_go_on_from_every_rung_until_two_are_left() {
    let accuracy = |target: u16, repetition: u32| match repetition {
        0 => f64::from(target) / 20.0,
        1 => f64::from(target % 2) / 2.0 + f64::from(target) / 100.0,
        2 | 3 => match target {
            7 => 0.9,
            5 => 0.8,
            _ => 0.1,
        },
        _ if target == 5 => 0.7,
        _ => 0.6,
    };
    let scorer = Synthetic::new(move |placement, _, repetition| {
        Ok(score(accuracy(target(placement), repetition), 1.0))
    });
    let folder = tempfile::tempdir().unwrap();
    let ranking = finished(scorer.run(folder.path(), &exhaustive(8, 1, 2), 2).unwrap());
    let race: Vec<(usize, Option<usize>, usize)> = ranking
        .race
        .iter()
        .map(|raced| (raced.trial, raced.left_at, raced.repeated.results.len()))
        .collect();
    let expected = [
        (7, None, 3),
        (5, None, 3),
        (11, Some(2), 3),
        (9, Some(2), 3),
        (12, Some(1), 1),
        (10, Some(1), 1),
        (8, Some(1), 1),
        (6, Some(1), 1),
    ];
    assert_eq!(race, expected);
    let finalists: Vec<(usize, f64)> = ranking
        .finalists
        .iter()
        .map(|finalist| {
            let accuracy = finalist.repeated.validation_accuracy.unwrap().mean;
            (finalist.trial, accuracy)
        })
        .collect();
    assert_eq!(finalists, [(7, 0.6), (5, 0.7)]);
    // Search, rungs of 8 and 4 x 2, then 3 x 2 with the baseline.
    assert_eq!(scorer.calls().len(), 13 + 8 + 8 + 6);
    let repetitions = |phase: &str| -> Vec<u64> {
        let lines = lines(folder.path()).into_iter();
        let of_phase = lines.filter(|line| line["phase"] == phase);
        let mut all: Vec<u64> = of_phase
            .map(|line| line["repetition"].as_u64().unwrap())
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    assert_eq!(repetitions("search"), [0]);
    assert_eq!(repetitions("race"), [1, 2, 3]);
    assert_eq!(repetitions("finalist"), [4, 5]);
    assert_eq!(repetitions("baseline"), [4, 5]);
}

#[test]
fn who_fails_in_the_race_leaves_it_first() {
    let scorer =
        Synthetic::new(
            |placement, fidelity, repetition| match (target(placement), repetition) {
                (12, 1..) => Err(adaplace_synthetic::diverged(fidelity)),
                (target, _) => Ok(score(f64::from(target) / 20.0, 1.0)),
            },
        );
    let folder = tempfile::tempdir().unwrap();
    let ranking = finished(scorer.run(folder.path(), &exhaustive(4, 1, 1), 1).unwrap());
    let trials: Vec<usize> = ranking.race.iter().map(|raced| raced.trial).collect();
    assert_eq!(trials, [11, 10, 9, 12]);
    assert_eq!(ranking.finalists.len(), 2);
}

/// A strategy that recommends the placement it proposed first.
struct Believer {
    inner: Box<dyn Strategy>,
    first: Option<Placement>,
}

impl Strategy for Believer {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        let proposals = self.inner.propose(space, n)?;
        let first = proposals.first().map(|proposal| proposal.placement.clone());
        self.first = self.first.take().or(first);
        Ok(proposals)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.inner.observe(proposal, outcome);
    }

    fn recommend(&self, _: &SearchSpace, n: usize) -> Vec<Placement> {
        self.first.iter().take(n).cloned().collect()
    }
}

/// 0->0 has the worst trial and still races; the best trials fill up.
#[test]
fn what_the_strategy_recommends_races_first() {
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::new(|placement, _, _| Ok(score(f64::from(target(placement)), 1.0)));
    let believer = |inner| -> Box<dyn Strategy> { Box::new(Believer { inner, first: None }) };
    let configuration = exhaustive(4, 1, 1);
    let mut study = open_with(folder.path(), &configuration, believer).unwrap();
    let (workers, never) = (Workers::new(1).unwrap(), AtomicBool::new(false));
    let summary = run(&mut study, &scorer, &workers, &never, &mut |_| {});
    let ranking = finished(summary.unwrap());
    let trials: Vec<usize> = ranking.race.iter().map(|raced| raced.trial).collect();
    assert_eq!(trials, [12, 11, 10, 0]);
}

/// Uniform in 0..1, the same for the same training.
fn noise(study: u64, placement: PlacementHash, repetition: u32) -> f64 {
    let digits = placement.to_string();
    let key = digits.bytes().fold(study, |key, byte| {
        key.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    });
    ChaCha8Rng::seed_from_u64(key ^ u64::from(repetition).rotate_left(40)).random()
}

/// All placements have accuracy 0.5, and trainings differ by chance alone: 0.4 to 0.6. The best of 13 trials has an
/// expectation of 0.5 + 0.2 (13/14 - 1/2), the best of four in the race 0.5 + 0.2 (4/5 - 1/2); the repetition of the
/// winner has 0.5, with a standard error of 0.2 / sqrt(12 * 200).
#[test]
fn what_is_reported_of_the_named_placement_is_unbiased() {
    const STUDIES: u64 = 200;
    let (mut search, mut race, mut reported) = (0.0, 0.0, 0.0);
    for study in 0..STUDIES {
        let scorer = Synthetic::new(move |placement, _, repetition| {
            let value = 0.4 + 0.2 * noise(study, placement.hash(), repetition);
            Ok(score(value, 1.0 - value))
        });
        let folder = tempfile::tempdir().unwrap();
        let ranking = finished(scorer.run(folder.path(), &exhaustive(4, 1, 1), 1).unwrap());
        let best = ranking.trials[0].result.score().unwrap();
        search += best.measures.headline() / STUDIES as f64;
        let mean = |repeated: &adaplace_study::Repeated| {
            repeated.validation_accuracy.unwrap().mean / STUDIES as f64
        };
        race += mean(&ranking.race[0].repeated);
        reported += mean(&ranking.finalists[0].repeated);
        assert_eq!(ranking.race[0].hash, ranking.finalists[0].hash);
    }
    let error = 0.2 / f64::sqrt(12.0 * STUDIES as f64);
    assert!((reported - 0.5).abs() < 3.0 * error, "{reported}, {error}");
    assert!(search > 0.57, "{search}");
    // The score that selected the winner is biased upwards too.
    assert!(race > 0.54, "{race}");
}

/// Placements differ by their targets, orders shift all equally, and trainings have noise of a known variance.
#[test]
fn a_study_says_how_noisy_it_is() {
    // Uniform noise of width 0.1: variance 0.01 / 12. Targets in steps of 0.02: variance of 13 of them 14 * 13 / 12 *
    // 0.0004.
    let (within, between) = (0.01 / 12.0, 14.0 * 13.0 / 12.0 * 0.0004);
    let mut variances = 0.0;
    for study in 0..40 {
        let scorer = Synthetic::new(move |placement, _, repetition| {
            let order = 0.3 * f64::from(repetition % 3);
            let noise = 0.1 * noise(study, placement.hash(), repetition);
            let value = 0.02 * f64::from(target(placement)) + order + noise;
            Ok(score(value, 1.0 - value))
        });
        let folder = tempfile::tempdir().unwrap();
        let ranking = finished(scorer.run(folder.path(), &exhaustive(8, 2, 3), 1).unwrap());
        let noise = ranking.noise.unwrap();
        let accuracy = noise.accuracy.unwrap();
        // Rungs of 8 x 2 and 4 x 4, then 2 x 3.
        assert_eq!(accuracy.degrees, 7 + 9 + 2);
        assert!((accuracy.deviation - noise.loss.unwrap().deviation).abs() < 1e-12);
        variances += accuracy.deviation.powi(2) / 40.0;
        let expected = between / (between + within);
        assert!((accuracy.agreement - expected).abs() < 0.15, "{accuracy:?}");
    }
    // 40 x 18 degrees: a relative standard error of sqrt(2 / 720), less for uniform noise.
    assert!((variances / within - 1.0).abs() < 0.16, "{variances}");
}

fn noisy(trial: &Trial) -> Score {
    let value = noise(
        7,
        trial.training.placement.hash(),
        trial.training.repetition,
    );
    score(value, 1.0 - value)
}

/// Asks and tells until `trials` are told. Returns the number of trainings announced after the search.
fn drive(
    folder: &Path,
    configuration: &StudyConfiguration,
    trials: usize,
) -> Result<(Option<usize>, Option<Ranking>, usize), StudyError> {
    let mut announced = None;
    let mut told = 0;
    let mut study = open(folder, configuration)?;
    while told < trials {
        let asked = study.ask(&mut |event| {
            if let Event::SearchFinished { remaining } = event {
                announced = Some(remaining);
            }
        })?;
        if asked.is_empty() {
            break;
        }
        for trial in asked.iter().take(trials - told) {
            let result = TrialResult::Score(noisy(trial));
            study.tell(trial.number, result, 0.5, &mut |_| {})?;
            told += 1;
        }
    }
    let ranking = study.ranking().cloned();
    Ok((announced, ranking, told))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_race_keeps_its_budget_and_goes_on_wherever_it_was_cut(
        finalists in 1_usize..14,
        race in 0_u32..3,
        repetitions in 1_u32..4,
        cut in 0.0..1.0,
        halving in proptest::option::of(Just(3)),
    ) {
        let mut configuration = exhaustive(finalists, race, repetitions);
        configuration.search.halving = halving.map(Reduction::of);
        let folder = tempfile::tempdir().unwrap();
        let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
        let (announced, ranking, told) = drive(&whole, &configuration, usize::MAX).unwrap();
        let ranking = ranking.unwrap();
        let journal = lines(&whole);
        prop_assert_eq!(told, journal.len());
        let searched = journal.iter().filter(|line| line["phase"] == "search").count();
        prop_assert_eq!(announced, Some(journal.len() - searched));
        let entrants = finalists.min(13);
        let left = if race == 0 { entrants } else { entrants.min(2) };
        prop_assert_eq!(ranking.finalists.len(), left);
        for finalist in &ranking.finalists {
            prop_assert_eq!(finalist.repeated.results.len(), repetitions as usize);
        }
        let trainings: Vec<_> = journal
            .iter()
            .map(|line| (line["hash"].to_string(), line["steps"].to_string(), line["repetition"].to_string()))
            .collect();
        let distinct: std::collections::BTreeSet<_> = trainings.iter().collect();
        prop_assert_eq!(distinct.len(), trainings.len());

        let before = (cut * journal.len() as f64) as usize;
        let (_, _, done) = drive(&parts, &configuration, before).unwrap();
        prop_assert_eq!(done, before);
        let (again, resumed, done) = drive(&parts, &configuration, usize::MAX).unwrap();
        prop_assert_eq!(done, journal.len() - before);
        prop_assert_eq!(again, announced);
        prop_assert_eq!(resumed, Some(ranking));
        prop_assert_eq!(lines(&parts), journal);
    }
}

#[test]
fn a_race_is_stopped_and_goes_on_with_two_workers() {
    let configuration = exhaustive(8, 1, 2);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let expected = finished(
        Synthetic::closed_form()
            .run(&whole, &configuration, 1)
            .unwrap(),
    );
    for stop_at in [14, 20, 22, 28, 30, 34] {
        let parts = folder.path().join(stop_at.to_string());
        let first = Synthetic::closed_form().slow().stopping_at(stop_at);
        first.run(&parts, &configuration, 2).unwrap();
        let second = Synthetic::closed_form();
        assert_eq!(
            finished(second.run(&parts, &configuration, 2).unwrap()),
            expected
        );
        assert_eq!(lines(&parts), lines(&whole));
        assert_distinct(&[first.calls(), second.calls()].concat());
    }
}
