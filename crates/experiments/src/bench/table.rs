use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use adaplace_files::{Document, FileError, read_json, write_atomically};
use adaplace_scorer::{Scorer, Statistic, Statistics};
use adaplace_search_space::{
    AdapterSpec, BackboneReference, ChainShape, Connection, ConnectionTable, Fidelity, Placement,
    SearchSpace,
};
use adaplace_strategy::{FixedProxy, StrategyDescription};
use adaplace_study::{
    Configuration, Event, GradientMapFile, Journal, Listed, Phase, PreparationSettings,
    ProbeQuality, Record, Replaying, STUDY_FORMAT, Scoring, StudyConfiguration, Training,
    Trainings, Workers, sort_by_target,
};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};

use crate::ExperimentError;

/// Losses are rounded to a millionth of a nat.
const LOSS_STEPS: f64 = 1e6;

/// The content of `bench.toml`: the configuration of a search by `exhaustive` or `sample`, with its repetitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BenchConfiguration(pub StudyConfiguration);

impl Document for BenchConfiguration {
    const FORMAT: &'static str = STUDY_FORMAT;
}

impl Configuration for BenchConfiguration {
    const FILE: &'static str = "bench.toml";

    fn preparation(&self, space: &SearchSpace) -> PreparationSettings {
        self.0.preparation(space)
    }

    fn at_the_places_of(&self, other: &Self) -> Self {
        Self(self.0.at_the_places_of(&other.0))
    }
}

/// The content of `bench.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementBench {
    /// `adaplace.placement-bench/1`
    pub format: String,
    /// The configuration that it was made with.
    pub configuration: StudyConfiguration,
    /// The backbone that placement files refer to.
    pub backbone: BackboneReference,
    /// The shape that costs are computed for.
    pub shape: ChainShape,
    /// The linear probe of the frozen model.
    pub probe: ProbeQuality,
    /// The statistics of the gradient map: rows are sources, columns are targets.
    pub statistics: BTreeMap<Statistic, ConnectionTable>,
    /// The program that trained the placements, if it was not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_by: Option<String>,
    /// One row for each placement of the space or of the sample.
    pub rows: Vec<BenchRow>,
}

impl Document for PlacementBench {
    const FORMAT: &'static str = "adaplace.placement-bench/1";
}

/// One placement and its repetitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchRow {
    /// Its connections as pairs of source and target.
    pub placement: Vec<(u16, u16)>,
    /// Validation accuracy by repetition; none if the training failed or was not done.
    pub accuracy: Vec<Option<f64>>,
    /// Validation loss by repetition, rounded to a millionth of a nat.
    pub loss: Vec<Option<f64>>,
}

/// The placements that a bench of this configuration trains, in order.
///
/// # Errors
/// If its strategy cannot search the space.
pub fn tabulated(
    configuration: &StudyConfiguration,
    space: &SearchSpace,
) -> Result<Vec<Placement>, ExperimentError> {
    let nothing = Arc::new(FixedProxy::from_iter([]));
    let mut strategy = configuration.build_strategy(space, nothing)?;
    let mut placements = Vec::new();
    loop {
        let proposals = strategy.propose(space, configuration.search.trials.get())?;
        if proposals.is_empty() {
            return Ok(placements);
        }
        placements.extend(proposals.into_iter().map(|proposal| proposal.placement));
    }
}

/// Trains `placements`, each in all repetitions. `None` if `stop` was set before the end; the journal holds the
/// finished trainings.
///
/// # Errors
/// The first error that is not a failed training.
pub fn tabulate<S: Scorer>(
    placements: &[Placement],
    scorer: &S,
    (steps, repetitions): (Fidelity, u32),
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
    journal: (Journal, Vec<Record>),
) -> Result<Option<Vec<Record>>, ExperimentError> {
    let trainings = placements.iter().flat_map(|placement| {
        (1..=repetitions).map(move |repetition| Training {
            phase: Phase::Search,
            placement: placement.clone(),
            steps,
            repetition,
        })
    });
    let mut wanted: Vec<Training> = trainings.collect();
    sort_by_target(&mut wanted);
    let (journal, records) = journal;
    let mut trainings = Trainings::new(journal, records, Replaying::InOrder);
    trainings.want(&wanted, &mut |record| {
        notify(Event::Done {
            record,
            replayed: true,
        });
    })?;
    let mut written = |record: &Record| {
        notify(Event::Done {
            record,
            replayed: false,
        });
    };
    let mut list = Listed::new(trainings, &mut written);
    if !workers.run(&mut list, stop, Scoring(scorer))? {
        return Ok(None);
    }
    let trainings = list.into_trainings();
    trainings.check_replayed()?;
    Ok(Some(trainings.lines().to_vec()))
}

impl PlacementBench {
    /// Name of its file in the folder of a bench.
    pub const FILE: &str = "bench.json";

    /// The table of all trainings.
    ///
    /// # Errors
    /// [`ExperimentError::SeveralAdapters`] if the space has more than one rank.
    pub fn new(
        configuration: &StudyConfiguration,
        space: &SearchSpace,
        map: GradientMapFile,
        records: &[Record],
    ) -> Result<Self, ExperimentError> {
        only_adapter(space)?;
        let repetitions = configuration.search.repetitions.get() as usize;
        let mut rows: BTreeMap<Vec<(u16, u16)>, BenchRow> = BTreeMap::new();
        for record in records {
            let connections = record.placement.connections();
            let placement: Vec<(u16, u16)> = connections
                .map(|connection| (connection.source, connection.target))
                .collect();
            let row = rows.entry(placement.clone()).or_insert_with(|| BenchRow {
                placement,
                accuracy: vec![None; repetitions],
                loss: vec![None; repetitions],
            });
            let column = record.repetition as usize - 1;
            let score = record.result.score();
            row.accuracy[column] = score.map(|score| score.measures.headline());
            row.loss[column] =
                score.map(|score| (score.validation_loss * LOSS_STEPS).round() / LOSS_STEPS);
        }
        Ok(Self {
            format: Self::FORMAT.to_owned(),
            configuration: configuration.clone(),
            backbone: map.backbone,
            shape: space.shape().clone(),
            probe: map.probe,
            statistics: map.statistics,
            trained_by: None,
            rows: rows.into_values().collect(),
        })
    }

    /// Reads and checks the bench at `path`.
    ///
    /// # Errors
    /// [`ExperimentError::Bench`] with the file and the reason.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        let invalid = |reason: String| ExperimentError::Bench {
            path: path.to_owned(),
            reason,
        };
        let bench: Self = read_json(path).map_err(|error| match error {
            FileError::Content { path, problem } => ExperimentError::Bench {
                path,
                reason: problem.to_string(),
            },
            other => other.into(),
        })?;
        let space = bench.space()?;
        let adapter = only_adapter(&space)?;
        let repetitions = bench.configuration.search.repetitions.get() as usize;
        let expected = tabulated(&bench.configuration, &space)?.len();
        if bench.rows.len() != expected {
            return Err(invalid(format!(
                "it has {} placements instead of {expected}",
                bench.rows.len()
            )));
        }
        for row in &bench.rows {
            let placement = row.placement(adapter);
            if !space.contains(&placement) {
                return Err(invalid(format!("`{placement}` is not in its space")));
            }
            if row.accuracy.len() != repetitions || row.loss.len() != repetitions {
                return Err(invalid(format!(
                    "`{placement}` does not have {repetitions} repetitions"
                )));
            }
        }
        Ok(bench)
    }

    /// Writes the file atomically, with one row per line. On failure an earlier file is unchanged.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ExperimentError> {
        let failed = |source| FileError::Write {
            path: path.to_owned(),
            source,
        };
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, RowALine::default());
        self.serialize(&mut serializer)
            .map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        Ok(write_atomically(path, &text).map_err(failed)?)
    }

    /// Checks that `space` can be tabulated.
    ///
    /// # Errors
    /// [`ExperimentError::SeveralAdapters`] if the space has more than one rank.
    pub fn check_space(space: &SearchSpace) -> Result<(), ExperimentError> {
        only_adapter(space).map(|_| ())
    }

    /// The score of every connection; `None` if the bench does not hold a statistic.
    #[must_use]
    pub fn connection_scores(&self, statistics: &Statistics) -> Option<FixedProxy> {
        let tables = statistics.as_slice().iter();
        let tables: Vec<&ConnectionTable> = tables
            .map(|statistic| self.statistics.get(statistic))
            .collect::<Option<_>>()?;
        Some(statistics.connection_scores(&tables).iter().collect())
    }

    /// Whether the table holds every placement of its space.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(
            self.configuration.strategy,
            StrategyDescription::Exhaustive {}
        )
    }

    /// The space that the table covers or was sampled from.
    ///
    /// # Errors
    /// If the description does not fit the shape.
    pub fn space(&self) -> Result<SearchSpace, ExperimentError> {
        Ok(SearchSpace::resolve(
            &self.configuration.space,
            &self.shape,
        )?)
    }

    /// The placement of each row.
    ///
    /// # Errors
    /// [`ExperimentError::SeveralAdapters`] if the space has more than one rank.
    pub fn placements(&self) -> Result<Vec<Placement>, ExperimentError> {
        let adapter = only_adapter(&self.space()?)?;
        Ok(self.rows.iter().map(|row| row.placement(adapter)).collect())
    }

    /// Checks that the bench at `path` was made with this backbone and this task.
    ///
    /// # Errors
    /// [`ExperimentError::OtherBench`] with both hashes.
    pub fn check_made_with(
        &self,
        path: &Path,
        backbone: &BackboneReference,
        fingerprint: &str,
    ) -> Result<(), ExperimentError> {
        let weights = (
            &self.backbone.weights_sha256[..],
            &backbone.weights_sha256[..],
        );
        let examples = (&self.configuration.task.fingerprint[..], fingerprint);
        for (what, (expected, found)) in [("backbone", weights), ("task", examples)] {
            if expected != found {
                return Err(ExperimentError::OtherBench {
                    what,
                    path: path.to_owned(),
                    expected: expected.to_owned(),
                    found: found.to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl BenchRow {
    pub(crate) fn placement(&self, adapter: AdapterSpec) -> Placement {
        let connections = self.placement.iter();
        connections
            .map(|&(source, target)| (Connection::new(source, target), adapter))
            .collect()
    }
}

/// Compact JSON with a line break before each element of a top-level array.
#[derive(Default)]
struct RowALine {
    /// Number of open objects and arrays.
    depth: usize,
}

impl Formatter for RowALine {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"}")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        match self.depth {
            2 => writer.write_all(b"\n"),
            _ => Ok(()),
        }
    }
}

/// The adapter of every connection.
pub(crate) fn only_adapter(space: &SearchSpace) -> Result<AdapterSpec, ExperimentError> {
    match space.adapters() {
        [adapter] => Ok(*adapter),
        _ => Err(ExperimentError::SeveralAdapters {
            ranks: space.ranks().to_vec(),
        }),
    }
}
