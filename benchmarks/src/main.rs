//! adaplace's side of the benchmarks: `prepare` writes what both engines read, and `run` does the work and reports how
//! long it took. `run.py` next to this package drives both.

mod definitions;
mod prepare;
mod results;
mod run;
mod sets;
mod source;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use adaplace_backbone::{Device, Precision};
use adaplace_scorer::Resources;
use anyhow::Result;
use clap::{Parser, Subcommand};
use definitions::WorkName;

/// Every training allocates and frees large buffers. This allocator reuses their memory instead of returning it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The same work in adaplace as in PyTorch.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a work folder: the description of the work, encoded examples, linear probe and initial adapters
    Prepare {
        /// The work to prepare
        #[arg(value_name = "WORK")]
        work: WorkName,
        /// Folder that contains backbones/ and data/
        #[arg(long, value_name = "DIR")]
        shared: PathBuf,
        /// The work folder to write
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// Device that fits the linear probe: cpu, candle, cuda, cuda:1 and so on
        #[arg(long, value_name = "NAME", default_value = "cpu")]
        device: Device,
    },
    /// Write what PyTorch needs to train the placements of a bench: `work.json` and `work.safetensors`
    Sets {
        /// The folder in which `adaplace bench` was started
        #[arg(value_name = "BENCH")]
        bench: PathBuf,
        /// The work folder to write
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Write the table of a bench from the results of PyTorch
    Table {
        /// The folder in which `adaplace bench` was started
        #[arg(value_name = "BENCH")]
        bench: PathBuf,
        /// The file that `pytorch/many.py` wrote
        #[arg(long, value_name = "FILE")]
        scores: PathBuf,
        /// What trained the placements, as the table should name it
        #[arg(long, value_name = "TEXT")]
        trained_by: String,
        /// The file of the table
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Do the work of a folder and print one line of JSON to stdout
    Run {
        /// The work folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Precision of the frozen backbone
        #[arg(long, default_value = "f32", value_parser = precision)]
        precision: Precision,
        /// Number of trainings of a study that run in parallel
        #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
        workers: u16,
        /// Device: cpu, cuda and so on
        #[arg(long, value_name = "NAME", default_value = "cpu")]
        device: Device,
        /// Number of trainings of a study that are computed side by side [default: as many as fill a card, else 1]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        side_by_side: Option<u16>,
        /// Use only this many of the placements, evenly spread
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        limit: Option<u16>,
    },
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Prepare {
            work,
            shared,
            out,
            device,
        } => prepare::prepare(work, &shared, &out, device),
        Command::Sets { bench, out } => sets::prepare(&bench, &out),
        Command::Table {
            bench,
            scores,
            trained_by,
            out,
        } => sets::table(&bench, &scores, trained_by, &out),
        Command::Run {
            folder,
            precision,
            workers,
            device,
            side_by_side,
            limit,
        } => {
            let limit = limit.map(usize::from);
            let resources = Resources {
                device,
                side_by_side: side_by_side.map(usize::from),
                ..Resources::default()
            };
            let workers = usize::from(workers);
            let report = run::run(&folder, precision, workers, resources, limit)?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
    }
}

fn precision(name: &str) -> Result<Precision, String> {
    name.parse()
        .map_err(|_| "it is `f32`, `bf16` or `tf32`".to_owned())
}
