//! Whole comparisons with a scorer of closed form.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use adaplace_experiments::{
    Baseline, COMPARISON_FORMAT, Candidate, Comparison, ComparisonConfiguration, ComparisonRun,
    ComparisonSettings, Competed, ExperimentError, Final, FinalRecord, FinalTraining, Finisher,
    FrozenMap, run_comparison,
};
use adaplace_scorer::{Evaluation, ScoreError};
use adaplace_search_space::{
    Connection, ConnectionTable, Count, Placement, PlacementHash, Positive, Seed,
};
use adaplace_study::{Configuration, Journal, StudyFolder, Workers};
use adaplace_synthetic::{
    HIDDEN_STATES, SEQUENTIAL, Synthetic, assert_distinct, backbone, closed_form, configuration,
    proxy, space, steps, unordered,
};

pub(crate) const FINAL_STEPS: u32 = 20;

/// Far longer than any training here.
pub(crate) const MAP_SECONDS: f64 = 1000.0;

/// The largest norm among the sequential connections is that of `5->5`, among the parallel ones that of `5->6`.
fn gradient_norms() -> ConnectionTable {
    let norm =
        |one: Connection| 1.0 / f64::from(1 + one.source.abs_diff(5) + one.target.abs_diff(5));
    let all = Connection::all(HIDDEN_STATES).into_iter();
    ConnectionTable::new(HIDDEN_STATES.into(), all.map(|one| (one, norm(one))))
}

pub(crate) fn comparison(strategies: &[&str]) -> ComparisonConfiguration {
    let study = configuration("exhaustive", None);
    ComparisonConfiguration {
        format: COMPARISON_FORMAT.to_owned(),
        comparison: ComparisonSettings {
            seed: Seed::of(3),
            seeds: 3,
            budget_steps: 13 * 9,
            steps: steps(9),
            proposals: Count::of(4),
            metric: study.search.metric,
            statistic: study.search.statistic.clone(),
            race: 0,
            baselines: Baseline::ALL.to_vec(),
            random_parallel: Count::of(2),
            final_steps: steps(FINAL_STEPS),
            final_repetitions: 1,
            learning_rates: vec![Positive::of(0.001), Positive::of(0.01)],
            replayed: false,
        },
        strategies: strategies
            .iter()
            .map(|name| name.parse().unwrap())
            .collect(),
        backbone: study.backbone,
        task: study.task,
        training: study.training,
        gradient_map: study.gradient_map,
        space: adaplace_search_space::SpaceDescription::from_toml(
            &SEQUENTIAL.replace("'sequential'", "'sequential', 'parallel'"),
        )
        .unwrap(),
    }
}

/// A finisher whose test accuracy has a closed form. It counts how often the test part is read.
#[derive(Default)]
pub(crate) struct Tested {
    reads: Mutex<Vec<(PlacementHash, u32)>>,
    stop_at: Option<usize>,
    stop: Arc<AtomicBool>,
}

impl Finisher for Tested {
    fn finish(&self, training: &FinalTraining) -> Result<Final, ScoreError> {
        let FinalTraining {
            placement,
            repetition,
            ..
        } = training;
        let repetition = *repetition;
        let mut reads = self.reads.lock().unwrap();
        reads.push((placement.hash(), repetition));
        if self.stop_at == Some(reads.len()) {
            self.stop.store(true, Ordering::Relaxed);
        }
        let score = closed_form(placement, steps(FINAL_STEPS), repetition);
        Ok(Final {
            candidates: vec![Candidate {
                learning_rate: 0.01,
                score: Some(score),
            }],
            learning_rate: Some(0.01),
            test: Evaluation {
                loss: score.validation_loss,
                measures: score.measures,
                examples: 100,
            },
        })
    }
}

pub(crate) fn run(
    folder: &Path,
    configuration: &ComparisonConfiguration,
    scorer: &Synthetic,
    finisher: &Tested,
    stop: &AtomicBool,
    workers: usize,
) -> Result<Option<Comparison>, ExperimentError> {
    let mut study = adaplace_synthetic::configuration("exhaustive", None);
    study.space = configuration.space.clone();
    let space = space(&study);
    let proxy = proxy(|connection| f64::from(connection.target));
    let opened = StudyFolder::open(folder, configuration)?;
    let finals = Journal::open(&opened.folder.path().join(FinalRecord::FILE))?;
    let run = ComparisonRun {
        configuration,
        space: &Arc::new(space),
        scorer,
        finisher,
        proxy: Arc::new(proxy),
        map: FrozenMap {
            gradient_norms: Some(gradient_norms()),
            seconds: MAP_SECONDS,
        },
        backbone: backbone(),
        opened,
        finals,
    };
    run_comparison(run, &Workers::new(workers)?, stop, &mut |_| {})
}

pub(crate) fn finished(
    folder: &Path,
    configuration: &ComparisonConfiguration,
    workers: usize,
) -> Comparison {
    let (scorer, finisher) = (Synthetic::closed_form(), Tested::default());
    let stop = AtomicBool::new(false);
    run(folder, configuration, &scorer, &finisher, &stop, workers)
        .unwrap()
        .unwrap()
}

pub(crate) fn of<'a>(comparison: &'a Comparison, name: &str) -> &'a Competed {
    comparison
        .competitors
        .iter()
        .find(|one| one.name == name)
        .unwrap()
}

/// The comparison without the parts that depend on the clock.
pub(crate) fn without_seconds(mut comparison: Comparison) -> Comparison {
    comparison.everywhere_seconds = None;
    for competed in &mut comparison.competitors {
        for result in &mut competed.seeds {
            assert!(result.seconds.take().is_some());
        }
    }
    comparison
}

/// Two strategies ask for the same 25 placements. Each is trained once with each seed and charged to both. The test
/// part is read once for each placement and seed, and once for the probe.
#[test]
fn shared_trials_are_trained_once_and_charged_to_both() {
    let mut configuration = comparison(&["exhaustive", "stratified", "random"]);
    configuration.comparison.budget_steps = 25 * 9;
    let folder = tempfile::tempdir().unwrap();
    let (scorer, finisher) = (Synthetic::closed_form(), Tested::default());
    let stop = AtomicBool::new(false);
    let comparison = run(folder.path(), &configuration, &scorer, &finisher, &stop, 2);
    let comparison = comparison.unwrap().unwrap();
    // 13 sequential and 12 parallel connections, three seeds; the random parallel ones are among them.
    assert_eq!(scorer.calls().len(), 25 * 3);
    assert_distinct(&scorer.calls());
    for name in ["exhaustive", "stratified", "random"] {
        for result in &of(&comparison, name).seeds {
            assert_eq!(result.steps, 25 * 9);
        }
    }
    for result in &of(&comparison, "best-of-2-random-parallel").seeds {
        assert_eq!(result.steps, 2 * 9);
        assert!(
            result
                .placement
                .connections()
                .all(|c| c.target == c.source + 1)
        );
    }
    let reads = finisher.reads.lock().unwrap();
    let distinct: BTreeSet<_> = reads.iter().collect();
    assert_eq!(distinct.len(), reads.len(), "the test part was read twice");
    let probe = Placement::new().hash();
    assert_eq!(reads.iter().filter(|(hash, _)| *hash == probe).count(), 1);
}

#[test]
fn all_competitors_are_ranked_by_their_test_accuracy() {
    let comparison = finished(
        tempfile::tempdir().unwrap().path(),
        &comparison(&["random", "evolution", "greedy", "gradient-greedy"]),
        1,
    );
    let names: BTreeSet<&str> = comparison
        .competitors
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    for name in [
        "linear-probe",
        "parallel-everywhere",
        "sequential-everywhere",
        "best-of-2-random-parallel",
        "best-of-2-random",
        "largest-gradients",
        "random",
        "evolution",
        "greedy",
        "gradient-greedy",
    ] {
        assert!(names.contains(name), "{name}");
    }
    let means: Vec<f64> = comparison
        .competitors
        .iter()
        .map(|one| one.test_headline.unwrap().value)
        .collect();
    assert!(means.is_sorted_by(|a, b| a >= b), "{means:?}");
    let accuracies = |competed: &Competed| -> Vec<f64> {
        let results = competed.seeds.iter();
        results
            .map(|result| result.test_headline().unwrap())
            .collect()
    };
    let random = accuracies(of(&comparison, "random"));
    for competed in &comparison.competitors {
        let own = accuracies(competed);
        let mean = own.iter().sum::<f64>() / 3.0;
        assert!((competed.test_headline.unwrap().value - mean).abs() < 1e-12);
        let Some(difference) = competed.against_random else {
            assert_eq!(competed.name, "random");
            continue;
        };
        let expected: f64 = own.iter().zip(&random).map(|(a, b)| a - b).sum::<f64>() / 3.0;
        assert!((difference.mean.value - expected).abs() < 1e-12);
        assert_eq!(difference.p_value, None, "three seeds cannot say more");
    }
    // Greedy's curve ends at the score of its placement.
    for result in &of(&comparison, "greedy").seeds {
        let score = closed_form(&result.placement, steps(9), result.seed);
        let last = result.curve.last().unwrap();
        assert_eq!(last.value, score.measures.headline());
        assert!(last.steps <= result.steps);
    }
}

/// Stopping during the trials or the finals, with one worker or three, does not change the result.
#[test]
fn a_stopped_comparison_goes_on_where_it_was() {
    let configuration = comparison(&["random", "evolution"]);
    let undisturbed = tempfile::tempdir().unwrap();
    let expected = without_seconds(finished(undisturbed.path(), &configuration, 3));
    let finals = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("finals.jsonl")).unwrap();
        text.lines()
            .map(|line| line.split("\"seconds\"").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (trial, last) in [
        (Some(1), None),
        (Some(20), None),
        (None, Some(1)),
        (None, Some(6)),
    ] {
        for workers in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let finisher = Tested {
                stop_at: last,
                stop: Arc::clone(&stop),
                ..Tested::default()
            };
            let count = Mutex::new(0);
            let stopping = Arc::clone(&stop);
            let scorer = Synthetic::new(move |placement, fidelity, repetition| {
                let mut count = count.lock().unwrap();
                *count += 1;
                if Some(*count) == trial {
                    stopping.store(true, Ordering::Relaxed);
                }
                Ok(closed_form(placement, fidelity, repetition))
            });
            let stopped = run(
                folder.path(),
                &configuration,
                &scorer,
                &finisher,
                &stop,
                workers,
            )
            .unwrap();
            assert_eq!(stopped, None);
            assert!(!folder.path().join("comparison.json").exists());
            let resumed = finished(folder.path(), &configuration, workers);
            assert_eq!(without_seconds(resumed), expected);
            assert_eq!(unordered(folder.path()), unordered(undisturbed.path()));
            assert_eq!(finals(folder.path()), finals(undisturbed.path()));
        }
    }
}

/// Strategies that propose one placement at a time keep several workers busy together, with the same results as alone.
#[test]
fn searches_take_place_side_by_side() {
    let mut configuration = comparison(&["evolution", "surrogate"]);
    configuration.comparison.proposals = Count::of(1);
    let alone = tempfile::tempdir().unwrap();
    let expected = without_seconds(finished(alone.path(), &configuration, 1));
    // The first training ends once a second one has started.
    let (begun, second) = (Mutex::new(0), Condvar::new());
    let scorer = Synthetic::new(move |placement, fidelity, repetition| {
        let mut begun = begun.lock().unwrap();
        *begun += 1;
        second.notify_all();
        let long = Duration::from_secs(300);
        let waited = second.wait_timeout_while(begun, long, |begun| *begun < 2);
        assert!(!waited.unwrap().1.timed_out(), "one training at a time");
        Ok(closed_form(placement, fidelity, repetition))
    });
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let together = run(
        folder.path(),
        &configuration,
        &scorer,
        &Tested::default(),
        &stop,
        2,
    );
    assert_eq!(without_seconds(together.unwrap().unwrap()), expected);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    type Change = fn(&mut ComparisonConfiguration);
    let cases: [(Change, &str); 5] = [
        (
            |c| c.comparison.seeds = 1,
            "`seeds` is 1; it must be at least 2",
        ),
        (|c| c.strategies.clear(), "`strategies` is empty"),
        (
            |c| c.strategies = vec!["random".parse().unwrap(); 2],
            "`random` is named twice",
        ),
        (|c| c.comparison.budget_steps = 8, "`budget_steps` is 8"),
        (
            |c| c.comparison.learning_rates.clear(),
            "`learning_rates` is []",
        ),
    ];
    for (change, message) in cases {
        let mut configuration = comparison(&["random", "greedy"]);
        change(&mut configuration);
        let error = configuration.check().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// A configuration survives its file. A different one is refused with the difference.
#[test]
fn the_folder_belongs_to_one_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = comparison(&["random", "evolution"]);
    finished(folder.path(), &configuration, 1);
    let path = folder.path().join("comparison.toml");
    assert_eq!(ComparisonConfiguration::read(&path).unwrap(), configuration);
    let mut other = configuration.clone();
    other.comparison.final_steps = steps(21);
    let error = StudyFolder::check(folder.path(), &other).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`comparison.final_steps` is 20 there and 21 here"),
        "{error}"
    );
    let study = adaplace_synthetic::configuration("random", None);
    let error = StudyFolder::check(folder.path(), &study).unwrap_err();
    assert!(
        error.to_string().contains("holds no `study.toml`"),
        "{error}"
    );
}

/// If h_0 is the only target, no parallel connection is left. The baseline of parallel placements is omitted and the
/// rest compete.
#[test]
fn a_space_without_parallel_connections_is_compared_without_their_baseline() {
    let mut configuration = comparison(&["random"]);
    let space = SEQUENTIAL.replace("'sequential'", "'sequential', 'recurrent'");
    let space = space.replace("[adapter]", "targets = [0, 0]\n[adapter]");
    configuration.space = adaplace_search_space::SpaceDescription::from_toml(&space).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let comparison = finished(folder.path(), &configuration, 1);
    let names = comparison.competitors.iter().map(|one| one.name.as_str());
    let names: BTreeSet<&str> = names.collect();
    let expected = [
        "best-of-2-random",
        "largest-gradients",
        "linear-probe",
        "parallel-everywhere",
        "random",
        "sequential-everywhere",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}
