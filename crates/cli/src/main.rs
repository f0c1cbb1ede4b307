//! The program `adaplace`: finds where to put a few adapters in a frozen, pre-trained transformer.

mod arguments;
mod commands;
mod heatmap;
mod hub;
mod measures;
mod progress;
mod resources;
mod table;
mod terminal;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use arguments::Command;
use tracing_subscriber::EnvFilter;

use crate::terminal::say;

/// Every training allocates and frees large buffers. This allocator reuses them instead of returning them to the
/// system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a command ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finished,
    /// Stopped by Ctrl-C, with everything finished so far saved.
    Interrupted,
}

/// The exit code that shells report for a program ended by Ctrl-C: 128 plus the number of the signal.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = arguments::parse(std::env::args_os()).unwrap_or_else(|usage| usage.exit());
    start_log(arguments.verbose);
    match run(arguments.command) {
        Ok(Ending::Finished) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => usage.exit(),
            Err(error) => {
                say!("error: {}", one_line(&error));
                ExitCode::FAILURE
            }
        },
    }
}

fn run(command: Command) -> Result<Ending> {
    match command {
        Command::Quickstart(arguments) => commands::quickstart::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Probe(arguments) => commands::probe::run(&arguments),
        Command::Search(arguments) => commands::search::run(&arguments),
        Command::Audit(arguments) => commands::audit::run(&arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Completions { shell } => commands::manual::completions(shell),
        Command::Man(arguments) => commands::manual::run(&arguments),
    }
}

/// The error and its causes, without causes whose text is already part of an earlier one.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ")
}

/// Sends log lines to stderr: warnings by default, more with `RUST_LOG` or `--verbose`.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(format!(
            "warn,adaplace={level},adaplace_hub={level},adaplace_study={level},adaplace_scorer={level}"
        ))
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| terminal::Log)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}
