//! All trials in a table.

use adaplace_study::{Metric, TrialResult};
use adaplace_task::ProblemKind;
use maud::html;

use super::overview::{Overview, Trial};
use super::placements::unknown;
use crate::arcs::kinds_legend;
use crate::document::Section;
use crate::legend::legend;
use crate::metric::unit;
use crate::numbers::{grouped, percent};
use crate::table::{Cell, Table};

/// The largest number of rows. `ranking.json` holds all of them.
const MOST_ROWS: usize = 200;

pub(super) fn section(overview: &Overview<'_>) -> Option<Section> {
    if overview.trials.is_empty() {
        return None;
    }
    let count = overview.trials.len();
    let mut caption = format!("Ranked by {}", overview.metric_name());
    if overview.study.configuration.search.halving.is_some() {
        caption.push_str(", longer trainings before shorter ones");
    }
    if count > MOST_ROWS {
        let file = match overview.is_finished() {
            true => "ranking.json",
            false => "journal.jsonl",
        };
        caption.push_str(&format!(
            "; the first {MOST_ROWS} of {}. All are in {file}",
            grouped(count as u64)
        ));
    }
    caption.push('.');
    let metric = overview.metric();
    let other = (!metric.is_of_two(overview.problem())).then(|| metric.words());
    let columns: Vec<&str> = ["place", "trial"].into_iter().chain(other).collect();
    let columns = [
        &columns[..],
        &[
            overview.headline().words(),
            "loss",
            "train loss",
            "steps",
            "parameters",
            "extra FLOPs",
            "connections",
        ],
    ]
    .concat();
    let mut table = Table::new(caption, &columns);
    for trial in overview.trials.iter().take(MOST_ROWS) {
        table.row(row(trial, metric, overview.problem()));
    }
    let shown = overview.trials.iter().take(MOST_ROWS);
    let kinds = kinds_legend(shown.map(|trial| &trial.record.placement));
    Some(Section::new("Trials", html! { (legend(&kinds)) (table) }))
}

fn row(trial: &Trial<'_>, metric: Metric, problem: ProblemKind) -> Vec<Cell> {
    let [headline, loss, train_loss] = match &trial.record.result {
        TrialResult::Score(score) => [
            unit(Metric::headline(score.measures.problem())).show(score.measures.headline()),
            format!("{:.4}", score.validation_loss),
            format!("{:.4}", score.train_loss),
        ],
        TrialResult::Failed(_) => ["failed".to_owned(), "-".to_owned(), "-".to_owned()],
    };
    let mut cells = vec![
        Cell::Number(trial.place.to_string()),
        Cell::Number(trial.record.trial.to_string()),
    ];
    if !metric.is_of_two(problem) {
        let value = trial
            .score()
            .map(|score| unit(metric).show(metric.value(score)));
        cells.push(Cell::Number(value.unwrap_or_else(unknown)));
    }
    cells.extend([
        Cell::Number(headline),
        Cell::Number(loss),
        Cell::Number(train_loss),
        Cell::Number(trial.record.steps.to_string()),
        Cell::Number(trial.costs.parameters.map_or_else(unknown, grouped)),
        Cell::Number(trial.costs.extra_flops.map_or_else(unknown, percent)),
        Cell::placement(&trial.record.placement),
    ]);
    cells
}
