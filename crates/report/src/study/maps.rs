//! What every connection promises and what it gave.

use adaplace_search_space::Connection;

use super::overview::Overview;
use crate::document::{Figure, Section};
use crate::heatmap::{HeatmapOptions, heatmap};
use crate::metric::{name, unit};
use crate::numbers::Unit;

/// Above so many states the other statistics would take too much room.
const MOST_STATES_OF_ALL: usize = 25;

pub(super) fn section(overview: &Overview<'_>) -> Section {
    let best: Vec<Connection> = match overview.candidates.first() {
        Some(best) => best.placement.connections().collect(),
        None => Vec::new(),
    };
    let outlined = Some(("connections of the best placement", &best[..]));
    let mut section = Section::new("Maps of all connections");
    section.paragraph(
        "One square for every pair of hidden states. Those below the stepped line are recurrent: their target comes before \
         their source. Each has its number as a tooltip.",
    );
    let Some(map) = &overview.study.gradient_map else {
        section.paragraph("There is no gradient map yet: it is made when the search starts.");
        return section;
    };
    let of = |name: &str, table: &[Vec<f64>]| -> Figure {
        let table: Vec<Vec<Option<f64>>> = table
            .iter()
            .map(|row| row.iter().copied().map(Some).collect())
            .collect();
        let options = HeatmapOptions {
            title: &format!("Gradient map: {name}"),
            unit: Unit::Number,
            outlined,
        };
        heatmap(&table, &options)
    };
    let caption = format!(
        "Of the loss's gradient towards a linear map along the connection, over {} examples, before any training.",
        map.examples
    );
    let promises = overview.promises();
    let mut figures: Vec<Figure> = promises
        .iter()
        .map(|(name, table)| of(name, table).with_caption(&caption))
        .collect();
    figures.extend(trained(overview, outlined));
    section.figures(&figures);

    let others: Vec<Figure> = map
        .statistics
        .iter()
        .map(|(statistic, table)| (statistic.to_string(), table))
        .filter(|(other, _)| promises.iter().all(|(shown, _)| shown != other))
        .map(|(name, table)| of(&name, table))
        .collect();
    let states = usize::from(map.backbone.hidden_states);
    if states <= MOST_STATES_OF_ALL && !others.is_empty() {
        let mut inside = Section::new("");
        inside.figures(&others);
        section.folded("The other statistics of the gradient map", inside);
    }
    section
}

/// What trainings say of the connections: each trained alone or, where none was, the mean over the placements that have it.
fn trained(overview: &Overview<'_>, outlined: Option<(&str, &[Connection])>) -> Option<Figure> {
    let metric = overview.metric();
    let steps = overview.study.configuration.search.steps;
    let states = usize::from(overview.study.hidden_states());
    let scored = || {
        let trials = overview
            .trials
            .iter()
            .filter(|trial| trial.record.steps == steps);
        trials.filter_map(|trial| Some((trial, metric.value(trial.score()?))))
    };
    let mut single = vec![vec![None; states]; states];
    let mut sums = vec![vec![(0.0, 0_u32); states]; states];
    let mut singles = 0;
    for (trial, value) in scored() {
        let placement = &trial.record.placement;
        for connection in placement.connections() {
            let (source, target) = (
                usize::from(connection.source),
                usize::from(connection.target),
            );
            let (sum, count) = &mut sums[source][target];
            *sum += value;
            *count += 1;
            if placement.len() == 1 {
                singles += 1;
                let known: &mut Option<f64> = &mut single[source][target];
                let better = |known: f64| metric.signed(value) > metric.signed(known);
                if known.is_none_or(better) {
                    *known = Some(value);
                }
            }
        }
    }
    let options = |title| HeatmapOptions {
        title,
        unit: unit(metric),
        outlined,
    };
    if singles > 0 {
        let figure = heatmap(&single, &options("Trained: single connections"));
        return Some(figure.with_caption(&format!(
            "The {} of each connection that was trained alone, with {steps} steps; empty ones were not.",
            name(metric)
        )));
    }
    scored().next()?;
    let mean = |&(sum, count): &(f64, u32)| (count > 0).then(|| sum / f64::from(count));
    let table: Vec<Vec<Option<f64>>> = sums
        .iter()
        .map(|row| row.iter().map(mean).collect())
        .collect();
    let figure = heatmap(&table, &options("Trained: placements with the connection"));
    Some(figure.with_caption(&format!(
        "Mean {} of the placements that have the connection among others; empty ones were in none. No connection was \
         trained alone, so a number here is also that of its company.",
        name(metric)
    )))
}
