//! The input for training the placements of a bench by PyTorch, many at once on a card, and the table of the resulting
//! scores.
//!
//! `work.safetensors` has the content that [`crate::prepare`] writes, but with the initial adapters of every
//! repetition, whose number is the prefix of their names: `1/{source}-{target}.down.weight`.

use std::path::Path;
use std::sync::Arc;

use adaplace_experiments::{BenchConfiguration, PlacementBench, tabulated};
use adaplace_scorer::{Measures, ProxyScorer, Score, training_batches};
use adaplace_search_space::{Connection, Count, Placement, SearchSpace};
use adaplace_study::{
    Configuration, GradientMapFile, Phase, Problem, Record, StudyConfiguration, TrialResult,
    chain_shape,
};
use adaplace_task::evaluation_batches;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::prepare::{Tensors, push_examples, push_f32, push_initial_adapter, write};
use crate::work::Pair;

/// The `work.json` of sets.
#[derive(Debug, Serialize)]
struct Sets<'a> {
    configuration: &'a StudyConfiguration,
    /// Rows of the training part by repetition, one batch for each step.
    batches: Vec<Vec<Vec<usize>>>,
    /// Rows of the validation part.
    validation_batches: Vec<Vec<usize>>,
    placements: Vec<Vec<Pair>>,
}

/// A line of the file that PyTorch wrote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scored {
    placement: usize,
    repetition: u32,
    accuracy: f64,
    loss: f64,
    train_loss: f64,
}

struct Bench {
    configuration: StudyConfiguration,
    problem: Problem,
}

impl Bench {
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(BenchConfiguration::FILE);
        let configuration = BenchConfiguration::read(&path)?.0;
        let (backbone, task) = (&configuration.backbone, &configuration.task);
        let problem = Problem::for_search(
            (&backbone.folder, Some(backbone.pooling)),
            (&task.folder, &task.reading()),
            task.max_length,
            task.train_examples.map(Count::get),
            configuration.search.seed.get(),
        )?;
        if problem.task.fingerprint != task.fingerprint {
            bail!("`{}` belongs to another task than it names", path.display());
        }
        Ok(Self {
            configuration,
            problem,
        })
    }

    fn space(&self) -> Result<SearchSpace> {
        let shape = chain_shape(&self.problem.backbone, &self.problem.task);
        Ok(SearchSpace::resolve(&self.configuration.space, &shape)?)
    }
}

pub(crate) fn prepare(bench: &Path, out: &Path) -> Result<()> {
    let bench = Bench::read(bench)?;
    let space = bench.space()?;
    let configuration = &bench.configuration;
    let (backbone, task) = bench.problem.shared();
    let (search, settings) = (&configuration.search, configuration.training);
    let repetitions = 1..=search.repetitions.get();
    let batches = |repetition| {
        let (lengths, size) = (task.train.lengths(), settings.batch_size.get());
        training_batches(
            lengths,
            size,
            search.steps.steps(),
            search.seed.get(),
            repetition,
        )
    };
    let pairs = |placement: &Placement| placement.connections().map(pair).collect();
    let work = Sets {
        configuration,
        batches: repetitions.clone().map(batches).collect(),
        validation_batches: evaluation_batches(
            &task.validation.lengths(),
            settings.batch_size.get(),
        ),
        placements: tabulated(configuration, &space)?
            .iter()
            .map(pairs)
            .collect(),
    };
    let scorer = ProxyScorer::new(
        Arc::clone(&backbone),
        Arc::clone(&task),
        settings,
        search.seed.get(),
    )?;
    let mut tensors = Tensors::new();
    push_examples(&mut tensors, "train", &task.train)?;
    push_examples(&mut tensors, "validation", &task.validation)?;
    let probe = scorer.probe();
    let shape = vec![probe.bias.len(), backbone.description().width];
    push_f32(&mut tensors, "head.weight", shape, &probe.weight);
    push_f32(
        &mut tensors,
        "head.bias",
        vec![probe.bias.len()],
        &probe.bias,
    );
    let &[rank] = space.ranks() else {
        bail!("a bench has adapters of one rank");
    };
    for repetition in repetitions {
        let prefix = format!("{repetition}/");
        for &connection in space.connections() {
            let adapter = (connection, rank);
            push_initial_adapter(&mut tensors, &prefix, &scorer, adapter, repetition)?;
        }
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    write(&tensors, &out.join("work.safetensors"))?;
    let path = out.join("work.json");
    std::fs::write(&path, serde_json::to_string(&work)?)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

pub(crate) fn table(bench: &Path, scores: &Path, trained_by: String, out: &Path) -> Result<()> {
    let map = GradientMapFile::read(&bench.join("gradient-map.json"))?;
    let bench = Bench::read(bench)?;
    let space = bench.space()?;
    let placements = tabulated(&bench.configuration, &space)?;
    let text = std::fs::read_to_string(scores)
        .with_context(|| format!("cannot read `{}`", scores.display()))?;
    let record = |(trial, line): (usize, &str)| -> Result<Record> {
        let scored: Scored = serde_json::from_str(line)?;
        let placement = placements.get(scored.placement);
        let placement = placement.context("there is no such placement")?.clone();
        Ok(Record {
            trial,
            phase: Phase::Search,
            hash: placement.hash(),
            placement,
            steps: bench.configuration.search.steps,
            repetition: scored.repetition,
            result: TrialResult::Score(Score {
                train_loss: scored.train_loss,
                validation_loss: scored.loss,
                measures: Measures::of_accuracy(scored.accuracy),
            }),
            seconds: 0.0,
        })
    };
    let records = text.lines().enumerate().map(record);
    let records = records
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("`{}` is damaged", scores.display()))?;
    let mut table = PlacementBench::new(&bench.configuration, &space, map, &records)?;
    table.trained_by = Some(trained_by);
    table.write(out)?;
    Ok(())
}

fn pair(connection: Connection) -> Pair {
    (connection.source, connection.target)
}
