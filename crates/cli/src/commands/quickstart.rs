//! A search and a comparison on the built-in backbone and task, run by ordinary commands.

use std::ffi::OsString;
use std::path::Path;

use adaplace_files::write_atomically;
use adaplace_quickstart::{BACKBONE_FOLDER, DrawnTask, SEED, TASKS_FOLDER, export, prepare};
use anyhow::{Context, Result, bail};

use super::{compare, print, search};
use crate::Ending;
use crate::arguments::{self, Command, Quickstart};
use crate::terminal::argument;

const SPACE: &str = include_str!("../../../../search-spaces/quickstart.toml");

/// These settings keep the whole command below a minute on two cores. So few steps need a high learning rate. The
/// gradient map is computed twice and uses half the default number of examples.
const TRAINING: &str =
    "--steps 48 --batch-size 16 --learning-rate 0.02 --gradient-examples 256 --precision f32";
/// Ten trials, a race of two, then two repetitions of both and of the baseline: 18 trainings. Small batches of
/// proposals let the strategy learn from few trials.
const SEARCH: &str = "--trials 10 --proposals 2 --finalists 2 --repetitions 2";
/// The default strategy, random search and adapters everywhere: eight trainings for each strategy and seed, two of them
/// in a race.
const COMPARE: &str = "--strategy surrogate --strategy random --budget-steps 384 --proposals 2 --seeds 2 --final-steps 48 \
                       --learning-rates 0.02 --baselines linear-probe,parallel-everywhere,parallel-everywhere-equal";

pub(crate) fn run(arguments: &Quickstart) -> Result<Ending> {
    if let Some(folder) = &arguments.export {
        export(folder, SEED)?;
        print(&exported(folder))?;
        return Ok(Ending::Finished);
    }
    let (task, out) = (arguments.task, &arguments.out);
    let folders = prepare(out, task, SEED)?;
    let space = out.join("space.toml");
    write_atomically(&space, SPACE.as_bytes())
        .with_context(|| format!("cannot write `{}`", space.display()))?;
    let workers = match arguments.workers {
        Some(workers) => workers,
        None => std::thread::available_parallelism()
            .context("cannot count the cores of this machine; set `--workers`")?
            .get(),
    };
    for (command, options) in [("search", SEARCH), ("compare", COMPARE)] {
        let mut line: Vec<OsString> = vec!["adaplace".into(), command.into()];
        for (option, path) in [
            ("--backbone", &folders.backbone),
            ("--task", &folders.task),
            ("--space", &space),
        ] {
            line.extend([option.into(), path.into()]);
        }
        let options = options
            .split_whitespace()
            .chain(TRAINING.split_whitespace());
        line.extend(options.map(OsString::from));
        line.extend(["--workers".into(), workers.to_string().into()]);
        line.extend(["--out".into(), out.join(command).join(task.name()).into()]);
        let shown: Vec<String> = line.iter().map(|word| argument(word.as_ref())).collect();
        print(&format!("$ {}\n\n", shown.join(" ")))?;
        let ending = match arguments::parse(line)?.command {
            Command::Search(arguments) => search::run(&arguments)?,
            Command::Compare(arguments) => compare::run(&arguments)?,
            _ => bail!("the quickstart only runs `search` and `compare`"),
        };
        if ending == Ending::Interrupted {
            return Ok(ending);
        }
        print("\n")?;
    }
    Ok(Ending::Finished)
}

/// The exported files and a command to try next.
fn exported(folder: &Path) -> String {
    let backbone = folder.join(BACKBONE_FOLDER);
    let tasks = folder.join(TASKS_FOLDER);
    let task = tasks.join(DrawnTask::Counting.name());
    let names = DrawnTask::ALL
        .iter()
        .map(|task| task.name())
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "backbone  {}\ntasks     {}: {names}\nnext      adaplace probe --backbone {} --task {} --out FILE.json\n",
        backbone.display(),
        tasks.display(),
        argument(&backbone),
        argument(&task)
    )
}
