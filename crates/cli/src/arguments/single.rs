//! Commands that do one thing.

use std::path::PathBuf;

use adaplace_backbone::InstructionSet;
use clap::Args;

use super::values::{
    DrawnTaskArgument, ExportTarget, PartArgument, PoolingArgument, PrecisionArgument,
    StatisticArgument, count, positive, seed, steps, workers,
};
use super::{BackboneAndTask, ColumnOptions, Resources};

#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// Write the backbone and all tasks as ordinary folders into a new one, for the other commands, and end there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["task", "out", "workers"])]
    pub(crate) export: Option<PathBuf>,
    /// What is to be learned
    #[arg(long, default_value = "orientation")]
    pub(crate) task: DrawnTaskArgument,
    /// Folder for backbone, task and study; an unfinished study there is resumed
    #[arg(long, value_name = "DIR", default_value = "results/quickstart")]
    pub(crate) out: PathBuf,
    /// Trainings side by side, one thread each; changes no result [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = workers())]
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
    /// Show what is read of this task, too: parts, classes, texts that are cut, examples that parts share
    #[arg(long, value_name = "DIR")]
    pub(crate) task: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) columns: ColumnOptions,
    /// Cut the task's texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N", requires = "task", value_parser = count())]
    pub(crate) max_length: Option<usize>,
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
    pub(crate) subject: BackboneAndTask,
    /// How the last hidden state becomes one vector [default: as in 1_Pooling/config.json, else mean; a ViT: cls]
    #[arg(long)]
    pub(crate) pooling: Option<PoolingArgument>,
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
    /// Task folder, or org/name or org/name:subset of the hub
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    #[command(flatten)]
    pub(crate) columns: ColumnOptions,
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
    /// Let each adapter learn a scale per channel, as the baseline `adapter-plus` of `compare`; W_up and b_up hold it in the
    /// end
    #[arg(long)]
    pub(crate) learned_scale: bool,
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
    /// Task folder, or org/name or org/name:subset of the hub
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    #[command(flatten)]
    pub(crate) columns: ColumnOptions,
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

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The placement
    #[arg(value_name = "PLACEMENT.toml")]
    pub(crate) placement: PathBuf,
    /// Its adapters.safetensors [default: untrained adapters, which change nothing yet]
    #[arg(long, value_name = "FILE")]
    pub(crate) adapters: Option<PathBuf>,
    /// The library that is to read it
    #[arg(long)]
    pub(crate) to: ExportTarget,
    /// Of untrained adapters: they are those that `train` with this seed starts from
    #[arg(long, default_value_t = 0, value_parser = seed(), conflicts_with = "adapters")]
    pub(crate) seed: u64,
    /// The folder, or for json the file [default for json: stdout]
    #[arg(long, value_name = "PATH", required_if_eq("to", "adapters"))]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Folder for the pages of all commands, as `~/.local/share/man/man1` [default: that of the program, on stdout]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
