pub(crate) mod evaluate;
pub(crate) mod inspect;
pub(crate) mod probe;
pub(crate) mod search;
pub(crate) mod train;

use anyhow::{Context, Result};
use serde::Serialize;

/// One JSON document on stdout.
fn print_json(document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document).context("cannot write JSON")?;
    anstream::println!("{text}");
    Ok(())
}
