//! Commands that train many placements into a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adaplace_strategy::StrategyDescription;
use adaplace_study::Metric;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::values::{
    BaselineArgument, CostArgument, ExecutorArgument, FirstPopulationArgument, MetricArgument,
    PoolingArgument, PrecisionArgument, StatisticArgument, count, from, positive, seed, steps,
    workers,
};
use super::{BackboneAndTask, ColumnOptions, Resources, SpaceOptions};

/// What the audits under `results/audit` support.
const STATISTIC: &str = "rank,validation-alignment";

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Run the study of this file again, in another output folder. Its backbone and task are looked for here and beside the file;
    /// --backbone and --task say where else the same ones are
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "space", "adapters", "parameters", "ranks", "text_column", "pair_column", "label_column", "image_column", "strategy", "trials", "until", "metric", "and", "finalists", "race", "repetitions", "halving", "proposals",
        "statistic", "candidates", "population", "first_population", "prune_rounds", "prune_from", "steps", "train_examples", "batch_size",
        "learning_rate", "head_learning_rate", "max_length", "pooling", "precision", "seed", "gradient_examples",
    ])]
    pub(crate) study: Option<PathBuf>,
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE", required_unless_present = "study")]
    pub(crate) backbone: Option<PathBuf>,
    /// Task folder: {train,validation,test}.jsonl, .csv or .parquet, or {train,..}/CLASS/*.png;
    /// or org/name or org/name:subset, a dataset of the hub
    #[arg(long, value_name = "DIR", required_unless_present = "study")]
    pub(crate) task: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) columns: ColumnOptions,
    #[command(flatten)]
    pub(crate) space: SpaceOptions,
    /// How placements are proposed
    #[arg(long, value_name = "NAME", default_value = StrategyDescription::default().name(),
        value_parser = PossibleValuesParser::new(StrategyDescription::NAMES))]
    pub(crate) strategy: String,
    #[command(flatten)]
    pub(crate) options: SearchOptions,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    /// Where trials are trained: on this machine, or on a Ray cluster by --workers actors of one core each. Ray takes the
    /// Python package `adaplace[ray]` in the interpreter `python3`, or in the one that ADAPLACE_PYTHON names
    #[arg(long, default_value = "local")]
    pub(crate) executor: ExecutorArgument,
    /// Ray: the cluster, as host:port, ray://host:port or auto [default: a new one on this machine]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What a search tries and how it chooses; goes into `study.toml`.
#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    /// Placements to try; with --halving, each starts short and only the best go on
    #[arg(long, value_name = "N", default_value = "64", value_parser = count())]
    pub(crate) trials: usize,
    /// Instead of --trials: as many trials as end within this time, as 30m or 1h 30m, by the speed that is measured at the start
    #[arg(long, value_name = "TIME", conflicts_with = "trials", value_parser = humantime::parse_duration)]
    pub(crate) until: Option<Duration>,
    /// Rank by validation accuracy (ties by loss), by loss (ties by accuracy), by accuracy - loss / 2, which is steadier than
    /// accuracy alone, or by what counts every class
    #[arg(long, default_value = Metric::default().name())]
    pub(crate) metric: MetricArgument,
    /// A cost to minimise as well: evolution and surrogate heed it, and the placements trained again come from the Pareto front
    #[arg(long, value_name = "COST")]
    pub(crate) and: Vec<CostArgument>,
    /// The best placements of the search, which race: all are trained on fresh orders of the examples and the better half
    /// goes on, until two are left
    #[arg(long, value_name = "N", default_value = "8", value_parser = count())]
    pub(crate) finalists: usize,
    /// Race: trainings of each finalist on the first rung, twice as many on every following one; 0 for no race. With --and
    /// there is none
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) race: u32,
    /// Trainings of the last two (without a race of all finalists) on orders that chose nothing: they say what a placement
    /// is worth
    #[arg(long, value_name = "N", default_value = "3", value_parser = steps())]
    pub(crate) repetitions: u32,
    /// Successive halving: start trials at a fraction of the steps, promote the best of every R
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) halving: Option<u32>,
    /// How many placements the strategy proposes at a time
    #[arg(long, value_name = "N", default_value = "8", value_parser = count())]
    pub(crate) proposals: usize,
    /// The gradient statistic that stands for a connection's promise; of several, separated by commas, the mean of their
    /// ranks. `validation-alignment` takes about twice the time of a map, `alignment` and `agreement` three times
    #[arg(long, value_delimiter = ',', default_value = STATISTIC)]
    pub(crate) statistic: Vec<StatisticArgument>,
    /// Greedy: connections trained at each stage [default: trials divided by adapters]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) candidates: Option<usize>,
    /// Evolution: size of the population [default: 16]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) population: Option<usize>,
    /// Evolution: where the first population comes from [default: gradient]
    #[arg(long)]
    pub(crate) first_population: Option<FirstPopulationArgument>,
    /// Prune: how many times all that is left is trained together and the least important dropped [default: 2]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) prune_rounds: Option<usize>,
    /// Prune: begin with so many of the most promising connections [default: all of the space]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) prune_from: Option<usize>,
}

/// How a placement is trained and judged; goes into `study.toml`.
#[derive(Debug, Args)]
pub(crate) struct TrainingOptions {
    /// Optimiser steps of a trial
    #[arg(long, value_name = "N", default_value = "64", value_parser = steps())]
    pub(crate) steps: u32,
    /// Train on a subset of this size, the same for all trials [default: all]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) train_examples: Option<usize>,
    /// Examples in a batch
    #[arg(long, value_name = "N", default_value = "32", value_parser = count())]
    pub(crate) batch_size: usize,
    /// Highest learning rate of the adapters
    #[arg(long, value_name = "RATE", default_value_t = 3e-3, value_parser = positive)]
    pub(crate) learning_rate: f64,
    /// Highest learning rate of the head
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = positive)]
    pub(crate) head_learning_rate: f64,
    /// Cut texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) max_length: Option<usize>,
    /// How the last hidden state becomes one vector [default: as in 1_Pooling/config.json, else mean; a ViT: cls]
    #[arg(long)]
    pub(crate) pooling: Option<PoolingArgument>,
    /// What the operands of the frozen products are rounded to; everything else is f32
    #[arg(long, default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    /// Of all random choices
    #[arg(long, default_value_t = 0, value_parser = seed())]
    pub(crate) seed: u64,
    /// Training examples that the gradient map is made from, at most
    #[arg(long, value_name = "N", default_value = "512", value_parser = count())]
    pub(crate) gradient_examples: usize,
}

/// Where a study goes and what it runs on; none of it changes a result.
#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// The study's folder; an unfinished study there is resumed [default: results/TASK-STRATEGY, with the command for a strategy
    /// where it is no search]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Trainings side by side, one thread each; a single worker uses all cores. Changes no result
    #[arg(long, value_name = "N", default_value = "1", value_parser = workers())]
    pub(crate) workers: usize,
    #[command(flatten)]
    pub(crate) resources: Resources,
    /// One JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`OutputOptions`] with a folder.
#[derive(Debug)]
pub(crate) struct StudyOutput<'a> {
    pub(crate) out: PathBuf,
    pub(crate) workers: usize,
    pub(crate) resources: &'a Resources,
    pub(crate) json: bool,
}

impl OutputOptions {
    /// In the folder that is asked for, else in `results/TASK-WHAT`.
    pub(crate) fn of(&self, task: &Path, what: &str) -> StudyOutput<'_> {
        let out = self.out.clone().unwrap_or_else(|| {
            let task = task.canonicalize().unwrap_or_else(|_| task.to_owned());
            let name = task.file_name().unwrap_or("task".as_ref());
            // A subset of a dataset has a colon before it, which not every system allows.
            let name = name.to_string_lossy().replace([':', '@'], "-");
            Path::new("results").join(format!("{name}-{what}"))
        });
        self.within(out)
    }

    /// In the folder that is asked for, if there is one.
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
    /// Train nothing: audit the sets of connections in this placement bench (`adaplace bench`), made with this backbone and task,
    /// with the bench's own settings
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "text_column", "pair_column", "label_column", "image_column", "sample", "rank", "steps", "train_examples", "batch_size", "learning_rate", "head_learning_rate", "max_length", "pooling",
        "precision", "seed", "gradient_examples", "workers",
    ])]
    pub(crate) sets: Option<PathBuf>,
    /// Train a sample of so many connections, at least 10, each kind by its share [default: all of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..).map(|value| value as usize))]
    pub(crate) sample: Option<usize>,
    /// Rank of the adapters
    #[arg(long, value_name = "R", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rank: u16,
    /// Statistics, separated by commas, whose mean rank is judged beside every single one
    #[arg(long, value_delimiter = ',', default_value = STATISTIC)]
    pub(crate) statistic: Vec<StatisticArgument>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Look scores up in this placement bench (`adaplace bench`) instead of training
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "backbone", "task", "text_column", "pair_column", "label_column", "image_column", "final_steps", "final_repetitions", "learning_rates", "steps", "train_examples", "batch_size", "learning_rate",
        "head_learning_rate", "max_length", "pooling", "precision", "gradient_examples", "cache_memory", "instruction_set",
    ])]
    pub(crate) replay: Option<PathBuf>,
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE", required_unless_present = "replay")]
    pub(crate) backbone: Option<PathBuf>,
    /// Task folder with a test part: {train,validation,test}.jsonl, .csv or .parquet, or {train,..}/CLASS/*.png;
    /// or org/name or org/name:subset, a dataset of the hub
    #[arg(long, value_name = "DIR", required_unless_present = "replay")]
    pub(crate) task: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) columns: ColumnOptions,
    /// With --replay the space is that of the bench, where none is given
    #[command(flatten)]
    pub(crate) space: SpaceOptions,
    /// A strategy; give the option again for each
    #[arg(long, value_name = "NAME", required = true,
        value_parser = PossibleValuesParser::new(StrategyDescription::NAMES))]
    pub(crate) strategy: Vec<String>,
    /// Optimiser steps of one strategy with one seed: its trials and its race [default: 64 trainings]
    #[arg(long, value_name = "N", value_parser = from(1))]
    pub(crate) budget_steps: Option<u64>,
    /// How often everything is done, each time with another seed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) seeds: u32,
    /// Optimiser steps of the final trainings [default: four times those of a trial]
    #[arg(long, value_name = "N", value_parser = steps())]
    pub(crate) final_steps: Option<u32>,
    /// Final trainings of each placement that was chosen, on orders of the examples that it was not chosen by
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..1000))]
    pub(crate) final_repetitions: u32,
    /// Highest learning rates of the adapters that every final training tries
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = "0.001,0.003,0.01", value_parser = positive)]
    pub(crate) learning_rates: Vec<f64>,
    /// Race of the best of every strategy's search on fresh orders of the examples, as in `adaplace search`: trainings of each
    /// on the first rung; 0 for no race. It takes a quarter of the budget at most, and eight placements, as many as that
    /// suffices for
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(..=250))]
    pub(crate) race: u32,
    /// What takes part beside the strategies, separated by commas [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) baselines: Vec<BaselineArgument>,
    /// Random placements that each of two baselines tries: of parallel connections alone, and of the whole space
    #[arg(long, value_name = "N", default_value = "16", value_parser = count())]
    pub(crate) random_parallel: usize,
    /// Choose by validation accuracy (ties by loss), by loss (ties by accuracy), by accuracy - loss / 2, or by what counts every
    /// class
    #[arg(long, default_value = Metric::default().name())]
    pub(crate) metric: MetricArgument,
    /// How many placements a strategy proposes at a time
    #[arg(long, value_name = "N", default_value = "8", value_parser = count())]
    pub(crate) proposals: usize,
    /// The gradient statistic that stands for a connection's promise; of several, separated by commas, the mean of their
    /// ranks
    #[arg(long, value_delimiter = ',', default_value = STATISTIC)]
    pub(crate) statistic: Vec<StatisticArgument>,
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
    /// How often each placement is trained
    #[arg(long, value_name = "N", default_value = "3", value_parser = steps())]
    pub(crate) repetitions: u32,
    /// The most placements that the space may have
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count())]
    pub(crate) trials: usize,
    /// Train a sample of so many placements of a larger space instead of all: in turns random ones, ones with connections
    /// near one another, and ones with connections far apart
    #[arg(long, value_name = "N", conflicts_with = "trials", value_parser = count())]
    pub(crate) sample: Option<usize>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}
