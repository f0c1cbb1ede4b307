//! The final output of `adaplace compare`.

use std::fmt::Write as _;
use std::path::Path;

use adaplace_experiments::{Comparison, ComparisonConfiguration, SeedResult};
use adaplace_report::{bare, comparison_notes, difference, heading};
use anyhow::Result;

use super::spent::Spent;
use crate::table;

/// The data that a comparison was judged on.
pub(super) struct TestedOn<'a> {
    pub(super) task: &'a str,
    pub(super) examples: usize,
}

/// The competitors, best first, and the paths of the results.
pub(super) fn summary(
    out: &Path,
    configuration: &ComparisonConfiguration,
    comparison: &Comparison,
    judged: &TestedOn<'_>,
    spent: Spent,
    report: Option<&Path>,
) -> Result<String> {
    let settings = &configuration.comparison;
    let mut text = String::new();
    writeln!(
        text,
        "{} competitors on {}, {} seeds, {} steps of search each, in {spent}",
        comparison.competitors.len(),
        judged.task,
        settings.seeds,
        settings.budget_steps,
    )?;
    let by = match settings.replayed {
        true => "mean validation accuracy of the bench's repetitions".to_owned(),
        false => format!(
            "{} of {} steps on {} test examples",
            match settings.final_repetitions {
                1 => "one final training".to_owned(),
                several => format!("{several} final trainings"),
            },
            settings.final_steps,
            judged.examples
        ),
    };
    writeln!(text, "{by}; mean over the seeds with its 95 % interval\n")?;
    let judged_by = comparison.judged_by();
    let rows: Vec<Vec<String>> = comparison
        .competitors
        .iter()
        .map(|competed| {
            let count = competed.seeds.len().max(1) as u64;
            let mean = |value: fn(&SeedResult) -> u64| {
                competed.seeds.iter().map(value).sum::<u64>() / count
            };
            let against = competed.against_random;
            vec![
                competed.name.clone(),
                competed.test_headline.map_or_else(
                    || "failed".to_owned(),
                    |mean| table::measured(mean, bare(judged_by)),
                ),
                against.map_or_else(String::new, |against| {
                    table::measured(against.mean, difference(judged_by))
                }),
                against.map_or_else(String::new, |_| table::p_value(competed.p_value())),
                table::grouped(mean(|result| result.cost.parameters)),
                table::grouped(mean(|result| result.steps)),
                comparison
                    .search_cost(competed, settings)
                    .map_or_else(String::new, |cost| format!("{cost:.2}")),
            ]
        })
        .collect();
    let judged = heading(judged_by);
    let head = [
        "",
        &judged,
        match judged_by.is_share() {
            true => "to random, points",
            false => "to random",
        },
        "p",
        "parameters",
        "steps of search",
        "search cost",
    ];
    let right = [false, true, true, true, true, true, true];
    writeln!(text, "{}", table::aligned(&head, &rows, &right))?;
    for note in comparison_notes(configuration, comparison) {
        writeln!(text, "{note}")?;
    }
    writeln!(text)?;
    if let Some(report) = report {
        writeln!(text, "report       {}", report.display())?;
    }
    writeln!(text, "all numbers  {}/comparison.json", out.display())?;
    writeln!(
        text,
        "placements   {}/placements/STRATEGY-SEED.toml",
        out.display()
    )?;
    Ok(text)
}
