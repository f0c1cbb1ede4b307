//! The scores and the results of every connection.

use adaplace_search_space::{Connection, ConnectionTable};
use adaplace_study::GradientMapFile;
use maud::{Markup, html};

use super::overview::Overview;
use crate::document::Section;
use crate::figure::{Figure, row};
use crate::heatmap::{HeatmapOptions, heatmap};
use crate::metric::unit;
use crate::numbers::Unit;

/// The number of states above which the other statistics would take too much space.
const MOST_STATES_OF_ALL: usize = 25;

/// Connections to outline, with their name in the legend.
type Outlined<'a> = Option<(&'a str, &'a [Connection])>;

pub(super) fn section(overview: &Overview<'_>) -> Section {
    let body = html! {
        p {
            "One square for every pair of hidden states. Those below the stepped line are recurrent: their target comes \
             before their source. Each square has a tooltip with its value."
        }
        @match &overview.study.gradient_map {
            Some(map) => (maps(overview, map)),
            None => p { "There is no gradient map yet. It is computed when the search starts." },
        }
    };
    Section::new("Maps of all connections", body)
}

fn maps(overview: &Overview<'_>, map: &GradientMapFile) -> Markup {
    let best: Vec<Connection> = match overview.candidates.first() {
        Some(best) => best.placement.connections().collect(),
        None => Vec::new(),
    };
    let outlined: Outlined<'_> = Some(("connections of the best placement", &best));
    let of = |name: &str, table: &ConnectionTable| -> Figure {
        let options = HeatmapOptions {
            title: &format!("Gradient map: {name}"),
            unit: Unit::Number,
            outlined,
        };
        heatmap(
            table.hidden_states(),
            &|source, target| table.get(Connection::new(source as u16, target as u16)),
            &options,
        )
    };
    let all = usize::from(map.backbone.hidden_states).pow(2);
    let is_whole = map
        .statistics
        .values()
        .all(|table| table.values().count() == all);
    let caption = format!(
        "A statistic of the gradient of the loss with respect to a linear map along the connection, over {} \
         examples, before any training.{}",
        map.examples,
        match is_whole {
            true => "",
            false => " The map has the connections of the search space alone.",
        }
    );
    let connection_scores = overview.connection_scores();
    let mut figures: Vec<Figure> = connection_scores
        .iter()
        .map(|(name, table)| of(name, table).with_caption(&caption))
        .collect();
    figures.extend(trained(overview, outlined));
    let is_small = usize::from(map.backbone.hidden_states) <= MOST_STATES_OF_ALL;
    let others: Vec<Figure> = map
        .statistics
        .iter()
        .filter(|_| is_small)
        .map(|(statistic, table)| (statistic.to_string(), table))
        .filter(|(other, _)| connection_scores.iter().all(|(shown, _)| shown != other))
        .map(|(name, table)| of(&name, table))
        .collect();
    html! {
        (row(&figures, None))
        @if !others.is_empty() {
            details {
                summary { "The other statistics of the gradient map" }
                (row(&others, None))
            }
        }
    }
}

/// The results of the connections: each trained alone or, if none was, the mean over the placements with it.
fn trained(overview: &Overview<'_>, outlined: Outlined<'_>) -> Option<Figure> {
    let metric = overview.metric();
    let steps = overview.study.configuration.search.steps;
    let states = usize::from(overview.study.hidden_states());
    let mut single = vec![vec![None; states]; states];
    let mut sums = vec![vec![(0.0, 0_u32); states]; states];
    let mut singles = 0;
    for (trial, value) in overview.long() {
        let placement = &trial.record.placement;
        for connection in placement.connections() {
            let [source, target] = [connection.source, connection.target].map(usize::from);
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
        let figure = heatmap(
            states,
            &|source, target| single[source][target],
            &options("Trained: single connections"),
        );
        return Some(figure.with_caption(&format!(
            "The {} of each connection that was trained alone, with {steps} steps; empty squares were not trained.",
            overview.metric_name()
        )));
    }
    overview.long().next()?;
    let mean = |source: usize, target: usize| {
        let (sum, count) = sums[source][target];
        (count > 0).then(|| sum / f64::from(count))
    };
    let figure = heatmap(
        states,
        &mean,
        &options("Trained: placements with the connection"),
    );
    Some(figure.with_caption(&format!(
        "Mean {} of the placements with the connection; empty squares were in no placement. No connection was trained \
         alone, so each value also depends on the other connections.",
        overview.metric_name()
    )))
}
