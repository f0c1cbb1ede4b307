//! The best placements.

use super::overview::{Candidate, Overview, repetitions};
use crate::arcs::{arcs, kinds_legend};
use crate::axes::ChartSize;
use crate::document::Section;
use crate::metric::{name, unit};
use crate::numbers::{Unit, connections, grouped, percent};
use crate::table::{Cell, Table};

/// More are in the table alone.
const MOST_DRAWN: usize = 7;

pub(super) fn section(overview: &Overview<'_>) -> Option<Section> {
    let best = overview.candidates.first()?;
    let metric = overview.metric();
    let states = overview.study.hidden_states();
    let mut section = Section::new(match overview.is_finished() {
        true => "The best placements",
        false => "The best placements so far",
    });
    let title = |place: usize, candidate: &Candidate| {
        let value = unit(metric).estimate(candidate.value(metric));
        let connections = connections(&candidate.placement);
        format!("{place}. {connections}: {value}")
    };
    let figure = arcs(&best.placement, states, ChartSize::Wide, &title(1, best))
        .with_legend(kinds_legend([&best.placement]))
        .with_caption(
            "The chain of hidden states, from the embedding (0) to the last one; A: attention, M: MLP. An arc reads the \
             state where it starts and adds to the state at its arrow.",
        );
    section.figure(&match best.placement.passes() {
        1 => figure,
        _ => figure.with_caption(
            "A recurrent connection makes the model run a second time, from its target on.",
        ),
    });
    let others: Vec<_> = overview
        .candidates
        .iter()
        .enumerate()
        .take(MOST_DRAWN)
        .skip(1)
        .map(|(index, candidate)| {
            let title = title(index + 1, candidate);
            arcs(&candidate.placement, states, ChartSize::Half, &title)
                .with_legend(kinds_legend([&candidate.placement]))
        })
        .collect();
    if !others.is_empty() {
        section.figures(&others);
    }
    section.table(&table(overview));
    Some(section)
}

fn table(overview: &Overview<'_>) -> Table {
    let search = &overview.study.configuration.search;
    let caption = match overview.is_finished() {
        true => format!(
            "The best by {} in the search, trained again with {} steps and other seeds: {}.",
            name(search.metric),
            search.steps,
            repetitions(search.repetitions)
        ),
        false => "The best trials of the search so far, each trained once; finalists are trained again when the search \
                  is finished."
            .to_owned(),
    };
    let columns = [
        "",
        "accuracy",
        "loss",
        "parameters",
        "extra FLOPs",
        "connections",
    ];
    let mut table = Table::new(caption, &columns);
    let row = |name: String, candidate: &Candidate| {
        vec![
            Cell::Text(name),
            Cell::Number(Unit::Share.estimate(candidate.accuracy)),
            Cell::Number(Unit::Number.estimate(candidate.loss)),
            Cell::Number(candidate.parameters.map_or_else(unknown, grouped)),
            Cell::Number(candidate.extra_flops.map_or_else(unknown, percent)),
            Cell::placement(&candidate.placement),
        ]
    };
    for (index, candidate) in overview.candidates.iter().enumerate() {
        table.row(row((index + 1).to_string(), candidate));
    }
    if let Some(baseline) = &overview.baseline {
        table.row(row("parallel at every sublayer".to_owned(), baseline));
    }
    if let Some(probe) = overview.probe {
        table.row(vec![
            Cell::Text("linear probe".to_owned()),
            Cell::Number(percent(probe.validation.accuracy)),
            Cell::Number(format!("{:.3}", probe.validation.loss)),
            Cell::Number("0".to_owned()),
            Cell::Number(percent(0.0)),
            Cell::Text(String::new()),
        ]);
    }
    table
}

pub(super) fn unknown() -> String {
    "unknown".to_owned()
}
