//! Studies without training, for tests: scorers of closed form, with studies and folders for them.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "tests use it, and may panic"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adaplace_backbone::{DeviceKind, Pooling, Precision};
use adaplace_scorer::{
    ByClass, Evaluation, Measures, Score, ScoreError, Scorer, Statistic, TrainingSettings,
};
use adaplace_search_space::{
    AdapterSpec, BackboneReference, ChainShape, Connection, Count, Fidelity, Placement,
    PlacementHash, Reduction, Repetitions, SearchSpace, Seed, SpaceDescription,
};
use adaplace_strategy::{FixedProxy, Strategy, StrategyDescription};
use adaplace_study::{
    BackboneSource, Event, GradientMapSource, Metric, Phase, ProbeQuality, Ranking, Record,
    STUDY_FORMAT, SearchSettings, Study, StudyConfiguration, StudyError, StudyFolder, StudyParts,
    Summary, TaskSource, TrialResult, Workers, run,
};
use serde_json::Value;

pub const HIDDEN_STATES: u16 = 13;

/// All connections of all kinds, two adapters.
pub const EXTENDED: &str = "
    [connections]
    kinds = ['sequential', 'parallel', 'long-range', 'recurrent']
    [adapter]
    ranks = [2, 4]
    [budget]
    adapters = 2";

/// Thirteen placements of one adapter each: `0->0` to `12->12`.
pub const SEQUENTIAL: &str = "
    [connections]
    kinds = ['sequential']
    [adapter]
    ranks = [2]
    [budget]
    adapters = 1";

/// One placement: a parallel adapter at each of the twelve sublayers.
pub const EVERY_SUBLAYER: &str = "
    [connections]
    kinds = ['parallel']
    [adapter]
    ranks = [2]
    [budget]
    adapters = 12";

pub fn steps(steps: u32) -> Fidelity {
    Fidelity::of(steps)
}

/// A strategy with its default settings, on a space for which twelve trials suffice.
pub fn configuration(strategy: &str, halving: Option<u32>) -> StudyConfiguration {
    let space = match strategy {
        "exhaustive" | "stratified" => SEQUENTIAL,
        _ => EXTENDED,
    };
    let mut strategy: StrategyDescription = strategy.parse().unwrap();
    if let StrategyDescription::Evolution(settings) = &mut strategy {
        settings.population = 4;
    }
    StudyConfiguration {
        format: STUDY_FORMAT.to_owned(),
        search: SearchSettings {
            seed: Seed::of(3),
            trials: Count::of(13),
            steps: steps(9),
            proposals: Count::of(4),
            halving: halving.map(Reduction::of),
            metric: Metric::Accuracy,
            statistic: Statistic::Rank.into(),
            finalists: Count::of(4),
            repetitions: Repetitions::of(2),
            ..SearchSettings::default()
        },
        strategy,
        backbone: BackboneSource {
            folder: PathBuf::from("backbone"),
            pooling: Pooling::Mean,
            weights_sha256: "0123".to_owned(),
            precision: Precision::F32,
            device: DeviceKind::Cpu,
        },
        task: TaskSource {
            folder: PathBuf::from("task"),
            fingerprint: "4567".to_owned(),
            train_examples: None,
            columns: adaplace_task::Columns::default(),
            problem: None,
            class_weights: adaplace_task::ClassWeights::default(),
            max_length: Some(32),
        },
        training: TrainingSettings::default(),
        gradient_map: GradientMapSource::default(),
        space: SpaceDescription::from_toml(space).unwrap(),
    }
}

/// Every strategy, with and without halving.
pub fn all_configurations() -> Vec<StudyConfiguration> {
    let strategies = StrategyDescription::NAMES.iter();
    strategies
        .flat_map(|strategy| [None, Some(3)].map(|halving| configuration(strategy, halving)))
        .collect()
}

pub fn space(configuration: &StudyConfiguration) -> SearchSpace {
    let shape = ChainShape {
        hidden_states: HIDDEN_STATES,
        width: 4,
        tokens: 2,
        sublayer_flops: vec![1000; usize::from(HIDDEN_STATES) - 1],
    };
    SearchSpace::resolve(&configuration.space, &shape).unwrap()
}

pub fn placement(connections: &[(u16, u16)]) -> Placement {
    let adapter = AdapterSpec::new(2, 1.0).unwrap();
    connections
        .iter()
        .map(|&(source, target)| (Connection::new(source, target), adapter))
        .collect()
}

pub fn score(accuracy: f64, loss: f64) -> Score {
    Score {
        train_loss: 0.5 * loss,
        validation_loss: loss,
        measures: Measures::Classes {
            accuracy,
            // Each metric gives another order.
            by_class: Some(ByClass {
                balanced_accuracy: (3.0 * accuracy).fract(),
                macro_f1: (7.0 * accuracy).fract(),
                matthews: -accuracy,
            }),
        },
    }
}

/// A score with every digit in use, better for longer trainings, with ties between placements.
pub fn closed_form(placement: &Placement, fidelity: Fidelity, repetition: u32) -> Score {
    let quality: u16 = placement
        .iter()
        .map(|(connection, adapter)| {
            (3 * connection.source + 5 * connection.target + adapter.rank) % 7
        })
        .sum();
    let length = f64::from(fidelity.steps());
    let accuracy = f64::from(quality) / 15.0 * length / (length + 1.0);
    let loss = (2.0 - accuracy + 0.01 * f64::from(repetition)).ln_1p();
    score(accuracy, loss)
}

pub fn diverged(fidelity: Fidelity) -> ScoreError {
    ScoreError::Diverged {
        step: fidelity.steps(),
        quantity: "loss",
        value: f64::NAN,
    }
}

type Training = (PlacementHash, Fidelity, u32);
type Closure =
    dyn Fn(&Placement, Fidelity, u32) -> Result<Score, ScoreError> + Send + Sync + 'static;

/// A scorer that trains nothing and records its calls.
pub struct Synthetic {
    score: Box<Closure>,
    calls: Mutex<Vec<Training>>,
    /// The call, counted from 1, during which `stop` is set.
    stop_at: Option<usize>,
    stop: Arc<AtomicBool>,
    /// Whether calls take a little time, which differs between them.
    slow: bool,
}

impl Synthetic {
    pub fn new(
        score: impl Fn(&Placement, Fidelity, u32) -> Result<Score, ScoreError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            score: Box::new(score),
            calls: Mutex::default(),
            stop_at: None,
            stop: Arc::default(),
            slow: false,
        }
    }

    pub fn closed_form() -> Self {
        Self::new(|placement, fidelity, repetition| {
            Ok(closed_form(placement, fidelity, repetition))
        })
    }

    pub fn slow(self) -> Self {
        Self { slow: true, ..self }
    }

    pub fn stopping_at(self, call: usize) -> Self {
        self.stop.store(call == 0, Ordering::Relaxed);
        Self {
            stop_at: Some(call),
            ..self
        }
    }

    pub fn calls(&self) -> Vec<Training> {
        self.calls.lock().unwrap().clone()
    }

    /// Runs the study in `folder`, or resumes it.
    pub fn run(
        &self,
        folder: &Path,
        configuration: &StudyConfiguration,
        workers: usize,
    ) -> Result<Summary, StudyError> {
        self.watch(folder, configuration, workers, &mut |_| {})
    }

    pub fn watch(
        &self,
        folder: &Path,
        configuration: &StudyConfiguration,
        workers: usize,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<Summary, StudyError> {
        let workers = Workers::new(workers)?;
        let mut study = open(folder, configuration)?;
        run(&mut study, self, &workers, &self.stop, notify)
    }
}

/// A proxy with the given score of every connection.
pub fn proxy(connection_score: impl Fn(Connection) -> f64) -> FixedProxy {
    let states = 0..HIDDEN_STATES;
    let sources = states.clone();
    let all = sources.flat_map(|source| {
        let targets = states.clone();
        targets.map(move |target| Connection::new(source, target))
    });
    all.map(|connection| (connection, connection_score(connection)))
        .collect()
}

/// Opens the study in `folder`, or resumes it.
pub fn open(folder: &Path, configuration: &StudyConfiguration) -> Result<Study, StudyError> {
    open_with(folder, configuration, |strategy| strategy)
}

/// Like [`open`], with the strategy replaced by `change`.
pub fn open_with(
    folder: &Path,
    configuration: &StudyConfiguration,
    change: impl FnOnce(Box<dyn Strategy>) -> Box<dyn Strategy>,
) -> Result<Study, StudyError> {
    let space = space(configuration);
    let proxy = proxy(|connection| f64::from((7 * connection.source + 5 * connection.target) % 11));
    let strategy = change(configuration.build_strategy(&space, Arc::new(proxy))?);
    Ok(Study::new(StudyParts {
        configuration: configuration.clone(),
        space: Arc::new(space),
        strategy,
        probe: probe(),
        map: None,
        backbone: backbone(),
        opened: StudyFolder::open(folder, configuration)?,
    }))
}

impl Scorer for Synthetic {
    fn score(
        &self,
        placement: &Placement,
        fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Score, ScoreError> {
        let training = (placement.hash(), fidelity, repetition);
        {
            let mut calls = self.calls.lock().unwrap();
            calls.push(training);
            // Stop before another worker can count its next call: otherwise it might do several before this one stops.
            if self.stop_at == Some(calls.len()) {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        if self.slow {
            let weight: u16 = placement
                .connections()
                .map(|connection| connection.source + 3 * connection.target)
                .sum();
            std::thread::sleep(Duration::from_micros(u64::from(weight) * 97 % 1500));
        }
        (self.score)(placement, fidelity, repetition)
    }
}

fn probe() -> ProbeQuality {
    let evaluation = Evaluation {
        loss: 1.0,
        measures: Measures::of_accuracy(0.25),
        examples: 4,
    };
    ProbeQuality {
        l2: 0.1,
        train: evaluation,
        validation: evaluation,
    }
}

pub fn backbone() -> BackboneReference {
    BackboneReference {
        model_type: "bert".to_owned(),
        hidden_states: HIDDEN_STATES,
        width: 4,
        pooling: "mean".to_owned(),
        weights_sha256: "0123".to_owned(),
    }
}

pub fn finished(summary: Summary) -> Ranking {
    match summary {
        Summary::Finished(ranking) => *ranking,
        Summary::Stopped { trainings } => panic!("stopped after {trainings} trainings"),
    }
}

pub fn journal(folder: &Path) -> PathBuf {
    folder.join("journal.jsonl")
}

/// The lines of a journal without the seconds, the only field that may differ between two runs.
pub fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(journal(folder)).unwrap();
    let without_seconds = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let seconds = line.as_object_mut().unwrap().remove("seconds").unwrap();
        assert!(seconds.as_f64().unwrap() >= 0.0);
        line
    };
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(without_seconds).collect()
}

/// The trainings of a comparison's journal. With several workers their order may differ.
pub fn unordered(folder: &Path) -> Vec<String> {
    let mut lines = lines(folder);
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("trial").unwrap();
    }
    let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

pub fn assert_distinct(trainings: &[Training]) {
    let distinct: BTreeSet<&Training> = trainings.iter().collect();
    assert_eq!(
        distinct.len(),
        trainings.len(),
        "something was trained twice"
    );
}

pub fn record(trial: usize, placement: Placement, result: TrialResult) -> Record {
    Record {
        trial,
        phase: Phase::Search,
        hash: placement.hash(),
        placement,
        steps: steps(9),
        repetition: 0,
        result,
        seconds: 0.125,
    }
}
