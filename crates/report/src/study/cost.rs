//! What a score costs.

use adaplace_search_space::ConnectionKind;

use super::overview::{Candidate, Overview, Trial};
use crate::axes::{Axis, ChartSize};
use crate::document::{Figure, Section};
use crate::error::ReportError;
use crate::ink::Ink;
use crate::metric::{name, unit};
use crate::numbers::Unit;
use crate::pareto::pareto_front;
use crate::scatter::{Landmark, Point as Dot, Scatter, scatter};
use crate::table::{Cell, Table};

/// A longer front is cut in the table, not in the chart.
const MOST_ROWS: usize = 40;

/// One of the things that a placement costs.
#[derive(Clone, Copy)]
enum Price {
    Parameters,
    ExtraFlops,
}

impl Price {
    fn axis(self) -> Axis {
        match self {
            Self::Parameters => Axis::new("trainable parameters of the adapters", Unit::Count),
            Self::ExtraFlops => Axis::new("extra FLOPs, of the frozen forward", Unit::Share),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Parameters => "number of parameters",
            Self::ExtraFlops => "extra FLOPs",
        }
    }

    /// Why there is no chart.
    fn unknown(self) -> &'static str {
        match self {
            Self::Parameters => "The number of parameters is known when the gradient map is there.",
            Self::ExtraFlops => "Extra FLOPs are known when the search is finished.",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Parameters => "Score and parameters",
            Self::ExtraFlops => "Score and extra FLOPs",
        }
    }

    fn of_trial(self, trial: &Trial<'_>) -> Option<f64> {
        match self {
            Self::Parameters => trial.parameters.map(|count| count as f64),
            Self::ExtraFlops => trial.extra_flops,
        }
    }

    fn of_candidate(self, candidate: &Candidate) -> Option<f64> {
        match self {
            Self::Parameters => candidate.parameters.map(|count| count as f64),
            Self::ExtraFlops => candidate.extra_flops,
        }
    }
}

pub(super) fn section(overview: &Overview<'_>) -> Result<Option<Section>, ReportError> {
    if overview.full().next().is_none() {
        return Ok(None);
    }
    let mut section = Section::new("Score and cost");
    for price in [Price::Parameters, Price::ExtraFlops] {
        let points: Vec<Point<'_>> = overview
            .full()
            .filter_map(|(trial, score)| {
                let cost = price.of_trial(trial)?;
                let value = overview.metric().value(score);
                Some(Point { trial, cost, value })
            })
            .collect();
        match points.first() {
            None => section.paragraph(price.unknown()),
            Some(first) if points.iter().all(|point| point.cost == first.cost) => {
                section.paragraph(&format!(
                    "All these placements have the same {}: {}.",
                    price.name(),
                    price.axis().unit.show(first.cost)
                ));
            }
            Some(_) => {
                let merits: Vec<(f64, f64)> = points
                    .iter()
                    .map(|point| (point.cost, overview.metric().signed(point.value)))
                    .collect();
                let front = pareto_front(&merits);
                let table = table(overview, price, &points, &front);
                section.beside(&[chart(overview, price, &points, front)?], &table);
            }
        }
    }
    Ok(Some(section))
}

/// A trial at its price.
struct Point<'a> {
    trial: &'a Trial<'a>,
    cost: f64,
    value: f64,
}

fn chart(
    overview: &Overview<'_>,
    price: Price,
    points: &[Point<'_>],
    front: Vec<usize>,
) -> Result<Figure, ReportError> {
    let metric = overview.metric();
    let axis = price.axis();
    let cost_unit = axis.unit;
    let drawn = points.iter().map(|point| Dot {
        x: point.cost,
        y: point.value,
        group: usize::from(point.trial.record.placement.passes() > 1),
        label: format!(
            "{}; {}",
            point.trial.label(metric),
            cost_unit.show(point.cost)
        ),
    });
    let baseline = overview.baseline.as_ref().and_then(|baseline| {
        let value = baseline.value?;
        Some(Landmark {
            name: "parallel at every sublayer, ± standard error".to_owned(),
            ink: Ink::Orange,
            x: price.of_candidate(baseline)?,
            y: value.mean,
            error: value.standard_error,
        })
    });
    let probe = overview.probe_value().map(|value| Landmark {
        name: "linear probe".to_owned(),
        ink: Ink::Text,
        x: 0.0,
        y: value,
        error: None,
    });
    let figure = scatter(&Scatter {
        title: price.title(),
        size: ChartSize::Half,
        x: axis,
        y: Axis::new(name(metric), unit(metric)),
        groups: vec![
            ("one pass".to_owned(), Ink::Blue),
            (
                "two passes (recurrent)".to_owned(),
                Ink::of_kind(ConnectionKind::Recurrent),
            ),
        ],
        points: drawn.collect(),
        front: Some(("Pareto front of the trials".to_owned(), front)),
        landmarks: baseline.into_iter().chain(probe).collect(),
    })?;
    Ok(figure.with_caption(
        "Trials with all adapters and steps, each trained once. No trial is both cheaper and better than one on the front.",
    ))
}

fn table(overview: &Overview<'_>, price: Price, points: &[Point<'_>], front: &[usize]) -> Table {
    let metric = overview.metric();
    let mut caption = format!("{}: the Pareto front, the cheapest first.", price.title());
    if front.len() > MOST_ROWS {
        caption.push_str(&format!(" The first {MOST_ROWS} of {}.", front.len()));
    }
    let score = metric.words();
    let cost = match price {
        Price::Parameters => "parameters",
        Price::ExtraFlops => "extra FLOPs",
    };
    let columns = ["trial", score, cost, "connections"];
    let mut table = Table::new(caption, &columns);
    for &index in front.iter().take(MOST_ROWS) {
        let Point { trial, cost, value } = points[index];
        table.row(vec![
            Cell::Number(trial.record.trial.to_string()),
            Cell::Number(unit(metric).show(value)),
            Cell::Number(price.axis().unit.show(cost)),
            Cell::placement(&trial.record.placement),
        ]);
    }
    table
}
