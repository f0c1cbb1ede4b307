pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod compare;
mod competition;
mod configuration;
mod correlations;
mod estimate;
pub(crate) mod evaluate;
mod execution;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod manual;
mod origin;
pub(crate) mod probe;
pub(crate) mod quickstart;
mod ray;
mod reading;
pub(crate) mod report;
pub(crate) mod search;
mod sets;
mod spent;
mod summary;
pub(crate) mod train;

use std::io::{ErrorKind, Write};
use std::path::Path;

use adaplace_scorer::{Statistic, Statistics};
use adaplace_search_space::SpaceError;
use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use clap::error::ErrorKind as UsageError;
use serde::Serialize;

use crate::arguments::Arguments;

/// All statistics, so that a gradient map contains every one.
fn all_statistics() -> Statistics {
    Statistics::new(Statistic::ALL.to_vec()).expect("the statistics are distinct and not empty")
}

/// The statistics of `--statistic`.
fn statistics(given: &[Statistic]) -> Result<Statistics> {
    match Statistics::new(given.to_vec()) {
        Ok(statistics) => Ok(statistics),
        Err(error) => bail!(Arguments::command().error(UsageError::ValueValidation, error)),
    }
}

/// The work before the first training.
const PREPARATION: &str = "fitting the linear probe and computing the gradient map";

/// Adds the name of the file that describes the search space, if there is one.
fn in_file(error: SpaceError, file: Option<&Path>) -> SpaceError {
    match file {
        Some(path) => error.in_file(path),
        None => error,
    }
}

/// Prints one JSON document to stdout.
fn print_json(document: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document).context("cannot write JSON")?;
    text.push('\n');
    print(&text)
}

/// Prints to stdout. A reader that closes the pipe early, such as `head`, is not an error.
fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
