//! The command line.

mod reading;
mod single;
mod space;
mod studies;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use adaplace_backbone::InstructionSet;
use adaplace_scorer::TrainingSettings;
use adaplace_search_space::{Count, Positive};
use bytesize::ByteSize;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use reading::ReadingOptions;
pub(crate) use single::{Evaluate, Export, Inspect, Manual, Probe, Quickstart, Report, Train};
pub(crate) use space::{SpaceOptions, described};
pub(crate) use studies::{
    Audit, Bench, Compare, Search, SearchOptions, StudyOutput, TrainingOptions,
};
pub(crate) use values::{DeviceArgument, ExecutorArgument, ExportTarget, PrecisionArgument};

/// Find where to put a few small adapters in a frozen, pre-trained transformer.
#[derive(Debug, Parser)]
#[command(name = "adaplace", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Print more messages to stderr (twice: even more)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search and compare on a backbone and a task that come with the program, or export them
    Quickstart(Quickstart),
    /// Show the properties of a backbone: states, sizes, costs and connections
    Inspect(Inspect),
    /// Fit the linear probe and compute the gradient map of all connections
    Probe(Probe),
    /// Search for the best placement; running it again with the same output folder resumes it
    Search(Box<Search>),
    /// Train every single connection and see which gradient statistic predicts the results, or what predicts the
    /// results in a bench
    Audit(Box<Audit>),
    /// Compare strategies and fixed baselines on the test part, with several seeds each
    Compare(Box<Compare>),
    /// Train every placement of a space several times, into a table on which `compare --replay` runs strategies
    Bench(Box<Bench>),
    /// Write the report of a search, audit or comparison again, even if it is unfinished
    Report(Report),
    /// Train one placement to the end
    Train(Train),
    /// Evaluate a trained placement
    Evaluate(Evaluate),
    /// Write a placement and its adapters for another library, if that library computes the same
    Export(Export),
    /// Print a script that completes the command line in a shell: `source <(adaplace completions bash)`
    Completions {
        /// Shell that should run the script
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command
    Man(Manual),
}

/// Parses the command line, including its first word.
///
/// # Errors
/// If it cannot be parsed, or if it asks for help.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut matches = with_negative_numbers(Arguments::command()).try_get_matches_from(words)?;
    Arguments::from_arg_matches_mut(&mut matches)
}

/// Accepts negative numbers as values, so that `--steps -3` is rejected with the allowed range and not as an unknown
/// option `-3`.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let takes_values = argument.get_action().takes_values();
            argument.allow_negative_numbers(takes_values)
        })
        .mut_subcommands(with_negative_numbers)
}

/// The backbone and the task to work on.
#[derive(Debug, Args)]
pub(crate) struct BackboneAndTask {
    /// Hugging Face model folder (config.json, safetensors weights, tokenizer.json or preprocessor_config.json), or a
    /// model of the hub as org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder: {train,validation,test}.jsonl, .csv or .parquet, or {train,..}/CLASS/*.png; or a dataset of the hub
    /// as org/name or org/name:subset
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    #[command(flatten)]
    pub(crate) reading: ReadingOptions,
}

/// How adapters and head are trained.
#[derive(Debug, Args)]
pub(crate) struct LearningOptions {
    /// Examples in a batch
    #[arg(long, value_name = "N", default_value_t = TrainingSettings::default().batch_size)]
    pub(crate) batch_size: Count,
    /// Highest learning rate of the adapters
    #[arg(long, value_name = "RATE", default_value_t = TrainingSettings::default().adapter_learning_rate)]
    pub(crate) learning_rate: Positive,
    /// Highest learning rate of the head
    #[arg(long, value_name = "RATE", default_value_t = TrainingSettings::default().head_learning_rate)]
    pub(crate) head_learning_rate: Positive,
}

impl LearningOptions {
    /// The settings of a training.
    pub(crate) fn settings(&self) -> TrainingSettings {
        TrainingSettings {
            batch_size: self.batch_size,
            adapter_learning_rate: self.learning_rate,
            head_learning_rate: self.head_learning_rate,
            ..TrainingSettings::default()
        }
    }
}

/// The resources of the computation, which change results only by rounding.
#[derive(Debug, Args)]
pub(crate) struct ResourceOptions {
    /// Device: cpu, cuda, cuda:1 and so on, metal, or auto for a card if this program can use one
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) device: DeviceArgument,
    /// Number of trainings that are computed side by side at most. It changes results by rounding, and half of it is
    /// taken when memory runs out [default: as many as fill a card, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) side_by_side: Option<Count>,
    /// Memory for frozen states, for example 2GiB or 500MB; states that do not fit are computed again when needed.
    /// Changes no result [default: a quarter of the memory that the backbone leaves, half of what a card has free]
    #[arg(long, value_name = "SIZE")]
    pub(crate) cache_memory: Option<ByteSize>,
    /// Vector instructions: avx512, avx2, neon or portable [default: the best ones of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) instruction_set: Option<InstructionSet>,
}
