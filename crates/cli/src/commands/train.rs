use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_backbone::{DeviceKind, Precision};
use adaplace_files::write_atomically;
use adaplace_scorer::{Evaluation, Metadata, ProxyScorer, ScoreError, TrainingSettings};
use adaplace_search_space::{BackboneReference, Count, Fidelity, PlacementFile, PlacementHash};
use adaplace_study::{ProbeQuality, Problem, backbone_reference};
use adaplace_task::{Part, ProblemKind, TaskOptions};
use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use super::origin::pooling;
use super::{print, print_json};
use crate::Ending;
use crate::arguments::Train;
use crate::{hub, measures, resources, table};

/// The file beside the adapters that says what they reach.
pub(crate) const METRICS_FILE: &str = "metrics.json";

/// The content of [`METRICS_FILE`].
#[derive(Serialize)]
struct Metrics {
    format: &'static str,
    placement: PlacementHash,
    backbone: BackboneReference,
    task: String,
    classes: Vec<String>,
    steps: Fidelity,
    seed: u64,
    training: TrainingSettings,
    precision: Precision,
    device: DeviceKind,
    /// Mean loss of the batches in the last epoch, during training.
    last_epoch_loss: f64,
    train: Evaluation,
    validation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Evaluation>,
    linear_probe: ProbeQuality,
    seconds: f64,
}

pub(crate) fn run(arguments: &Train) -> Result<Ending> {
    let start = Instant::now();
    let file = PlacementFile::read(&arguments.placement)?;
    let reading = arguments.reading.reading();
    let options = TaskOptions {
        parts: &[Part::Train, Part::Validation, Part::Test],
        train_examples: arguments.train_examples.map(Count::get),
        seed: arguments.seed.get(),
        reading: Some(&reading),
    };
    let pooling = pooling(&file, &arguments.placement)?;
    let folder = hub::backbone(&arguments.backbone)?;
    let problem = Problem::load(
        (&folder, pooling),
        &hub::task(&arguments.task)?,
        arguments.max_length.map(Count::get),
        &options,
    )?;
    let device = arguments.resources.device.kind();
    let precision = arguments.precision.resolve(device);
    let computed = (precision, device);
    let (problem, resources) = resources::within(&arguments.resources, computed, problem)?;
    let max_length = problem.max_length;
    let (backbone, task) = problem.shared();
    let reference = backbone_reference(&backbone);
    file.check_backbone(&reference)
        .map_err(|error| error.in_file(&arguments.placement))?;
    let settings = TrainingSettings {
        learned_scale: arguments.learned_scale,
        ..arguments.learning.settings()
    };
    let steps = arguments.steps;
    // Create the folder first, so that an unusable path fails before the training.
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot create `{}`", arguments.out.display()))?;

    let scorer = ProxyScorer::with_resources(
        backbone,
        Arc::clone(&task),
        settings,
        arguments.seed.get(),
        resources,
    )?;
    let trained = scorer
        .train(&file.placement, steps, 0)
        .map_err(|error| match error {
            ScoreError::Diverged { .. } => anyhow!(
                "the training of `{}` {error}; choose a lower `--learning-rate`",
                arguments.placement.display()
            ),
            other => other.into(),
        })?;
    let on = |examples| scorer.evaluate(&trained.parameters, examples);
    let metrics = Metrics {
        format: "adaplace.metrics/1",
        placement: file.placement.hash(),
        backbone: reference,
        task: task.name.clone(),
        classes: task.classes.clone(),
        steps,
        seed: arguments.seed.get(),
        training: settings,
        precision,
        device,
        last_epoch_loss: trained.train_loss,
        train: on(&task.train)?,
        validation: on(&task.validation)?,
        test: task.test.as_ref().map(on).transpose()?,
        linear_probe: scorer.probe().into(),
        seconds: start.elapsed().as_secs_f64(),
    };
    let adapters = arguments.out.join("adapters.safetensors");
    let metadata = Metadata {
        placement: Some(metrics.placement),
        weights_sha256: Some(metrics.backbone.weights_sha256.clone()),
        classes: Some(task.classes.clone()).filter(|classes| !classes.is_empty()),
        problem: Some(task.problem()).filter(|one| *one != ProblemKind::Classification),
        scale: task.scale(),
        max_length,
    };
    trained.parameters.write(&metadata, &adapters)?;
    let path = arguments.out.join(METRICS_FILE);
    write_metrics(&metrics, &path)?;
    if arguments.json {
        print_json(&metrics)?;
    } else {
        print(&summary(&metrics, &adapters, &path)?)?;
    }
    Ok(Ending::Finished)
}

fn write_metrics(metrics: &Metrics, path: &Path) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(metrics)?;
    text.push(b'\n');
    write_atomically(path, &text).with_context(|| format!("cannot write `{}`", path.display()))
}

fn summary(metrics: &Metrics, adapters: &Path, path: &Path) -> Result<String> {
    let mut text = String::new();
    let row = |name: &str, evaluation: &Evaluation| {
        let mut row = vec![name.to_owned()];
        row.extend(measures::measured(evaluation));
        row.push(evaluation.examples.to_string());
        row
    };
    let mut rows = vec![
        row("train", &metrics.train),
        row("validation", &metrics.validation),
    ];
    rows.extend(metrics.test.as_ref().map(|test| row("test", test)));
    let start = &metrics.linear_probe.validation;
    let name = format!("{}, validation", start.measures.problem().start());
    rows.push(row(&name, start));
    writeln!(
        text,
        "{} steps in {}\n",
        metrics.steps,
        table::duration(metrics.seconds)
    )?;
    let mut head = vec![""];
    head.extend(measures::names(metrics.train.measures.problem()));
    head.push("examples");
    let right: Vec<bool> = (0..head.len()).map(|column| column > 0).collect();
    write!(text, "{}", table::aligned(&head, &rows, &right))?;
    writeln!(text, "\nadapters  {}", adapters.display())?;
    writeln!(text, "metrics   {}", path.display())?;
    Ok(text)
}
