//! The score of trials against their costs.

use adaplace_search_space::ConnectionKind;
use maud::{Markup, html};

use super::overview::{Costs, Overview, Trial};
use crate::axes::Axis;
use crate::document::Section;
use crate::figure::{Figure, row};
use crate::ink::Ink;
use crate::legend::Key;
use crate::metric::unit;
use crate::numbers::Unit;
use crate::pareto::pareto_front;
use crate::scatter::{Landmark, Point as Dot, Scatter, scatter};
use crate::table::{Cell, Table};

/// The largest number of rows. The chart shows the whole front.
const MOST_ROWS: usize = 40;

/// One of the costs of a placement.
struct Price {
    title: &'static str,
    axis: &'static str,
    unit: Unit,
    /// Its name in a sentence.
    name: &'static str,
    /// Its name in the head of a column.
    column: &'static str,
    /// The reason if there is no chart.
    unknown: &'static str,
    of: fn(Costs) -> Option<f64>,
}

const PARAMETERS: Price = Price {
    title: "Score and parameters",
    axis: "trainable parameters of the adapters",
    unit: Unit::Count,
    name: "number of parameters",
    column: "parameters",
    unknown: "The number of parameters is known once there is a gradient map.",
    of: |costs| costs.parameters.map(|count| count as f64),
};

const EXTRA_FLOPS: Price = Price {
    title: "Score and extra FLOPs",
    axis: "extra FLOPs, relative to the frozen forward pass",
    unit: Unit::Share,
    name: "extra FLOPs",
    column: "extra FLOPs",
    unknown: "Extra FLOPs are known when the search is finished.",
    of: |costs| costs.extra_flops,
};

pub(super) fn section(overview: &Overview<'_>) -> Option<Section> {
    overview.full().next()?;
    let body = html! {
        (of_price(overview, &PARAMETERS))
        (of_price(overview, &EXTRA_FLOPS))
    };
    Some(Section::new("Score and cost", body))
}

fn of_price(overview: &Overview<'_>, price: &Price) -> Markup {
    let points: Vec<Point<'_>> = overview
        .full()
        .filter_map(|(trial, score)| {
            let cost = (price.of)(trial.costs)?;
            let value = overview.metric().value(score);
            Some(Point { trial, cost, value })
        })
        .collect();
    let Some(first) = points.first() else {
        return html! { p { (price.unknown) } };
    };
    if points.iter().all(|point| point.cost == first.cost) {
        let cost = price.unit.show(first.cost);
        return html! { p { "All these placements have the same " (price.name) ": " (cost) "." } };
    }
    let merits: Vec<(f64, f64)> = points
        .iter()
        .map(|point| (point.cost, overview.metric().signed(point.value)))
        .collect();
    let front = pareto_front(&merits);
    let table = table(overview, price, &points, &front);
    row(&[chart(overview, price, &points, front)], Some(&table))
}

/// A trial with its cost.
struct Point<'a> {
    trial: &'a Trial<'a>,
    cost: f64,
    value: f64,
}

fn chart(
    overview: &Overview<'_>,
    price: &Price,
    points: &[Point<'_>],
    front: Vec<usize>,
) -> Figure {
    let metric = overview.metric();
    let drawn = points.iter().map(|point| Dot {
        x: point.cost,
        y: point.value,
        group: usize::from(point.trial.record.placement.passes() > 1),
        label: format!(
            "{}; {}",
            point.trial.label(metric),
            price.unit.show(point.cost)
        ),
    });
    let baseline = overview.baseline.as_ref().and_then(|baseline| {
        let value = baseline.value?;
        Some(Landmark {
            key: Key::new("parallel at every sublayer, ± standard error", Ink::Orange),
            x: (price.of)(baseline.costs)?,
            y: value.mean,
            error: value.standard_error,
        })
    });
    let probe = overview.probe_value().map(|value| Landmark {
        key: Key::new(overview.problem().start(), Ink::Text),
        x: 0.0,
        y: value,
        error: None,
    });
    let figure = scatter(&Scatter {
        title: price.title,
        x: Axis::new(price.axis, price.unit),
        y: Axis::new(overview.metric_name(), unit(metric)),
        groups: vec![
            Key::new("one pass", Ink::Blue),
            Key::new(
                "two passes (recurrent)",
                Ink::of_kind(ConnectionKind::Recurrent),
            ),
        ],
        points: drawn.collect(),
        front: Some(("Pareto front of the trials".to_owned(), front)),
        landmarks: baseline.into_iter().chain(probe).collect(),
    });
    figure.with_caption(
        "Trials with all adapters and steps, each trained once. No trial is both cheaper and better than one on the front.",
    )
}

fn table(overview: &Overview<'_>, price: &Price, points: &[Point<'_>], front: &[usize]) -> Table {
    let metric = overview.metric();
    let mut caption = format!("{}: the Pareto front, the cheapest first.", price.title);
    if front.len() > MOST_ROWS {
        caption.push_str(&format!(" The first {MOST_ROWS} of {}.", front.len()));
    }
    let words = metric.words_for(overview.problem());
    let columns = ["trial", words, price.column, "connections"];
    let mut table = Table::new(caption, &columns);
    for &index in front.iter().take(MOST_ROWS) {
        let Point { trial, cost, value } = points[index];
        table.row(vec![
            Cell::Number(trial.record.trial.to_string()),
            Cell::Number(unit(metric).show(value)),
            Cell::Number(price.unit.show(cost)),
            Cell::placement(&trial.record.placement),
        ]);
    }
    table
}
