//! The best placements.

use adaplace_analysis::wilson_interval;
use adaplace_search_space::Connection;
use adaplace_study::{Metric, Raced};
use maud::html;

use super::overview::{Candidate, Overview, others, repetitions};
use crate::arcs::arcs;
use crate::axes::ChartSize;
use crate::document::Section;
use crate::figure::{Figure, row};
use crate::metric::unit;
use crate::numbers::{Unit, connections, grouped, percent, signed};
use crate::table::{Cell, Table};

/// The largest number of placements that are drawn. The table has all of them.
const MOST_DRAWN: usize = 7;

/// The largest number of connections in the table of couplings.
const MOST_COUPLED: usize = 16;

pub(super) fn section(overview: &Overview<'_>) -> Option<Section> {
    let best = overview.candidates.first()?;
    let drawn = |place: usize, candidate: &Candidate, size: ChartSize| {
        let value = unit(overview.metric()).estimate(candidate.value);
        let title = format!("{place}. {}: {value}", connections(&candidate.placement));
        arcs(
            &candidate.placement,
            overview.study.hidden_states(),
            size,
            &title,
        )
    };
    let mut first = drawn(1, best, ChartSize::Wide).with_caption(
        "The chain of hidden states, from the embedding (0) to the last one; A: attention, M: MLP. An adapter reads the state \
         where its arc starts and adds to the state at the arrowhead.",
    );
    if best.placement.passes() > 1 {
        first = first.with_caption(
            "A recurrent connection makes the model run a second time, starting at its target.",
        );
    }
    let others = (1..).zip(&overview.candidates).take(MOST_DRAWN).skip(1);
    let others: Vec<Figure> = others
        .map(|(place, candidate)| drawn(place, candidate, ChartSize::Half))
        .collect();
    let title = match overview.is_finished() {
        true => "The best placements",
        false => "The best placements so far",
    };
    let body = html! {
        (first)
        @if !others.is_empty() { (row(&others, None)) }
        (table(overview))
        @if let Some(table) = coupling(overview) { (table) }
        @if let Some(table) = race(overview) { (table) }
    };
    Some(Section::new(title, body))
}

/// With fewer validation examples than this, the report gives the interval of an accuracy, which is more than 3 points
/// to either side.
const FEW: usize = 1000;

/// A sentence about the interval of the best accuracy if it was measured on few examples.
fn interval_of_few(overview: &Overview<'_>) -> Option<String> {
    let count = overview.probe?.validation.examples;
    if overview.headline() != Metric::Accuracy {
        return None;
    }
    let accuracy = overview.candidates.first()?.headline?.mean;
    let (low, high) = wilson_interval(accuracy, count);
    (count < FEW).then(|| {
        format!(
            "They are measured on {count} validation examples: the 95 % interval (Wilson) of {} is {} to {}.",
            Unit::Share.show(accuracy),
            Unit::Share.show(low),
            Unit::Share.show(high)
        )
    })
}

fn table(overview: &Overview<'_>) -> Table {
    let search = &overview.study.configuration.search;
    let caption = match overview.is_finished() {
        true => {
            let chosen = match overview.race().is_empty() {
                true => format!("The best by {} in the search", overview.metric_name()),
                false => "The placements that the race left, in its order".to_owned(),
            };
            let noise = overview.noise();
            let noise = noise.and_then(|noise| noise.describe(search.metric, overview.problem()));
            let sentences = [noise, interval_of_few(overview)];
            let sentences = sentences.into_iter().flatten();
            format!(
                "{chosen}, trained again with {} steps and other seeds: {}.{}",
                search.steps,
                repetitions(search.repetitions.get()),
                sentences.map(|text| format!(" {text}")).collect::<String>()
            )
        }
        false => "The best trials of the search so far, each trained once. Finalists are trained again when the search \
                  is finished."
            .to_owned(),
    };
    let headline = overview.headline();
    let others = others(overview.problem());
    let mut columns = vec!["", headline.words(), "loss"];
    columns.extend(others.iter().map(|metric| metric.words()));
    columns.extend(["parameters", "extra FLOPs", "connections"]);
    let mut table = Table::new(caption, &columns);
    let of = |name: String, candidate: &Candidate| {
        let mut cells = vec![
            Cell::Text(name),
            Cell::Number(unit(headline).estimate(candidate.headline)),
            Cell::Number(Unit::Number.estimate(candidate.loss)),
        ];
        let values = others.iter().zip(&candidate.others);
        cells.extend(values.map(|(&metric, &value)| Cell::Number(unit(metric).estimate(value))));
        cells.extend([
            Cell::Number(candidate.costs.parameters.map_or_else(unknown, grouped)),
            Cell::Number(candidate.costs.extra_flops.map_or_else(unknown, percent)),
            Cell::placement(&candidate.placement),
        ]);
        cells
    };
    for (index, candidate) in overview.candidates.iter().enumerate() {
        table.row(of((index + 1).to_string(), candidate));
    }
    if let Some(baseline) = &overview.baseline {
        table.row(of("parallel at every sublayer".to_owned(), baseline));
    }
    if let Some(probe) = overview.probe {
        let mut cells = vec![
            Cell::Text(overview.problem().start().to_owned()),
            Cell::Number(unit(headline).show(probe.validation.measures.headline())),
            Cell::Number(format!("{:.3}", probe.validation.loss)),
        ];
        let values = others.iter();
        cells.extend(values.map(|&metric| {
            Cell::Number(unit(metric).show(metric.of_evaluation(&probe.validation)))
        }));
        cells.extend([
            Cell::Number("0".to_owned()),
            Cell::Number(percent(0.0)),
            Cell::Text(String::new()),
        ]);
        table.row(cells);
    }
    table
}

/// The coupling of the connections of the first place.
fn coupling(overview: &Overview<'_>) -> Option<Table> {
    let first = overview.first()?;
    let rows = first.coupling.as_ref()?;
    if !(2..=MOST_COUPLED).contains(&rows.len()) {
        return None;
    }
    let connections: Vec<Connection> = first.repeated.placement.connections().collect();
    let names: Vec<String> = connections.iter().map(ToString::to_string).collect();
    let mut columns = vec![""];
    columns.extend(names.iter().map(String::as_str));
    let alike = first.alike().map(|alike| format!(" {}", alike.describe()));
    let caption = format!(
        "Coupling of the connections of the first place: the cosine between the estimated effects of each alone on the \
         losses of the training examples; 1 for the same effect, 0 for unrelated effects.{}",
        alike.unwrap_or_default()
    );
    let mut table = Table::new(caption, &columns);
    for (&connection, row) in connections.iter().zip(rows) {
        let mut cells = vec![Cell::Connections(vec![connection])];
        cells.extend(row.iter().map(|&value| Cell::Number(signed(value))));
        table.row(cells);
    }
    Some(table)
}

/// The placements that raced, with the rung that each reached.
fn race(overview: &Overview<'_>) -> Option<Table> {
    if overview.race().is_empty() {
        return None;
    }
    let caption = "The race of the best trials, on orders of the examples that all placements on a rung share: the better \
                   half advances.";
    let columns = [
        "place",
        "trial",
        "left at rung",
        "trainings",
        overview.headline().words(),
        "loss",
        "connections",
    ];
    let mut table = Table::new(caption.to_owned(), &columns);
    for (place, raced) in (1..).zip(overview.race()) {
        let Raced {
            trial,
            left_at,
            repeated,
            ..
        } = raced;
        table.row(vec![
            Cell::Number(place.to_string()),
            Cell::Number(trial.to_string()),
            Cell::Number(left_at.map_or_else(|| "-".to_owned(), |rung| rung.to_string())),
            Cell::Number(repeated.results.len().to_string()),
            Cell::Number(unit(overview.headline()).estimate(repeated.headline())),
            Cell::Number(Unit::Number.estimate(repeated.validation_loss)),
            Cell::placement(&repeated.placement),
        ]);
    }
    Some(table)
}

pub(super) fn unknown() -> String {
    "unknown".to_owned()
}
