//! Commands that do one thing.

use std::path::PathBuf;

use adaplace_backbone::{InstructionSet, Pooling};
use adaplace_quickstart::DrawnTask;
use adaplace_scorer::{Statistic, TrainingSettings};
use adaplace_search_space::{Count, Fidelity, Seed};
use adaplace_study::{GradientMapSource, SearchSettings};
use adaplace_task::Part;
use clap::Args;

use super::values::{ExportTarget, PrecisionArgument, named, workers};
use super::{BackboneAndTask, DeviceArgument, LearningOptions, ReadingOptions, ResourceOptions};

#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// Write the backbone and all tasks into a new folder, for use with the other commands, and stop
    #[arg(long, value_name = "DIR", conflicts_with_all = ["task", "out", "workers"])]
    pub(crate) export: Option<PathBuf>,
    /// Task to learn
    #[arg(long, value_name = "NAME", default_value = "orientation", value_parser = named::<DrawnTask>())]
    pub(crate) task: DrawnTask,
    /// Folder for backbone, task and studies; an unfinished study there is resumed
    #[arg(long, value_name = "DIR", default_value = "results/quickstart")]
    pub(crate) out: PathBuf,
    /// Number of trainings that run in parallel, with one thread each; changes no result [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = workers())]
    pub(crate) workers: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Hugging Face model folder, or a model of the hub as org/name or org/name@revision
    #[arg(value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Pooling of the last hidden state into one vector
    #[arg(long, value_name = "NAME", value_parser = named::<Pooling>())]
    pub(crate) pooling: Option<Pooling>,
    /// Also show how this task is read: parts, classes, truncated texts, and examples that parts share
    #[arg(long, value_name = "DIR")]
    pub(crate) task: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingOptions,
    /// Cut the task's texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N", requires = "task")]
    pub(crate) max_length: Option<Count>,
    /// Number of tokens of the example for which costs are counted [default: 32 for text]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) tokens: Option<u32>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    #[command(flatten)]
    pub(crate) subject: BackboneAndTask,
    /// Pooling of the last hidden state into one vector [default: as in 1_Pooling/config.json, else mean; cls for image
    /// models]
    #[arg(long, value_name = "NAME", value_parser = named::<Pooling>())]
    pub(crate) pooling: Option<Pooling>,
    /// Number of training examples for the probe and the gradient
    #[arg(long, value_name = "N", default_value_t = GradientMapSource::default().examples)]
    pub(crate) examples: Count,
    /// Search space whose connections alone are in the map, by its name or as a file [default: all connections]
    #[arg(long, value_name = "SPACE")]
    pub(crate) space: Option<PathBuf>,
    /// Cut texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N")]
    pub(crate) max_length: Option<Count>,
    /// Statistic to show, or several separated by commas for the mean of their ranks
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "rank", value_parser = named::<Statistic>())]
    pub(crate) statistic: Vec<Statistic>,
    /// Seed of the choice of examples
    #[arg(long, default_value_t = SearchSettings::default().seed)]
    pub(crate) seed: Seed,
    /// Precision to which the operands of the frozen products are rounded; everything else is f32
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    #[command(flatten)]
    pub(crate) resources: ResourceOptions,
    /// File to which the map is written
    #[arg(long, value_name = "FILE.json")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Folder of a search, an audit or a comparison
    #[arg(value_name = "DIR")]
    pub(crate) study: PathBuf,
    /// File to which the report is written [default: report.html in the study's folder]
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Placement to train
    #[arg(value_name = "PLACEMENT.toml")]
    pub(crate) placement: PathBuf,
    /// Hugging Face model for which the placement was made: a folder, org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder, or a dataset of the hub as org/name or org/name:subset
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    #[command(flatten)]
    pub(crate) reading: ReadingOptions,
    /// Optimiser steps
    #[arg(long, value_name = "N", default_value = "512")]
    pub(crate) steps: Fidelity,
    /// Seed of initial adapters and data order
    #[arg(long, default_value_t = SearchSettings::default().seed)]
    pub(crate) seed: Seed,
    /// Train on a subset of this size [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) train_examples: Option<Count>,
    #[command(flatten)]
    pub(crate) learning: LearningOptions,
    /// Let each adapter learn a scale per channel, like the baseline `adapter-plus` of `compare`; at the end the scale
    /// is part of W_up and b_up
    #[arg(long)]
    pub(crate) learned_scale: bool,
    /// Cut texts to this many tokens [default: 128, or the backbone's longest]
    #[arg(long, value_name = "N")]
    pub(crate) max_length: Option<Count>,
    /// Precision to which the operands of the frozen products are rounded; everything else is f32
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    #[command(flatten)]
    pub(crate) resources: ResourceOptions,
    /// Folder for adapters.safetensors and metrics.json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// Placement that was trained
    #[arg(value_name = "PLACEMENT.toml")]
    pub(crate) placement: PathBuf,
    /// The adapters.safetensors of that training
    #[arg(long, value_name = "FILE")]
    pub(crate) adapters: PathBuf,
    /// Hugging Face model for which the placement was made: a folder, org/name or org/name@revision
    #[arg(long, value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// Task folder, or a dataset of the hub as org/name or org/name:subset
    #[arg(long, value_name = "DIR")]
    pub(crate) task: PathBuf,
    #[command(flatten)]
    pub(crate) reading: ReadingOptions,
    /// Part of the task to evaluate on
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = named::<Part>())]
    pub(crate) part: Part,
    /// Precision to which the operands of the frozen products are rounded; everything else is f32
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) precision: PrecisionArgument,
    /// Device: cpu, cuda, cuda:1 and so on, metal, or auto for a card if this program can use one
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) device: DeviceArgument,
    /// Vector instructions: avx512, avx2, neon or portable [default: the best ones of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) instruction_set: Option<InstructionSet>,
    /// Examples in a batch; changes results only by rounding
    #[arg(long, value_name = "N", default_value_t = TrainingSettings::default().batch_size)]
    pub(crate) batch_size: Count,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Placement to export
    #[arg(value_name = "PLACEMENT.toml")]
    pub(crate) placement: PathBuf,
    /// The trained adapters.safetensors [default: untrained adapters, which change nothing yet]
    #[arg(long, value_name = "FILE")]
    pub(crate) adapters: Option<PathBuf>,
    /// Library or format to export to
    #[arg(long, value_name = "NAME")]
    pub(crate) to: ExportTarget,
    /// Name of the backbone on the hub, for the model card of `--to adapters`
    #[arg(long, value_name = "ORG/NAME")]
    pub(crate) base_model: Option<String>,
    /// Seed of the untrained adapters, which are those from which `train` starts with this seed
    #[arg(long, default_value_t = SearchSettings::default().seed, conflicts_with = "adapters")]
    pub(crate) seed: Seed,
    /// Folder to write, required with `--to adapters`; for json a file [default for json: stdout]
    #[arg(long, value_name = "PATH", required_if_eq("to", "adapters"))]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Folder for the pages of all commands, for example `~/.local/share/man/man1` [default: print the page of the
    /// program to stdout]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
