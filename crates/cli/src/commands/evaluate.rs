use std::path::Path;

use adaplace_scorer::{Evaluation, evaluate_on};
use adaplace_search_space::{PlacementFile, PlacementHash};
use adaplace_study::{Problem, backbone_reference};
use adaplace_task::{Part, ProblemKind, TaskOptions};
use anyhow::{Result, bail};
use serde::Serialize;

use super::origin::{pooling, trained_parameters};
use super::{print, print_json};
use crate::Ending;
use crate::arguments::Evaluate;
use crate::{hub, measures, resources};

#[derive(Serialize)]
struct Report {
    placement: PlacementHash,
    task: String,
    part: Part,
    #[serde(rename = "result")]
    evaluation: Evaluation,
}

pub(crate) fn run(arguments: &Evaluate) -> Result<Ending> {
    let file = PlacementFile::read(&arguments.placement)?;
    let path = &arguments.adapters;
    let (parameters, metadata) = trained_parameters(&file, path)?;
    let part = arguments.part;
    let reading = arguments.reading.reading();
    let options = TaskOptions {
        parts: &[Part::Train, Part::Validation, part],
        reading: Some(&reading),
        ..TaskOptions::default()
    };
    let pooling = pooling(&file, &arguments.placement)?;
    let folder = hub::backbone(&arguments.backbone)?;
    let mut problem = Problem::load(
        (&folder, pooling),
        &hub::task(&arguments.task)?,
        metadata.max_length,
        &options,
    )?;
    let device = arguments.device.of_kind(arguments.device.kind())?;
    let precision = arguments.precision.resolve(device.kind);
    problem.backbone =
        resources::computed_with(problem.backbone, precision, arguments.instruction_set);
    if let Some(scale) = metadata.scale {
        // The head predicts numbers on the scale of its own training part, which may have been a subset.
        problem.task = problem.task.rescaled(scale);
    }
    let (backbone, task) = (&problem.backbone, &problem.task);
    file.check_backbone(&backbone_reference(backbone))
        .map_err(|error| error.in_file(&arguments.placement))?;
    let rows = parameters.classes();
    let problem = metadata.problem.unwrap_or(ProblemKind::Classification);
    if problem != task.problem() {
        bail!(
            "`{}` was trained for {}, but the task is a {}; say what it is with `--problem {problem}`",
            path.display(),
            problem.words(),
            task.problem().words()
        );
    }
    match problem {
        ProblemKind::Regression if rows != 1 => bail!(
            "`{}` has a head of {rows} rows, but a number takes one; train a head with one row",
            path.display()
        ),
        ProblemKind::Regression => {}
        ProblemKind::LanguageModelling if rows > 0 => bail!(
            "`{}` has a head of {rows} rows, but a language model predicts with its own; leave out the head",
            path.display()
        ),
        ProblemKind::LanguageModelling => {}
        ProblemKind::Classification
        | ProblemKind::MultiLabel
        | ProblemKind::TokenClassification => {
            check_classes(metadata.classes.as_ref(), &task.classes, rows, path)?;
        }
    }
    let Some(examples) = task.part(part) else {
        bail!(
            "the task `{}` has no {part} part; choose another with `--part`",
            arguments.task.display()
        );
    };
    let report = Report {
        placement: file.placement.hash(),
        task: task.name.clone(),
        part,
        evaluation: evaluate_on(
            device,
            backbone,
            parameters,
            examples,
            arguments.batch_size.get(),
        )?,
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        let evaluation = &report.evaluation;
        let names = measures::names(evaluation.measures.problem()).into_iter();
        let found: Vec<String> = names
            .zip(measures::measured(evaluation))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        print(&format!(
            "{}, {part}: {}, {} examples\n",
            report.task,
            found.join(", "),
            evaluation.examples
        ))?;
    }
    Ok(Ending::Finished)
}

/// Checks that the classes are those of the training task, in the same order as the rows of the head.
fn check_classes(
    stored: Option<&Vec<String>>,
    classes: &[String],
    rows: usize,
    path: &Path,
) -> Result<()> {
    if rows != classes.len() || stored.is_some_and(|stored| stored != classes) {
        bail!(
            "`{}` was trained for other classes than those of the task ({}); evaluate it on the task that it was trained on",
            path.display(),
            classes.join(", ")
        );
    }
    Ok(())
}
