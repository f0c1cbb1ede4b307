pub(crate) mod evaluate;
pub(crate) mod inspect;
pub(crate) mod probe;
pub(crate) mod report;
pub(crate) mod search;
mod summary;
pub(crate) mod train;

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use serde::Serialize;

/// One JSON document on stdout.
fn print_json(document: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document).context("cannot write JSON")?;
    text.push('\n');
    print(&text)
}

/// To stdout. A reader that has seen enough, as `head` does, is no failure.
fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
