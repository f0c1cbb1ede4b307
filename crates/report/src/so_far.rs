//! The report of an unfinished comparison.

use adaplace_experiments::{FinalResult, StoredComparison};
use adaplace_scorer::Score;
use adaplace_study::{Metric, Phase, Record};
use adaplace_task::ProblemKind;
use maud::Markup;

use crate::axes::Axis;
use crate::configuration;
use crate::curves::{Curves, Series, curves};
use crate::document::{Document, Section, fact};
use crate::dots::Dots;
use crate::ink::Ink;
use crate::legend::Key;
use crate::metric::{name, unit};
use crate::numbers::{Unit, connections, grouped};
use crate::table::{Cell, Table};
use crate::thinning::best_so_far;

/// The largest number of rows. The journal holds all of them.
const MOST_ROWS: usize = 50;

/// The largest number of curves that can be distinguished.
const MOST_CURVES: u32 = Ink::SERIES.len() as u32;

/// The page of the trainings so far. It does not assign them to competitors, which share trainings and are known only
/// at the end.
pub(crate) fn page(stored: &StoredComparison) -> String {
    let StoredComparison {
        name,
        configuration,
        trials,
        finals,
        ..
    } = stored;
    let settings = &configuration.comparison;
    let lead = format!(
        "Unfinished: up to {} competitors with {} seeds and {} steps of search each. Run the same command again to resume it.",
        configuration.competitors().len(),
        settings.seeds,
        grouped(settings.budget_steps)
    );
    let ranked = ranked(settings.metric, trials);
    let mut sections = Vec::new();
    if !ranked.is_empty() {
        sections.push(progress(stored));
        sections.push(best_trials(stored, &ranked));
    }
    if !finals.is_empty() {
        sections.push(final_trainings(stored));
    }
    sections.push(configuration::section(configuration));
    let document = Document {
        command: "compare",
        title: name,
        lead,
        facts: facts(stored, &ranked),
        sections,
    };
    document.html()
}

fn of_searches(trials: &[Record]) -> impl Iterator<Item = &Record> {
    trials.iter().filter(|record| record.phase == Phase::Search)
}

/// The trials with a score, best first. The trainings of races are excluded, as a search chose their placements.
fn ranked(metric: Metric, trials: &[Record]) -> Vec<(&Record, &Score)> {
    let scored = of_searches(trials).filter_map(|record| {
        let score = record.result.score()?;
        Some((record, score))
    });
    let mut ranked: Vec<_> = scored.collect();
    let value = |score: &Score| metric.signed(metric.value(score));
    ranked.sort_by(|(_, a), (_, b)| value(b).total_cmp(&value(a)));
    ranked
}

fn facts(stored: &StoredComparison, ranked: &[(&Record, &Score)]) -> Vec<Markup> {
    let metric = stored.configuration.comparison.metric;
    let (trials, finals) = (of_searches(&stored.trials).count(), &stored.finals);
    let failed = match trials - ranked.len() {
        0 => String::new(),
        failed => format!("{} failed", grouped(failed as u64)),
    };
    let finals = grouped(finals.len() as u64);
    let mut facts = vec![
        fact("trials so far", grouped(trials as u64), failed),
        fact(
            "final trainings so far",
            finals,
            "they start when all searches are finished",
        ),
    ];
    if let Some((record, score)) = ranked.first() {
        let value = unit(metric).show(metric.value(score));
        let best = format!("best {}", name(metric, score.measures.problem()));
        facts.push(fact(best, value, connections(&record.placement)));
    }
    facts
}

/// The kind of problem that the task is.
fn problem(stored: &StoredComparison) -> ProblemKind {
    let mut scores = stored.trials.iter().filter_map(|one| one.result.score());
    let first = scores.next().map(|score| score.measures.problem());
    first.unwrap_or(ProblemKind::Classification)
}

fn progress(stored: &StoredComparison) -> Section {
    let settings = &stored.configuration.comparison;
    let metric = settings.metric;
    let mut dots = Vec::new();
    let mut series = Vec::new();
    for (seed, ink) in (1..=settings.seeds).zip(Ink::SERIES) {
        let mut spent = 0.0;
        let mut values = Vec::new();
        for record in of_searches(&stored.trials).filter(|one| one.repetition == seed) {
            spent += f64::from(record.steps.steps());
            let score = record.result.score();
            values.extend(score.map(|score| (spent, metric.value(score))));
        }
        dots.extend(&values);
        let points = best_so_far(metric, values);
        if !points.is_empty() {
            series.push(Series {
                key: Key::new(format!("seed {seed}"), ink),
                points,
                band: None,
            });
        }
    }
    let chart = Curves {
        title: "The best so far, over all competitors",
        x: Axis::new(
            "optimiser steps of all trials of a seed so far",
            Unit::Count,
        ),
        y: Axis::new(name(metric, problem(stored)), unit(metric)),
        series,
        references: Vec::new(),
        outcomes: None,
        dots: Some(Dots {
            key: Key::new("every trial", Ink::Muted),
            points: dots,
        }),
    };
    let mut figure = curves(&chart);
    if settings.seeds > MOST_CURVES {
        figure = figure.with_caption(&format!("The first {MOST_CURVES} seeds."));
    }
    Section::new("Progress of the searches", &figure)
}

fn best_trials(stored: &StoredComparison, ranked: &[(&Record, &Score)]) -> Section {
    let mut caption = format!(
        "By {}",
        name(stored.configuration.comparison.metric, problem(stored))
    );
    if ranked.len() > MOST_ROWS {
        caption.push_str(&format!(
            "; the first {MOST_ROWS} of {}. All are in journal.jsonl",
            grouped(ranked.len() as u64)
        ));
    }
    caption.push('.');
    let headline = Metric::headline(problem(stored));
    let columns = [headline.words(), "loss", "seed", "steps", "connections"];
    let mut table = Table::new(caption, &columns);
    for (record, score) in ranked.iter().take(MOST_ROWS) {
        table.row(vec![
            Cell::Number(unit(headline).show(score.measures.headline())),
            Cell::Number(format!("{:.4}", score.validation_loss)),
            Cell::Number(record.repetition.to_string()),
            Cell::Number(record.steps.to_string()),
            Cell::placement(&record.placement),
        ]);
    }
    Section::new("The best trials so far", &table)
}

fn final_trainings(stored: &StoredComparison) -> Section {
    let headline = Metric::headline(problem(stored));
    let judged = format!("test {}", headline.words());
    let columns = ["seed", &judged, "learning rate", "connections"];
    let mut table = Table::new("In chronological order.", &columns);
    for record in &stored.finals {
        let (accuracy, rate) = match &record.result {
            FinalResult::Final(done) => (
                unit(headline).show(done.test.measures.headline()),
                done.learning_rate.map(|rate| rate.to_string()),
            ),
            FinalResult::Failed(_) => ("failed".to_owned(), None),
        };
        table.row(vec![
            Cell::Number(record.repetition.to_string()),
            Cell::Number(accuracy),
            Cell::Number(rate.unwrap_or_default()),
            Cell::placement(&record.placement),
        ]);
    }
    Section::new("Final trainings so far", &table)
}
