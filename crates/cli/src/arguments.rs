use std::path::PathBuf;

use adaplace_backbone::{InstructionSet, Pooling};
use adaplace_quickstart::DrawnTask;
use adaplace_scorer::Statistic;
use adaplace_strategy::{CostObjective, FirstPopulation, StrategyDescription};
use adaplace_study::Metric;
use adaplace_task::Part;
use bytesize::ByteSize;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Find where to put a few small adapters in a frozen, pre-trained transformer.
#[derive(Debug, Parser)]
#[command(name = "adaplace", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Say more on stderr (twice: even more)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search and compare on a backbone and a task that come with the program, or export them
    Quickstart(Quickstart),
    /// Show what a backbone holds: states, sizes, cost and connections
    Inspect(Inspect),
    /// Fit the linear probe and make the gradient map of all connections
    Probe(Probe),
    /// Search the best placement; run again on its own output folder, it resumes
    Search(Box<Search>),
    /// Train every single connection and see which gradient statistic foretells the results
    Audit(Box<Audit>),
    /// Compare strategies and fixed baselines, several seeds each, on the test part
    Compare(Box<Compare>),
    /// Train every placement of a space several times into a table that `compare --replay` runs strategies on
    Bench(Box<Bench>),
    /// Write the report of a search, audit or comparison anew, also of an unfinished search
    Report(Report),
    /// Train one placement to the end
    Train(Train),
    /// Evaluate a trained placement
    Evaluate(Evaluate),
}

/// A backbone and how it is read.
#[derive(Debug, Args)]
pub(crate) struct BackboneArguments {
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// How the last hidden state becomes one vector [default: as in 1_Pooling/config.json, else mean; a ViT: cls]
    #[arg(long)]
    pub(crate) pooling: Option<PoolingArgument>,
}

/// What is computed with; but for the precision it changes results by rounding at most.
#[derive(Debug, Args)]
pub(crate) struct Resources {
    /// Frozen states that are kept in memory, at most, as 2GiB or 500MB; what does not fit is computed again when it is
    /// needed. Changes no result [default: a quarter of the machine's memory]
    #[arg(long, value_name = "SIZE")]
    pub(crate) cache_memory: Option<ByteSize>,
    /// Vector instructions: avx512, avx2, neon or portable [default: the best of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) instruction_set: Option<InstructionSet>,
}

#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// Write the backbone and all tasks as ordinary folders into a new one, for the other commands, and end there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["task", "out", "workers"])]
    pub(crate) export: Option<PathBuf>,
    /// What is to be learned
    #[arg(long, default_value = "counting")]
    pub(crate) task: DrawnTaskArgument,
    /// Folder for backbone, task and study; an unfinished study there is resumed
    #[arg(long, value_name = "DIR", default_value = "results/quickstart")]
    pub(crate) out: PathBuf,
    /// Trainings side by side, one thread each; changes no result [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) workers: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Hugging Face model folder, or org/name or org/name@revision of the hub
    #[arg(value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// How the last hidden state becomes one vector
    #[arg(long)]
    pub(crate) pooling: Option<PoolingArgument>,
    /// Tokens of the example that costs are counted for [default: 32 for text]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) tokens: Option<u32>,
    /// One JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    #[command(flatten)]
    pub(crate) backbone: BackboneArguments,
    /// Task folder: {train,validation,test}.jsonl or .csv, or {train,..}/CLASS/*.png
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    /// Training examples that probe and gradient are made from
    #[arg(long, value_name = "N", default_value = "512", value_parser = count())]
    pub(crate) examples: usize,
    /// Cut texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) max_length: Option<usize>,
    /// The statistic to show; of several, separated by commas, the mean of their ranks
    #[arg(long, value_delimiter = ',', default_value = "rank")]
    pub(crate) statistic: Vec<StatisticArgument>,
    /// Of the choice of examples
    #[arg(long, default_value_t = 0, value_parser = seed())]
    pub(crate) seed: u64,
    /// What the operands of the frozen products are rounded to; everything else is f32
    #[arg(long, default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    #[command(flatten)]
    pub(crate) resources: Resources,
    /// Where the map is written
    #[arg(long, value_name = "FILE.json")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Run the study of this file again, in another output folder
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "backbone", "task", "space", "strategy", "trials", "metric", "and", "finalists", "repetitions", "halving", "proposals",
        "statistic", "candidates", "gamma", "population", "first_population", "steps", "train_examples", "batch_size",
        "learning_rate", "head_learning_rate", "max_length", "pooling", "precision", "seed", "gradient_examples",
    ])]
    pub(crate) study: Option<PathBuf>,
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE", required_unless_present = "study")]
    pub(crate) backbone: Option<PathBuf>,
    /// Task folder: {train,validation,test}.jsonl or .csv, or {train,..}/CLASS/*.png
    #[arg(long, value_name = "DIR", required_unless_present = "study")]
    pub(crate) task: Option<PathBuf>,
    /// Search space, as in search-spaces/
    #[arg(long, value_name = "FILE", required_unless_present = "study")]
    pub(crate) space: Option<PathBuf>,
    /// How placements are proposed
    #[arg(long, value_name = "NAME", required_unless_present = "study",
        value_parser = PossibleValuesParser::new(StrategyDescription::NAMES))]
    pub(crate) strategy: Option<String>,
    #[command(flatten)]
    pub(crate) options: SearchOptions,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: StudyOutput,
}

/// What a search tries and how it chooses; goes into `study.toml`.
#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    /// Placements to try; with --halving, each starts short and only the best go on
    #[arg(long, value_name = "N", default_value = "64", value_parser = count())]
    pub(crate) trials: usize,
    /// Rank by validation accuracy (ties by loss), or the reverse
    #[arg(long, default_value = "accuracy")]
    pub(crate) metric: MetricArgument,
    /// A cost to minimise as well: evolution keeps the Pareto front, and the placements trained again come from it
    #[arg(long, value_name = "COST")]
    pub(crate) and: Vec<CostArgument>,
    /// The best placements to train again ..
    #[arg(long, value_name = "N", default_value = "3", value_parser = count())]
    pub(crate) finalists: usize,
    /// .. so many times
    #[arg(long, value_name = "N", default_value = "3", value_parser = steps())]
    pub(crate) repetitions: u32,
    /// Successive halving: start trials at a fraction of the steps, promote the best of every R
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) halving: Option<u32>,
    /// How many placements the strategy proposes at a time
    #[arg(long, value_name = "N", default_value = "8", value_parser = count())]
    pub(crate) proposals: usize,
    /// The gradient statistic that stands for a connection's promise; of several, separated by commas, the mean of their
    /// ranks. `alignment`, `validation-alignment` and `agreement` need three maps instead of one
    #[arg(long, value_delimiter = ',', default_value = "rank")]
    pub(crate) statistic: Vec<StatisticArgument>,
    /// Greedy: connections trained at each stage [default: trials divided by adapters]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) candidates: Option<usize>,
    /// Gradient-greedy: discount of connections near one another, 0 for none [default: 0.6]
    #[arg(long, value_parser = discount)]
    pub(crate) gamma: Option<f64>,
    /// Evolution: size of the population [default: 16]
    #[arg(long, value_name = "N", value_parser = count())]
    pub(crate) population: Option<usize>,
    /// Evolution: where the first population comes from [default: gradient]
    #[arg(long)]
    pub(crate) first_population: Option<FirstPopulationArgument>,
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
pub(crate) struct StudyOutput {
    /// The study's folder; an unfinished study there is resumed
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Trainings side by side, one thread each; a single worker uses all cores. Changes no result
    #[arg(long, value_name = "N", default_value = "1", value_parser = count())]
    pub(crate) workers: usize,
    #[command(flatten)]
    pub(crate) resources: Resources,
    /// One JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Look scores up in this placement bench (`adaplace bench`) instead of training
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "backbone", "task", "final_steps", "learning_rates", "steps", "train_examples", "batch_size", "learning_rate",
        "head_learning_rate", "max_length", "pooling", "precision", "gradient_examples", "cache_memory", "instruction_set",
    ])]
    pub(crate) replay: Option<PathBuf>,
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE", required_unless_present = "replay")]
    pub(crate) backbone: Option<PathBuf>,
    /// Task folder with a test part: {train,validation,test}.jsonl or .csv, or {train,..}/CLASS/*.png
    #[arg(long, value_name = "DIR", required_unless_present = "replay")]
    pub(crate) task: Option<PathBuf>,
    /// Search space, as in search-spaces/ [with --replay: that of the bench]
    #[arg(long, value_name = "FILE", required_unless_present = "replay")]
    pub(crate) space: Option<PathBuf>,
    /// A strategy; give the option again for each
    #[arg(long, value_name = "NAME", required = true,
        value_parser = PossibleValuesParser::new(StrategyDescription::NAMES))]
    pub(crate) strategy: Vec<String>,
    /// Optimiser steps of all trials of one strategy with one seed [default: 64 trials]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) budget_steps: Option<u64>,
    /// How often everything is done, each time with another seed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) seeds: u32,
    /// Optimiser steps of the final trainings [default: four times those of a trial]
    #[arg(long, value_name = "N", value_parser = steps())]
    pub(crate) final_steps: Option<u32>,
    /// Highest learning rates of the adapters that every final training tries
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = "0.001,0.003,0.01", value_parser = positive)]
    pub(crate) learning_rates: Vec<f64>,
    /// Random placements of parallel connections that the baseline of that name tries
    #[arg(long, value_name = "N", default_value = "16", value_parser = count())]
    pub(crate) random_parallel: usize,
    /// Choose by validation accuracy (ties by loss), or the reverse
    #[arg(long, default_value = "accuracy")]
    pub(crate) metric: MetricArgument,
    /// How many placements a strategy proposes at a time
    #[arg(long, value_name = "N", default_value = "8", value_parser = count())]
    pub(crate) proposals: usize,
    /// The gradient statistic that stands for a connection's promise; of several, separated by commas, the mean of their
    /// ranks
    #[arg(long, value_delimiter = ',', default_value = "rank")]
    pub(crate) statistic: Vec<StatisticArgument>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: StudyOutput,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder: {train,validation,test}.jsonl or .csv, or {train,..}/CLASS/*.png
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    /// Search space of one rank, as in search-spaces/
    #[arg(long, value_name = "FILE")]
    pub(crate) space: PathBuf,
    /// How often each placement is trained
    #[arg(long, value_name = "N", default_value = "3", value_parser = steps())]
    pub(crate) repetitions: u32,
    /// The most placements that the space may have
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count())]
    pub(crate) trials: usize,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: StudyOutput,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or
    /// org/name or org/name@revision of the hub
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder: {train,validation,test}.jsonl or .csv, or {train,..}/CLASS/*.png
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    /// Train a sample of so many connections, at least 10, each kind by its share [default: all of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..).map(|value| value as usize))]
    pub(crate) sample: Option<usize>,
    /// Rank of the adapters
    #[arg(long, value_name = "R", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rank: u16,
    /// Statistics, separated by commas, whose mean rank is judged beside every single one
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "effective-rank,validation-alignment"
    )]
    pub(crate) statistic: Vec<StatisticArgument>,
    #[command(flatten)]
    pub(crate) training: TrainingOptions,
    #[command(flatten)]
    pub(crate) output: StudyOutput,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The folder of a search, an audit or a comparison
    #[arg(value_name = "STUDY")]
    pub(crate) study: PathBuf,
    /// Where the report is written [default: report.html in the study's folder]
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// The placement to train
    #[arg(value_name = "PLACEMENT.toml")]
    pub(crate) placement: PathBuf,
    /// Hugging Face model that the placement was made for, a folder, org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    /// Optimiser steps
    #[arg(long, value_name = "N", default_value = "512", value_parser = steps())]
    pub(crate) steps: u32,
    /// Of initial adapters and data order
    #[arg(long, default_value_t = 0, value_parser = seed())]
    pub(crate) seed: u64,
    /// Train on a subset of this size [default: all]
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
    /// What the operands of the frozen products are rounded to; everything else is f32
    #[arg(long, default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    #[command(flatten)]
    pub(crate) resources: Resources,
    /// Folder for adapters.safetensors and metrics.json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// One JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// The placement that was trained
    #[arg(value_name = "PLACEMENT.toml")]
    pub(crate) placement: PathBuf,
    /// Its adapters.safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) adapters: PathBuf,
    /// Hugging Face model that the placement was made for, a folder, org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    /// The part to evaluate on
    #[arg(long, default_value = "test")]
    pub(crate) part: PartArgument,
    /// What the operands of the frozen products are rounded to; everything else is f32
    #[arg(long, default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    /// Vector instructions: avx512, avx2, neon or portable [default: the best of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) instruction_set: Option<InstructionSet>,
    /// Examples in a batch; changes no result beyond rounding
    #[arg(long, value_name = "N", default_value = "32", value_parser = count())]
    pub(crate) batch_size: usize,
    /// One JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Gives the library's own enum a name on the command line.
macro_rules! argument {
    ($name:ident, $target:ty, { $($(#[$help:meta])* $variant:ident => $value:expr),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, ValueEnum)]
        pub(crate) enum $name { $($(#[$help])* $variant),+ }

        impl From<$name> for $target {
            fn from(argument: $name) -> Self {
                match argument { $($name::$variant => $value),+ }
            }
        }
    };
}

argument!(PoolingArgument, Pooling, {
    /// The mean over the real tokens
    Mean => Pooling::Mean,
    /// The first token
    Cls => Pooling::Cls,
});
/// A precision, or the choice of one by the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArgument {
    /// bf16 on a machine with AMX, else f32
    Auto,
    /// Single precision
    F32,
    /// bfloat16: faster where the machine multiplies it
    Bf16,
}

argument!(DrawnTaskArgument, DrawnTask, {
    /// How many red objects there are
    Counting => DrawnTask::Counting,
    /// In which cell of a grid the red object stands
    Location => DrawnTask::Location,
    /// Where the pointer points
    Orientation => DrawnTask::Orientation,
});
argument!(MetricArgument, Metric, {
    Accuracy => Metric::Accuracy,
    Loss => Metric::Loss,
});
argument!(CostArgument, CostObjective, {
    /// Trainable parameters
    Parameters => CostObjective::Parameters,
    /// Extra floating-point operations
    ExtraFlops => CostObjective::ExtraFlops,
});
argument!(PartArgument, Part, {
    Train => Part::Train,
    Validation => Part::Validation,
    Test => Part::Test,
});
argument!(FirstPopulationArgument, FirstPopulation, {
    /// Drawn by the softmax of the gradient map
    Gradient => FirstPopulation::Gradient,
    /// Drawn uniformly
    Uniform => FirstPopulation::Uniform,
});
argument!(StatisticArgument, Statistic, {
    /// Singular values above 0.003 of the largest in the whole map
    Rank => Statistic::Rank,
    /// Singular values above 0.01 of the matrix's own largest
    RelativeRank => Statistic::RelativeRank,
    /// Exponential of the entropy of the singular values
    EffectiveRank => Statistic::EffectiveRank,
    /// Squared Frobenius norm over squared spectral norm
    StableRank => Statistic::StableRank,
    NuclearNorm => Statistic::NuclearNorm,
    FrobeniusNorm => Statistic::FrobeniusNorm,
    SpectralNorm => Statistic::SpectralNorm,
    /// How far a step along the gradient of one half of the training examples lowers the loss of the other half
    Alignment => Statistic::Alignment,
    /// The same from the training examples to the validation part
    ValidationAlignment => Statistic::ValidationAlignment,
    /// Cosine of the gradients of two halves of the training examples
    Agreement => Statistic::Agreement,
});

fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    clap::value_parser!(u32)
        .range(1..)
        .map(|value| value as usize)
}

fn steps() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// TOML integers are signed.
fn seed() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(..=i64::MAX as u64)
}

fn discount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("it must be a number from 0 and below 1".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("it must be a number above 0".to_owned()),
    }
}
