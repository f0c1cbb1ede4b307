//! `adaplace audit --sets`: the predictors of a placement bench's results, and the variance components of these
//! results.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_analysis::Measured;
use adaplace_experiments::{PlacementBench, SetAudit, SetVariance, VarianceShares};
use adaplace_search_space::Count;
use adaplace_study::{
    Configuration, GradientProxy, Importances, PreparationSettings, Prepared, Problem,
    backbone_reference,
};
use anyhow::{Context, Result};

use super::correlations::{best_first, order, rho, tau, top, unknown};
use super::{all_statistics, print, print_json, statistics};
use crate::arguments::Audit as Arguments;
use crate::{Ending, hub, resources, table};

/// Name of the gradient map's file in the folder of the audit.
const MAP: &str = "gradient-map.json";

pub(super) fn run(arguments: &Arguments, path: &Path) -> Result<Ending> {
    let start = Instant::now();
    let subject = &arguments.subject;
    let output = &arguments.output.of(&subject.task, "audit-sets");
    let also = statistics(&arguments.statistic)?;
    let bench = PlacementBench::read(path)?;
    let configuration = &bench.configuration;
    let (search, task) = (&configuration.search, &configuration.task);
    let folder = hub::backbone(&subject.backbone)?;
    let problem = Problem::for_search(
        (&folder, Some(configuration.backbone.pooling)),
        (&hub::task(&subject.task)?, &task.reading()),
        task.max_length,
        task.train_examples.map(Count::get),
        search.seed.get(),
    )?;
    let reference = backbone_reference(&problem.backbone);
    bench.check_made_with(path, &reference, &problem.task.fingerprint)?;
    let device = output.resources.device.kind();
    let computed = (configuration.backbone.precision, device);
    let (problem, resources) = resources::within(output.resources, computed, problem)?;
    let out = &output.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;

    let settings = PreparationSettings {
        statistics: all_statistics(),
        ..configuration.preparation(&bench.space()?)
    };
    let (backbone, task) = problem.shared();
    let prepared = Prepared::new(&backbone, &task, settings, resources)?;
    prepared.map_file.write(&out.join(MAP))?;
    // The surrogate needs no importances, so none are written.
    let proxy = GradientProxy::new(
        Arc::clone(&prepared.scorer),
        Arc::clone(&prepared.map),
        also.clone(),
        search.steps,
        Importances::at(out.join("importances.jsonl")),
    );
    let name = &task.name;
    let audit = SetAudit::new(&bench, &prepared.map, Arc::new(proxy), name, &also)?;
    let file = out.join(SetAudit::FILE);
    audit.write(&file)?;
    if output.json {
        print_json(&audit)?;
    } else {
        print(&summary(&file, &audit, start.elapsed().as_secs_f64())?)?;
    }
    Ok(Ending::Finished)
}

fn summary(file: &Path, audit: &SetAudit, seconds: f64) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{} of {} placements on {}, each trained {} times for {} steps, audited in {}",
        audit.placements,
        audit.of_placements,
        audit.task,
        audit.repetitions,
        audit.steps,
        table::duration(seconds)
    )?;
    writeln!(
        text,
        "agreement of each predictor with the mean results (Spearman's rho with its 95 % interval; top 10 %: share of the \
         best tenth by accuracy that is in the predictor's best tenth)\n"
    )?;
    let rows = audit.predictors.iter().map(|audited| {
        let accuracy = &audited.validation_accuracy;
        let cells = vec![
            audited.predictor.to_string(),
            rho(accuracy),
            rho(&audited.validation_loss),
            tau(accuracy),
            top(accuracy),
        ];
        (order(accuracy), cells)
    });
    let head = ["predictor", "accuracy", "loss", "tau, accuracy", "top 10 %"];
    let rows = best_first(rows.collect());
    let right = [false, true, true, true, true];
    writeln!(text, "{}", table::aligned(&head, &rows, &right))?;
    writeln!(text, "{}", variance(audit))?;
    if !audit.ranked_by.is_empty() {
        let rows = audit.ranked_by.iter().map(|one| {
            let rho = one.rho.map_or_else(unknown, table::signed);
            vec![one.metric.name().to_owned(), rho]
        });
        let head = [
            "metric of one training",
            "rho with the accuracy of the others",
        ];
        let rows: Vec<Vec<String>> = rows.collect();
        writeln!(text, "{}", table::aligned(&head, &rows, &[false, true]))?;
    }
    if !audit.draws.is_empty() {
        let rows: Vec<Vec<String>> = audit
            .draws
            .iter()
            .map(|drawn| {
                vec![
                    drawn.draw.name().to_owned(),
                    drawn.placements.to_string(),
                    table::percent_estimate(Some(drawn.accuracy)),
                    table::estimate(Some(drawn.loss)),
                ]
            })
            .collect();
        let head = ["drawn", "placements", "accuracy", "loss"];
        let right = [false, true, true, true];
        writeln!(text, "{}", table::aligned(&head, &rows, &right))?;
    }
    writeln!(text, "all numbers  {}", file.display())?;
    Ok(text)
}

/// The table of variance components; unknown values are dashes.
fn variance(audit: &SetAudit) -> String {
    let both = [&audit.accuracy, &audit.loss];
    let row = |name: &str, cell: &dyn Fn(&SetVariance) -> Option<String>| {
        let mut cells = vec![name.to_owned()];
        cells.extend(both.map(|of| cell(of).unwrap_or_else(unknown)));
        cells
    };
    let share = |name: &str, part: fn(VarianceShares) -> f64| {
        row(name, &|of| Some(table::percent(part(of.shares?))))
    };
    let own = |name: &str, part: fn(&SetVariance) -> Option<Measured>| {
        row(name, &|of| {
            let measured = of.of_own(part(of)?)?;
            Some(table::measured(measured, |value| {
                format!("{:.0} %", 100.0 * value)
            }))
        })
    };
    let rows = [
        share("one training: placement", |shares| shares.placement),
        share("  order of the examples", |shares| shares.order),
        share("  rest", |shares| shares.rest),
        own("of the placement's share: sums over connections", |of| {
            of.sum
        }),
        own("  pairs add", |of| of.pairs),
        row("rho of distance with the sum's residuals", &|of| {
            Some(table::measured(of.distance?, table::signed))
        }),
    ];
    let head = ["share of the variance", "accuracy", "loss"];
    table::aligned(&head, &rows, &[false, true, true])
}
