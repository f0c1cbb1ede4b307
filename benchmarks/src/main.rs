//! adaplace's side of the benchmarks: `prepare` writes what both engines read, `run` does the work and says how long
//! it took. `run.py` beside this package drives both.

mod definitions;
mod prepare;
mod results;
mod run;
mod sets;
mod source;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use adaplace_backbone::Precision;
use anyhow::Result;
use clap::{Parser, Subcommand};
use definitions::WorkName;

/// Large buffers are made and dropped with every training; it hands them out again instead of giving them back.
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
    /// Write a work folder: what is to be done, encoded examples, linear probe and initial adapters
    Prepare {
        /// The work
        #[arg(value_name = "WORK")]
        work: WorkName,
        /// Folder that holds backbones/ and data/
        #[arg(long, value_name = "DIR")]
        shared: PathBuf,
        /// The work folder
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Write what PyTorch needs to train the placements of a bench: `work.json` and `work.safetensors`
    Sets {
        /// The folder that `adaplace bench` was started in
        #[arg(value_name = "BENCH")]
        bench: PathBuf,
        /// The work folder
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Make the table of a bench of what PyTorch trained
    Table {
        /// The folder that `adaplace bench` was started in
        #[arg(value_name = "BENCH")]
        bench: PathBuf,
        /// What `pytorch/many.py` wrote
        #[arg(long, value_name = "FILE")]
        scores: PathBuf,
        /// What trained them, as the table is to say
        #[arg(long, value_name = "TEXT")]
        trained_by: String,
        /// The table
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Do the work of a folder; one line of JSON on stdout
    Run {
        /// The work folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// What the frozen backbone computes in
        #[arg(long, default_value = "f32", value_parser = precision)]
        precision: Precision,
        /// Trainings of a study side by side
        #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
        workers: u16,
        /// Only so many of the placements, evenly spread
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
        Command::Prepare { work, shared, out } => prepare::prepare(work, &shared, &out),
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
            limit,
        } => {
            let limit = limit.map(usize::from);
            let report = run::run(&folder, precision, usize::from(workers), limit)?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
    }
}

fn precision(name: &str) -> Result<Precision, String> {
    let all = [Precision::F32, Precision::Bf16];
    let found = all
        .into_iter()
        .find(|precision| precision.to_string() == name);
    found.ok_or_else(|| "it is `f32` or `bf16`".to_owned())
}
