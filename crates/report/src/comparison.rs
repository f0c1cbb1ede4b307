//! The report of a comparison.

use std::path::Path;

use adaplace_analysis::Measured;
use adaplace_analysis::{FEWEST_PAIRS, bootstrap};
use adaplace_experiments::{Comparison, ComparisonConfiguration, SeedResult, StoredComparison};
use adaplace_study::{Metric, StudyError};
use maud::{Markup, html};

use crate::arcs::arcs;
use crate::axes::{Axis, ChartSize};
use crate::configuration;
use crate::curves::{Curves, Series, curves};
use crate::document::{Document, Section, fact};
use crate::figure::{Figure, row};
use crate::ink::Ink;
use crate::legend::Key;
use crate::metric::{bare, difference, name, unit};
use crate::numbers::{Unit, connections, duration, grouped, measured, p_value, percent};
use crate::so_far;
use crate::table::{Cell, Table};

/// The largest number of placements that are drawn.
const MOST_DRAWN: usize = 8;

/// The largest number of adapters of a placement that is drawn. The arcs of adapters everywhere are not informative.
const MOST_ADAPTERS: usize = 10;

/// The report of the comparison in `folder`, finished or not, as the text of an HTML file.
///
/// The report of an unfinished comparison shows the content of its journals, which another process may be writing.
///
/// # Errors
/// If there is no comparison, or if one of its files is damaged; the message names it.
pub fn comparison_report(folder: &Path) -> Result<String, StudyError> {
    let stored = StoredComparison::read(folder)?;
    Ok(match &stored.comparison {
        Some(comparison) => finished(&stored, comparison),
        None => so_far::page(&stored),
    })
}

fn finished(stored: &StoredComparison, comparison: &Comparison) -> String {
    let configuration = &stored.configuration;
    let settings = &configuration.comparison;
    let judged = match settings.replayed {
        true => "the mean validation accuracy of a placement bench".to_owned(),
        false => heading(comparison.judged_by()),
    };
    let lead = format!(
        "{} competitors with {} seeds and {} steps of search each, judged by {judged}.",
        comparison.competitors.len(),
        settings.seeds,
        grouped(settings.budget_steps)
    );
    let sections = [
        Some(result(configuration, comparison)),
        progress(configuration, comparison),
        Some(placements(comparison)),
        Some(configuration::section(configuration)),
    ];
    let document = Document {
        command: "compare",
        title: &stored.name,
        lead,
        facts: facts(comparison),
        sections: sections.into_iter().flatten().collect(),
    };
    document.html()
}

/// The best three competitors.
fn facts(comparison: &Comparison) -> Vec<Markup> {
    let best = comparison.competitors.iter().take(3);
    let judged_by = comparison.judged_by();
    best.map(|competed| {
        let mean = competed.test_headline;
        let value = mean.map_or_else(failed, |mean| unit(judged_by).show(mean.value));
        fact(&competed.name, value, interval(mean, judged_by))
    })
    .collect()
}

/// Notes on the columns `search cost` and `p`, and on trials whose learning rate does not suit.
#[must_use]
pub fn comparison_notes(
    configuration: &ComparisonConfiguration,
    comparison: &Comparison,
) -> Vec<String> {
    let settings = &configuration.comparison;
    let mut notes = Vec::new();
    if settings.replayed {
        notes.push(
            "search cost: in trainings as long as a trial; a replay measures no time".to_owned(),
        );
    } else if let Some(seconds) = comparison.everywhere_seconds {
        notes.push(format!(
            "search cost: trainings, gradient maps and judgements; the unit is one final training of parallel-everywhere \
             with one learning rate ({})",
            duration(seconds)
        ));
    }
    let compared = comparison.competitors.iter();
    let mut compared = compared.filter(|competed| competed.against_random.is_some());
    if compared.any(|competed| competed.p_value().is_none()) {
        notes.push(format!(
            "p: from {FEWEST_PAIRS} seeds on; with fewer it cannot fall below 0.05"
        ));
    }
    let of_trials = configuration.training.adapter_learning_rate.get();
    notes.extend(other_rate(of_trials, comparison));
    notes
}

/// A note if most final trainings of placements that were searched for chose one other learning rate than that of the
/// trials, which then say less about them.
fn other_rate(of_trials: f64, comparison: &Comparison) -> Option<String> {
    let seeds = comparison.competitors.iter().flat_map(|one| &one.seeds);
    let searched = seeds.filter(|seed| seed.steps > 0);
    let finals = searched.flat_map(|seed| &seed.finals);
    let mut rates: Vec<f64> = finals
        .filter(|one| one.candidates.len() > 1)
        .filter_map(|one| one.learning_rate)
        .collect();
    rates.sort_by(f64::total_cmp);
    let most = rates
        .chunk_by(|a, b| a == b)
        .max_by_key(|same| same.len())?;
    let (rate, count, all) = (most[0], most.len(), rates.len());
    (rate != of_trials && 2 * count > all).then(|| {
        format!(
            "learning rate: {count} of {all} final trainings of searched placements chose {rate}, but trials had \
             {of_trials}; `--learning-rate {rate}` would let trials say more about them"
        )
    })
}

fn result(configuration: &ComparisonConfiguration, comparison: &Comparison) -> Section {
    let settings = &configuration.comparison;
    let judged_by = comparison.judged_by();
    let (bare, difference) = (bare(judged_by), difference(judged_by));
    let tested = format!("test {}", judged_by.words());
    let in_points = match judged_by.is_share() {
        true => ", in points",
        false => "",
    };
    let caption = format!(
        "Means over the seeds with their 95 % bootstrap intervals. Differences to random are paired by seed{in_points}, \
         with the p-value of the exact Wilcoxon signed-rank test."
    );
    let mut table = Table::new(
        caption,
        &[
            "",
            &tested,
            "loss",
            "to random",
            "p",
            "parameters",
            "extra FLOPs",
            "steps of search",
            "search cost",
        ],
    );
    for competed in &comparison.competitors {
        let mean = |value: fn(&SeedResult) -> f64| {
            competed.seeds.iter().map(value).sum::<f64>() / competed.seeds.len().max(1) as f64
        };
        let against = competed.against_random;
        table.row(vec![
            Cell::Text(competed.name.clone()),
            Cell::Number(
                competed
                    .test_headline
                    .map_or_else(failed, |mean| measured(mean, bare)),
            ),
            Cell::Number(
                competed
                    .test_loss
                    .map_or_else(failed, |loss| format!("{:.3}", loss.value)),
            ),
            Cell::Number(
                against.map_or_else(String::new, |against| measured(against.mean, difference)),
            ),
            Cell::Number(against.map_or_else(String::new, |_| p_value(competed.p_value()))),
            Cell::Number(grouped(
                mean(|result| result.cost.parameters as f64).round() as u64,
            )),
            Cell::Number(percent(mean(|result| result.cost.extra_flops))),
            Cell::Number(grouped(mean(|result| result.steps as f64).round() as u64)),
            Cell::Number(
                comparison
                    .search_cost(competed, settings)
                    .map_or_else(String::new, |cost| format!("{cost:.2}")),
            ),
        ]);
    }
    let body = html! {
        (table)
        @for note in comparison_notes(configuration, comparison) { p { (note) "." } }
    };
    Section::new("Result", body)
}

/// The best value so far, averaged over the seeds.
fn progress(configuration: &ComparisonConfiguration, comparison: &Comparison) -> Option<Section> {
    let seed = configuration.comparison.seed.get();
    let mut inks = Ink::SERIES.into_iter().cycle();
    let series: Vec<Series> = comparison
        .competitors
        .iter()
        .filter(|competed| competed.seeds.iter().all(|result| !result.curve.is_empty()))
        .map(|competed| {
            let (points, band) = mean_curve(&competed.seeds, seed);
            Series {
                key: Key::new(&competed.name, inks.next().unwrap_or(Ink::Muted)),
                points,
                band: Some(band),
            }
        })
        .collect();
    if series.is_empty() {
        return None;
    }
    let chart = Curves {
        title: "The best so far, mean over the seeds",
        x: Axis::new("optimiser steps of a strategy's trials so far", Unit::Count),
        y: Axis::new(
            name(comparison.metric, comparison.problem()),
            unit(comparison.metric),
        ),
        series,
        references: Vec::new(),
        outcomes: None,
        dots: None,
    };
    let figure = curves(&chart).with_caption(
        "Bands: 95 % bootstrap intervals of the mean. The best of many noisy trials looks better than it is; the final \
         trainings above do not have this bias.",
    );
    Some(Section::new("Progress of the searches", &figure))
}

/// Points of a curve, or the two ends of a band at each of them.
type Pairs = Vec<(f64, f64)>;

/// The mean of the step functions of all seeds with its interval, at every step from where all have a value.
fn mean_curve(seeds: &[SeedResult], seed: u64) -> (Pairs, Pairs) {
    let starts = seeds.iter().filter_map(|result| result.curve.first());
    let begin = starts.map(|first| first.steps).max().unwrap_or(0);
    let mut places: Vec<u64> = seeds
        .iter()
        .flat_map(|result| result.curve.iter().map(|point| point.steps))
        .filter(|&steps| steps >= begin)
        .collect();
    // The last value holds to the end of the budget.
    places.extend(seeds.iter().map(|result| result.steps));
    places.sort_unstable();
    places.dedup();
    let points = places.into_iter().map(|steps| {
        let values: Vec<f64> = seeds
            .iter()
            .filter_map(|result| {
                let reached = result.curve.iter().rev().find(|point| point.steps <= steps);
                reached.map(|point| point.value)
            })
            .collect();
        let mean = |drawn: &[usize]| {
            let sum: f64 = drawn.iter().map(|&index| values[index]).sum();
            sum / drawn.len().max(1) as f64
        };
        let whole: Vec<usize> = (0..values.len()).collect();
        let middle = mean(&whole);
        let bounds = bootstrap(values.len(), seed, |drawn| Some(mean(drawn)));
        let band = bounds.map_or((middle, middle), |bounds| (bounds.low, bounds.high));
        ((steps as f64, middle), band)
    });
    points.unzip()
}

/// The placement of each competitor from the seed with the best final training.
fn placements(comparison: &Comparison) -> Section {
    let judged_by = comparison.judged_by();
    let show = |result: &SeedResult| {
        let value = result.test_headline();
        value.map_or_else(failed, |value| unit(judged_by).show(value))
    };
    let value = |result: &SeedResult| result.test_headline().unwrap_or(f64::NEG_INFINITY);
    let best = |a: &&SeedResult, b: &&SeedResult| {
        let order = value(a).total_cmp(&value(b));
        order.then(b.seed.cmp(&a.seed))
    };
    let figures: Vec<Figure> = comparison
        .competitors
        .iter()
        .filter_map(|competed| Some((&competed.name, competed.seeds.iter().max_by(best)?)))
        .filter(|(_, result)| (1..=MOST_ADAPTERS).contains(&result.placement.len()))
        .take(MOST_DRAWN)
        .map(|(name, result)| {
            let value = show(result);
            let (placement, seed) = (&result.placement, result.seed);
            let title = format!("{name}: {value}, {}, seed {seed}", connections(placement));
            arcs(placement, comparison.hidden_states, ChartSize::Half, &title)
        })
        .collect();
    let tested = format!("test {}", judged_by.words());
    let mut table = Table::new(
        "Every seed.",
        &["", "seed", &tested, "learning rate", "connections"],
    );
    for competed in &comparison.competitors {
        for result in &competed.seeds {
            let mut rates: Vec<f64> = result
                .finals
                .iter()
                .filter_map(|last| last.learning_rate)
                .collect();
            rates.sort_by(f64::total_cmp);
            rates.dedup();
            let rates: Vec<String> = rates.iter().map(f64::to_string).collect();
            table.row(vec![
                Cell::Text(competed.name.clone()),
                Cell::Number(result.seed.to_string()),
                Cell::Number(show(result)),
                Cell::Number(rates.join(", ")),
                Cell::placement(&result.placement),
            ]);
        }
    }
    let body = html! {
        @if !figures.is_empty() {
            p {
                "The placement of each competitor from the seed with the best final trainings: the luckiest, not the \
                 typical one."
            }
            (row(&figures, None))
        }
        (table)
    };
    Section::new("Chosen placements", body)
}

fn interval(mean: Option<Measured>, of: Metric) -> String {
    let (bounds, bare) = (mean.and_then(|mean| mean.low.zip(mean.high)), bare(of));
    bounds.map_or_else(String::new, |(low, high)| {
        format!("95 % interval {} to {}", bare(low), bare(high))
    })
}

/// What a column of the metric is called: `accuracy, %`.
#[must_use]
pub fn heading(metric: Metric) -> String {
    match metric.is_share() {
        true => format!("{}, %", metric.words()),
        false => metric.words().to_owned(),
    }
}

fn failed() -> String {
    "failed".to_owned()
}

#[cfg(test)]
mod tests {
    use adaplace_experiments::{Candidate, Competed, Final, Improvement};
    use adaplace_scorer::{Evaluation, Measures, Score};
    use adaplace_search_space::{Cost, Placement};

    use super::*;

    fn seed(steps: u64, curve: &[(u64, f64)]) -> SeedResult {
        SeedResult {
            seed: 1,
            placement: Placement::new(),
            cost: Cost {
                adapters: 0,
                parameters: 0,
                extra_flops: 0.0,
            },
            steps,
            seconds: None,
            curve: curve
                .iter()
                .map(|&(steps, value)| Improvement { steps, value })
                .collect(),
            finals: Vec::new(),
        }
    }

    /// Two of three final trainings that chose among rates took 0.003. Those of a baseline do not count.
    #[test]
    fn the_rate_that_final_trainings_choose_is_compared_with_that_of_trials() {
        let candidate = |learning_rate| Candidate {
            learning_rate,
            score: Some(Score {
                train_loss: 0.5,
                validation_loss: 0.5,
                measures: Measures::of_accuracy(0.5),
            }),
        };
        let last = |rate: f64| Final {
            candidates: vec![candidate(0.003), candidate(0.01)],
            learning_rate: Some(rate),
            test: Evaluation {
                loss: 0.5,
                measures: Measures::of_accuracy(0.5),
                examples: 4,
            },
        };
        let with = |steps, rates: &[f64]| SeedResult {
            finals: rates.iter().map(|&rate| last(rate)).collect(),
            ..seed(steps, &[])
        };
        let compared = |seeds: Vec<SeedResult>| Comparison {
            format: String::new(),
            metric: Metric::Accuracy,
            budget_steps: 64,
            hidden_states: 13,
            everywhere_seconds: None,
            competitors: vec![Competed {
                name: "greedy".to_owned(),
                seeds,
                test_headline: None,
                test_loss: None,
                against_random: None,
            }],
        };
        let searched = compared(vec![with(64, &[0.003, 0.003]), with(64, &[0.01])]);
        let note = other_rate(0.01, &searched).unwrap();
        assert!(note.contains("2 of 3") && note.contains("`--learning-rate 0.003`"));
        assert_eq!(other_rate(0.003, &searched), None);
        let fixed = compared(vec![with(0, &[0.003, 0.003])]);
        assert_eq!(other_rate(0.01, &fixed), None);
    }

    /// One steps at 2 and 8, the other at 4: from 4 on both have a value, and the last one holds to the end.
    #[test]
    fn means_of_step_functions_by_hand() {
        let seeds = [seed(10, &[(2, 0.2), (8, 0.6)]), seed(10, &[(4, 0.4)])];
        let (points, band) = mean_curve(&seeds, 0);
        assert_eq!(points.len(), 3);
        for ((x, y), (steps, mean)) in points.iter().zip([(4.0, 0.3), (8.0, 0.5), (10.0, 0.5)]) {
            assert!(*x == steps && (y - mean).abs() < 1e-12);
        }
        for ((low, high), (_, mean)) in band.iter().zip(&points) {
            assert!(low <= mean && mean <= high);
        }
    }
}
