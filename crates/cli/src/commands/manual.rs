//! Shell completions and manual pages.

use std::path::Path;

use adaplace_files::write_atomically;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::print;
use crate::Ending;
use crate::arguments::{Arguments, Manual};

const NAME: &str = "adaplace";

/// Prints the completion script for `shell`.
pub(crate) fn completions(shell: Shell) -> Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Ending::Finished)
}

/// Prints the manual page of the program, or writes those of all commands into a folder.
pub(crate) fn run(arguments: &Manual) -> Result<Ending> {
    let mut command = Arguments::command();
    // This names the pages `adaplace-search` and so on, as is usual.
    command.build();
    let Some(folder) = &arguments.out else {
        print(&page(command)?)?;
        return Ok(Ending::Finished);
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create `{}`", folder.display()))?;
    let subcommands = command.get_subcommands().cloned().collect::<Vec<_>>();
    for subcommand in subcommands {
        if subcommand.get_name() != "help" {
            let name = format!("{NAME}-{}", subcommand.get_name());
            write(folder, &name.clone(), subcommand.display_name(name))?;
        }
    }
    write(folder, NAME, command)?;
    Ok(Ending::Finished)
}

fn write(folder: &Path, name: &str, command: clap::Command) -> Result<()> {
    let path = folder.join(format!("{name}.1"));
    write_atomically(&path, page(command)?.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

fn page(command: clap::Command) -> Result<String> {
    let mut page = Vec::new();
    let rendered = Man::new(command).render(&mut page);
    rendered.context("cannot write the manual page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
