//! Commands that train many placements into a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adaplace_backbone::Pooling;
use adaplace_experiments::Baseline;
use adaplace_scorer::{Statistic, Statistics};
use adaplace_search_space::{Count, Fidelity, Positive, Reduction, Repetitions, Seed};
use adaplace_strategy::{CostObjective, FirstPopulation, StrategyDescription};
use adaplace_study::{GradientMapSource, MapConnections, Metric, SearchSettings};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::values::{ExecutorArgument, PrecisionArgument, from, named, workers};
use super::{BackboneAndTask, LearningOptions, ReadingOptions, ResourceOptions, SpaceOptions};

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Run the study of this file again in another output folder. Its backbone and task are looked up here and next to
    /// the file; --backbone and --task name other places of the same ones
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "space", "adapters", "parameters", "ranks", "text_column", "pair_column", "label_column", "image_column", "problem", "class_weights", "strategy", "trials", "until", "metric", "and", "finalists", "race", "repetitions", "halving", "proposals",
        "statistic", "candidates", "population", "first_population", "prune_rounds", "prune_from", "steps", "train_examples", "batch_size",
        "learning_rate", "head_learning_rate", "max_length", "pooling", "precision", "seed", "gradient_examples",
    ])]
    pub(crate) study: Option<PathBuf>,
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or a
    /// model of the hub as org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE", required_unless_present = "study")]
    pub(crate) backbone: Option<PathBuf>,
    /// Task folder: {train,validation,test}.jsonl, .csv or .parquet, or {train,..}/CLASS/*.png; or a dataset of the hub
    /// as org/name or org/name:subset
    #[arg(long, value_name = "DIR", required_unless_present = "study")]
    pub(crate) task: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingOptions,
    #[command(flatten)]
    pub(crate) space: SpaceOptions,
    /// Strategy that proposes placements
    #[arg(long, value_name = "NAME", default_value = StrategyDescription::default().name(),
        value_parser = PossibleValuesParser::new(StrategyDescription::NAMES))]
    pub(crate) strategy: String,
    #[command(flatten)]
    pub(crate) options: SearchOptions,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    /// Where trials are trained: on this machine, or on a Ray cluster by --workers actors of one core each. Ray needs
    /// the Python package `adaplace[ray]` in the interpreter `python3`, or in the one that ADAPLACE_PYTHON names
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub(crate) executor: ExecutorArgument,
    /// Ray: address of the cluster, as host:port, ray://host:port or auto [default: a new cluster on this machine]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What a search tries and how it chooses, as stored in `study.toml`.
#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    /// Number of placements to try; with --halving, each starts with few steps and only the best continue
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().trials)]
    pub(crate) trials: Count,
    /// Instead of --trials: as many trials as finish within this time, for example 30m or 1h 30m, by the speed measured
    /// at the start
    #[arg(long, value_name = "TIME", conflicts_with = "trials", value_parser = humantime::parse_duration)]
    pub(crate) until: Option<Duration>,
    /// Rank by one of the task's metrics on the validation part; by default by its headline measure - loss / 2, which
    /// is more stable than that measure alone
    #[arg(long, value_name = "NAME", default_value = Metric::default().name(), value_parser = named::<Metric>())]
    pub(crate) metric: Metric,
    /// Cost to minimise as well; evolution and surrogate take it into account, and the placements trained again come
    /// from the Pareto front
    #[arg(long, value_name = "COST", value_parser = named::<CostObjective>())]
    pub(crate) and: Vec<CostObjective>,
    /// Number of best placements that race: all are trained on fresh orders of the examples and the better half
    /// continues, until two are left
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().finalists)]
    pub(crate) finalists: Count,
    /// Race: trainings of each finalist on the first rung, with twice as many on every following one; 0 for no race.
    /// With --and there is none
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().race)]
    pub(crate) race: u32,
    /// Trainings of the last two finalists (of all, if there is no race) on orders that were not used to choose them,
    /// which show how good they are
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().repetitions)]
    pub(crate) repetitions: Repetitions,
    /// Successive halving: start trials at a fraction of the steps and promote the best of every R
    #[arg(long, value_name = "R")]
    pub(crate) halving: Option<Reduction>,
    /// Number of placements that the strategy proposes at a time
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().proposals)]
    pub(crate) proposals: Count,
    /// Gradient statistic that defines the connection score, or several separated by commas for the mean of
    /// their ranks. `validation-alignment` takes about twice the time of a map, `alignment` and `agreement` three times
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = Statistics::DEFAULT, value_parser = named::<Statistic>())]
    pub(crate) statistic: Vec<Statistic>,
    /// Greedy: connections trained at each stage [default: trials divided by adapters]
    #[arg(long, value_name = "N")]
    pub(crate) candidates: Option<Count>,
    /// Evolution: size of the population [default: 16]
    #[arg(long, value_name = "N")]
    pub(crate) population: Option<Count>,
    /// Evolution: how the first population is drawn [default: gradient]
    #[arg(long, value_name = "NAME", value_parser = named::<FirstPopulation>())]
    pub(crate) first_population: Option<FirstPopulation>,
    /// Prune: number of rounds, in each of which all connections left are trained together and the least important are
    /// dropped [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) prune_rounds: Option<Count>,
    /// Prune: start with this many of the most promising connections [default: all of the space]
    #[arg(long, value_name = "N")]
    pub(crate) prune_from: Option<Count>,
}

/// How a placement is trained and judged, as stored in `study.toml`.
#[derive(Debug, Args)]
pub(crate) struct TrainingOptions {
    /// Optimiser steps of a trial
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().steps)]
    pub(crate) steps: Fidelity,
    /// Train on a subset of this size, the same for all trials [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) train_examples: Option<Count>,
    #[command(flatten)]
    pub(crate) learning: LearningOptions,
    /// Cut texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N")]
    pub(crate) max_length: Option<Count>,
    /// Pooling of the last hidden state into one vector [default: as in 1_Pooling/config.json, else mean; cls for image
    /// models]
    #[arg(long, value_name = "NAME", value_parser = named::<Pooling>())]
    pub(crate) pooling: Option<Pooling>,
    /// Precision to which the operands of the frozen products are rounded; everything else is f32
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    /// Seed of all random choices
    #[arg(long, default_value_t = SearchSettings::default().seed)]
    pub(crate) seed: Seed,
    /// Largest number of training examples for the gradient map
    #[arg(long, value_name = "N", default_value_t = GradientMapSource::default().examples)]
    pub(crate) gradient_examples: Count,
    /// Connections in the gradient map; fewer of them save time and memory with a large backbone
    #[arg(long, value_name = "WHICH", value_parser = named::<MapConnections>(), default_value_t = MapConnections::All)]
    pub(crate) gradient_connections: MapConnections,
}

/// The folder of a study and what it runs on, none of which changes a result.
#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// Folder of the study; an unfinished study there is resumed [default: results/TASK-STRATEGY for a search, else
    /// results/TASK-COMMAND, such as results/TASK-compare]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Number of trainings that run in parallel, with one thread each; a single worker uses all cores. Changes no
    /// result
    #[arg(long, value_name = "N", default_value = "1", value_parser = workers())]
    pub(crate) workers: usize,
    #[command(flatten)]
    pub(crate) resources: ResourceOptions,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`OutputOptions`] with a folder.
#[derive(Debug)]
pub(crate) struct StudyOutput<'a> {
    pub(crate) out: PathBuf,
    pub(crate) workers: usize,
    pub(crate) resources: &'a ResourceOptions,
    pub(crate) json: bool,
}

impl OutputOptions {
    /// The output in the folder that was asked for, else in `results/TASK-WHAT`.
    pub(crate) fn of(&self, task: &Path, what: &str) -> StudyOutput<'_> {
        let out = self.out.clone().unwrap_or_else(|| {
            let task = task.canonicalize().unwrap_or_else(|_| task.to_owned());
            let name = task.file_name().unwrap_or("task".as_ref());
            // The name of a subset contains a colon, which not every system allows.
            let name = name.to_string_lossy().replace([':', '@'], "-");
            Path::new("results").join(format!("{name}-{what}"))
        });
        self.within(out)
    }

    /// The output in the folder that was asked for, if there is one.
    pub(crate) fn given(&self) -> Option<StudyOutput<'_>> {
        self.out.clone().map(|out| self.within(out))
    }

    fn within(&self, out: PathBuf) -> StudyOutput<'_> {
        StudyOutput {
            out,
            workers: self.workers,
            resources: &self.resources,
            json: self.json,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) subject: BackboneAndTask,
    /// Train nothing: audit the sets of connections in this placement bench of `adaplace bench`, which must be made
    /// with this backbone and task, with the bench's own settings. The default output folder is then
    /// results/TASK-audit-sets
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "text_column", "pair_column", "label_column", "image_column", "problem", "class_weights", "sample", "rank", "steps", "train_examples", "batch_size", "learning_rate", "head_learning_rate", "max_length", "pooling",
        "precision", "seed", "gradient_examples", "workers",
    ])]
    pub(crate) sets: Option<PathBuf>,
    /// Train a sample of this many connections, at least 10, with each kind by its share [default: all of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..).map(|value| value as usize))]
    pub(crate) sample: Option<usize>,
    /// Rank of the adapters
    #[arg(long, value_name = "R", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rank: u16,
    /// Statistics, separated by commas, whose mean rank is judged in addition to every single one
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = Statistics::DEFAULT, value_parser = named::<Statistic>())]
    pub(crate) statistic: Vec<Statistic>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Look scores up in this placement bench of `adaplace bench` instead of training. The space is then that of the
    /// bench unless --space is given, and the default output folder is results/TASK-replay
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "backbone", "task", "text_column", "pair_column", "label_column", "image_column", "problem", "class_weights", "final_steps", "final_repetitions", "learning_rates", "steps", "train_examples", "batch_size", "learning_rate",
        "head_learning_rate", "max_length", "pooling", "precision", "gradient_examples", "device", "side_by_side",
        "cache_memory", "instruction_set",
    ])]
    pub(crate) replay: Option<PathBuf>,
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or a
    /// model of the hub as org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE", required_unless_present = "replay")]
    pub(crate) backbone: Option<PathBuf>,
    /// Task folder with a test part: {train,validation,test}.jsonl, .csv or .parquet, or {train,..}/CLASS/*.png; or a
    /// dataset of the hub as org/name or org/name:subset
    #[arg(long, value_name = "DIR", required_unless_present = "replay")]
    pub(crate) task: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingOptions,
    // With --replay the default is the space of the bench.
    #[command(flatten)]
    pub(crate) space: SpaceOptions,
    /// Strategy to compare; repeat the option for several
    #[arg(long, value_name = "NAME", required = true,
        value_parser = PossibleValuesParser::new(StrategyDescription::NAMES))]
    pub(crate) strategy: Vec<String>,
    /// Optimiser steps of one strategy with one seed, for its trials and its race [default: 64 trainings]
    #[arg(long, value_name = "N", value_parser = from(1))]
    pub(crate) budget_steps: Option<u64>,
    /// Number of seeds, with each of which everything is repeated
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) seeds: u32,
    /// Optimiser steps of the final trainings [default: four times those of a trial]
    #[arg(long, value_name = "N")]
    pub(crate) final_steps: Option<Fidelity>,
    /// Final trainings of each chosen placement, on orders of the examples that were not used to choose it
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..1000))]
    pub(crate) final_repetitions: u32,
    /// Highest learning rates of the adapters that every final training tries, separated by commas
    #[arg(
        long,
        value_name = "RATE",
        value_delimiter = ',',
        default_value = "0.001,0.003,0.01"
    )]
    pub(crate) learning_rates: Vec<Positive>,
    /// Race of the best placements of every strategy's search on fresh orders of the examples, as in `adaplace search`:
    /// trainings of each on the first rung; 0 for no race. At most eight placements race, as many as a quarter of the
    /// budget allows
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().race, value_parser = clap::value_parser!(u32).range(..=250))]
    pub(crate) race: u32,
    /// Baselines that take part in addition to the strategies, separated by commas [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = named::<Baseline>())]
    pub(crate) baselines: Vec<Baseline>,
    /// Number of random placements that each of the baselines best-random-parallel and best-random tries
    #[arg(long, value_name = "N", default_value = "16")]
    pub(crate) random_parallel: Count,
    /// Choose by one of the task's metrics on the validation part; by default by its headline measure - loss / 2
    #[arg(long, value_name = "NAME", default_value = Metric::default().name(), value_parser = named::<Metric>())]
    pub(crate) metric: Metric,
    /// Number of placements that a strategy proposes at a time
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().proposals)]
    pub(crate) proposals: Count,
    /// Gradient statistic that defines the connection score, or several separated by commas for the mean of
    /// their ranks
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = Statistics::DEFAULT, value_parser = named::<Statistic>())]
    pub(crate) statistic: Vec<Statistic>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) subject: BackboneAndTask,
    #[command(flatten)]
    pub(crate) space: SpaceOptions,
    /// Number of trainings of each placement
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) repetitions: Repetitions,
    /// Largest number of placements that the space may have
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) trials: Count,
    /// Train a sample of this many placements of a larger space instead of all: in turn random ones, ones whose
    /// connections are close together, and ones whose connections are far apart
    #[arg(long, value_name = "N", conflicts_with = "trials")]
    pub(crate) sample: Option<Count>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}
