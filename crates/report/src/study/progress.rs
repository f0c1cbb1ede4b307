//! The progress of the search over its optimiser steps.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use adaplace_analysis::wilson_interval;
use adaplace_study::{Metric, Record};

use super::overview::{Overview, repetitions};
use crate::axes::Axis;
use crate::curves::{Curves, Outcomes, Reference, Series, curves};
use crate::document::Section;
use crate::dots::Dots;
use crate::ink::Ink;
use crate::legend::Key;
use crate::metric::unit;
use crate::numbers::Unit;
use crate::thinning::best_so_far;

pub(super) fn section(overview: &Overview<'_>) -> Option<Section> {
    let courses = courses(overview);
    if courses.is_empty() {
        return None;
    }
    let metric = overview.metric();
    let examples = match metric {
        Metric::Accuracy => overview.probe.map(|probe| probe.validation.examples),
        _ => None,
    };
    // These omit the colours of finalists and baseline.
    let mut inks = [Ink::Blue, Ink::Violet, Ink::Brown, Ink::Pink]
        .into_iter()
        .cycle();
    let mut series = Vec::new();
    let mut trials = Vec::new();
    for (course, values) in &courses {
        trials.extend(values);
        let points = best_so_far(metric, values.iter().copied());
        let interval =
            |&(_, value): &(f64, f64)| examples.map(|count| wilson_interval(value, count));
        let band = match series.is_empty() {
            true => points.iter().map(interval).collect(),
            false => None,
        };
        let name = match courses.len() {
            1 => "best so far".to_owned(),
            _ => course.name(overview),
        };
        series.push(Series {
            key: Key::new(name, inks.next().unwrap_or(Ink::Muted)),
            points,
            band,
        });
    }
    let chart = Curves {
        title: "The best so far",
        x: Axis::new("optimiser steps of all trials so far", Unit::Count),
        y: Axis::new(overview.metric_name(), unit(metric)),
        series,
        references: references(overview),
        outcomes: outcomes(overview),
        dots: Some(Dots {
            key: Key::new("every trial", Ink::Muted),
            points: trials,
        }),
    };
    let mut figure = curves(&chart);
    if let Some(count) = examples {
        figure = figure.with_caption(&format!(
            "Band: 95 % interval of an accuracy measured on {count} validation examples (Wilson). It does not make up for \
             choosing the best of many; the repetitions of the finalists do."
        ));
    }
    if !overview.candidates.is_empty() && overview.is_finished() {
        figure = figure.with_caption(
            "To the right of the curve are the finalists, trained again with other seeds, best first.",
        );
    }
    if courses.keys().any(|course| course.fewer_adapters) {
        figure = figure.with_caption(
            "Placements with fewer adapters than required are intermediate steps and never finalists.",
        );
    }
    Some(Section::new("Progress of the search", &figure))
}

/// Trials that can be compared with each other; complete ones with the most steps come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Course {
    fewer_adapters: bool,
    steps: Reverse<u32>,
}

impl Course {
    fn of(overview: &Overview<'_>, record: &Record) -> Self {
        Self {
            fewer_adapters: !overview.study.is_complete(&record.placement),
            steps: Reverse(record.steps.steps()),
        }
    }

    fn name(self, overview: &Overview<'_>) -> String {
        let fewer = if self.fewer_adapters {
            ", fewer adapters"
        } else {
            ""
        };
        let steps = self.steps.0;
        match overview.study.configuration.search.halving {
            Some(_) if steps == 1 => format!("best so far, 1 step{fewer}"),
            Some(_) => format!("best so far, {steps} steps{fewer}"),
            None => format!("best so far{fewer}"),
        }
    }
}

/// For every course, the steps spent on all trials so far and the best value, in order of time.
fn courses(overview: &Overview<'_>) -> BTreeMap<Course, Vec<(f64, f64)>> {
    let metric = overview.metric();
    let mut courses: BTreeMap<Course, Vec<(f64, f64)>> = BTreeMap::new();
    let mut spent = 0.0;
    for record in overview.in_order() {
        spent += f64::from(record.steps.steps());
        if let Some(score) = record.result.score() {
            let course = courses.entry(Course::of(overview, record)).or_default();
            course.push((spent, metric.value(score)));
        }
    }
    courses
}

fn references(overview: &Overview<'_>) -> Vec<Reference> {
    let baseline = overview.baseline.as_ref();
    let baseline = baseline.and_then(|baseline| baseline.value);
    let baseline = baseline.map(|estimate| Reference {
        key: Key::new("parallel at every sublayer, ± standard error", Ink::Orange),
        value: estimate.mean,
        error: estimate.standard_error,
    });
    let probe = overview.probe_value().map(|value| Reference {
        key: Key::new(overview.problem().start(), Ink::Text),
        value,
        error: None,
    });
    baseline.into_iter().chain(probe).collect()
}

/// The repetitions of the finalists.
fn outcomes(overview: &Overview<'_>) -> Option<Outcomes> {
    if !overview.is_finished() {
        return None;
    }
    let metric = overview.metric();
    let values = overview.candidates.iter().filter_map(|candidate| {
        let estimate = candidate.value?;
        let connections = crate::numbers::connections(&candidate.placement);
        let label = format!("{connections}: {}", unit(metric).estimate(Some(estimate)));
        Some((label, estimate.mean, estimate.standard_error))
    });
    let count = overview.study.configuration.search.repetitions;
    Some(Outcomes {
        key: Key::new(
            format!("finalists, {}", repetitions(count.get())),
            Ink::Green,
        ),
        values: values.collect(),
    })
}
