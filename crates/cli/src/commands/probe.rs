use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_backbone::Backbone;
use adaplace_scorer::{GradientMapSettings, ProxyScorer, TrainingSettings};
use adaplace_search_space::{Connection, Count, SearchSpace};
use adaplace_study::{GradientMapFile, Metric, Problem, backbone_reference, chain_shape};
use adaplace_task::Task;
use anyhow::{Context, Result, ensure};
use terminal_size::{Width, terminal_size};

use super::{print, statistics};
use crate::Ending;
use crate::arguments::{Probe, described};
use crate::heatmap;
use crate::hub;
use crate::measures;
use crate::resources;
use crate::table::{duration, percent};

/// The width if stdout is not a terminal of known width.
const COLUMNS: usize = 120;

pub(crate) fn run(arguments: &Probe) -> Result<Ending> {
    let statistics = statistics(&arguments.statistic)?;
    let pooling = arguments.pooling;
    let folder = hub::backbone(&arguments.subject.backbone)?;
    let problem = Problem::for_search(
        (&folder, pooling),
        (
            &hub::task(&arguments.subject.task)?,
            &arguments.subject.reading.reading(),
        ),
        arguments.max_length.map(Count::get),
        Some(arguments.examples.get()),
        arguments.seed.get(),
    )?;
    let device = arguments.resources.device.kind();
    let computed = (arguments.precision.resolve(device), device);
    let (problem, resources) = resources::within(&arguments.resources, computed, problem)?;
    let (backbone, task) = problem.shared();
    check_place(&arguments.out)?;
    let start = Instant::now();
    let training = TrainingSettings::default();
    let scorer = ProxyScorer::with_resources(
        Arc::clone(&backbone),
        Arc::clone(&task),
        training,
        arguments.seed.get(),
        resources,
    )?;
    let settings = GradientMapSettings::default();
    let connections = match &arguments.space {
        None => Connection::all(backbone.description().hidden_states as u16),
        Some(space) => connections(space, &backbone, &task)?,
    };
    let map = match statistics.are_cross_fitted() {
        true => scorer.gradient_map(&task.train, &connections, &settings, &statistics)?,
        false => scorer.plain_gradient_map(&task.train, &connections, &settings)?,
    };
    let table = match statistics.as_slice() {
        [one] => map.table(*one),
        _ => map.connection_scores(&statistics),
    };
    let table = table.context("the map holds what it was made for")?;
    let seconds = start.elapsed().as_secs_f64();

    let probe = scorer.probe();
    let file = GradientMapFile::new(&map, probe, backbone_reference(&backbone), &task.name);
    file.write(&arguments.out)?;

    let validation = &probe.validation;
    let quality = match validation.measures.accuracy() {
        Some(accuracy) => format!(
            "{} of {} validation examples right",
            percent(accuracy),
            validation.examples
        ),
        None => format!(
            "{} {} on {} validation examples",
            Metric::headline(validation.measures.problem()).words(),
            measures::headline(&validation.measures),
            validation.examples
        ),
    };
    let mut text = String::new();
    let strength = match probe.bias.is_empty() {
        true => String::new(),
        false => format!("l2 {}, ", probe.l2),
    };
    writeln!(
        text,
        "{}: {quality}, loss {:.4} ({strength}{} training examples)",
        validation.measures.problem().start(),
        probe.validation.loss,
        probe.train.examples,
    )?;
    writeln!(
        text,
        "gradient map: {} of {} connections from {} examples, in {}",
        statistics,
        map.connections().len(),
        map.examples(),
        duration(seconds)
    )?;
    let columns = terminal_size().map_or(COLUMNS, |(Width(columns), _)| usize::from(columns));
    write!(text, "{}", heatmap::draw(&table, columns))?;
    writeln!(text, "written to {}", arguments.out.display())?;
    print(&text)?;
    Ok(Ending::Finished)
}

/// The connections of a search space, given by its name or as a file.
fn connections(space: &Path, backbone: &Backbone, task: &Task) -> Result<Vec<Connection>> {
    let resolved = SearchSpace::resolve(&described(space)?, &chain_shape(backbone, task));
    let resolved = resolved.map_err(|error| error.in_file(space))?;
    Ok(resolved.connections().to_vec())
}

/// Checks before the long computation that the map can be written to `out`.
fn check_place(out: &Path) -> Result<()> {
    ensure!(
        !out.is_dir(),
        "`{}` is a folder; `--out` must name a file",
        out.display()
    );
    let folder = out.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))
}
