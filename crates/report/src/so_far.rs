//! The report of a comparison that is unfinished.

use adaplace_experiments::{FinalRecord, FinalResult, StoredComparison};
use adaplace_scorer::Score;
use adaplace_study::{Metric, Phase, Record};

use crate::axes::{Axis, ChartSize};
use crate::configuration;
use crate::curves::{Curves, Series, Shape, curves};
use crate::document::{Document, Fact, Section};
use crate::dots::Dots;
use crate::error::ReportError;
use crate::ink::Ink;
use crate::metric::{name, unit};
use crate::numbers::{Unit, connections, grouped, percent};
use crate::table::{Cell, Table};
use crate::thinning::best_so_far;

/// More rows are read by nobody; the journal holds them all.
const MOST_ROWS: usize = 50;

/// More curves cannot be told apart.
const MOST_CURVES: u32 = Ink::SERIES.len() as u32;

/// Which competitor wanted a training is known only when all have run: a training is shared by all who want it.
pub(crate) fn page(stored: &StoredComparison) -> Result<String, ReportError> {
    let StoredComparison {
        name,
        configuration,
        trials,
        finals,
        ..
    } = stored;
    let settings = &configuration.comparison;
    let lead = format!(
        "Unfinished: up to {} competitors with {} seeds and {} steps of search each. The same command goes on with it.",
        configuration.competitors().len(),
        settings.seeds,
        grouped(settings.budget_steps)
    );
    let ranked = ranked(settings.metric, trials);
    let mut document = Document::new(name, &lead, "compare");
    document.facts(&facts(stored, &ranked));
    if !ranked.is_empty() {
        document.section(progress(stored)?);
        document.section(best_trials(stored, &ranked));
    }
    if !finals.is_empty() {
        document.section(final_trainings(finals));
    }
    document.section(configuration::section(configuration));
    Ok(document.finish())
}

fn of_searches(trials: &[Record]) -> impl Iterator<Item = &Record> {
    trials.iter().filter(|record| record.phase == Phase::Search)
}

/// The trials that gave a score, best first; those of a race are of those that a search chose.
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

fn facts(stored: &StoredComparison, ranked: &[(&Record, &Score)]) -> Vec<Fact> {
    let metric = stored.configuration.comparison.metric;
    let (trials, finals) = (of_searches(&stored.trials).count(), &stored.finals);
    let failed = match trials - ranked.len() {
        0 => String::new(),
        failed => format!("{} failed", grouped(failed as u64)),
    };
    let mut facts = vec![
        Fact {
            name: "trials so far".to_owned(),
            value: grouped(trials as u64),
            note: failed,
        },
        Fact {
            name: "final trainings so far".to_owned(),
            value: grouped(finals.len() as u64),
            note: "they begin when all searches have ended".to_owned(),
        },
    ];
    if let Some((record, score)) = ranked.first() {
        facts.push(Fact {
            name: format!("best {}", name(metric)),
            value: unit(metric).show(metric.value(score)),
            note: connections(&record.placement),
        });
    }
    facts
}

fn progress(stored: &StoredComparison) -> Result<Section, ReportError> {
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
        let points = best_so_far(values, |a, b| metric.signed(a) > metric.signed(b));
        if !points.is_empty() {
            series.push(Series {
                name: format!("seed {seed}"),
                ink,
                shape: Shape::Steps,
                points,
                band: None,
            });
        }
    }
    let chart = Curves {
        title: "The best so far, of all competitors together",
        size: ChartSize::Wide,
        x: Axis::new(
            "optimiser steps of all trials of a seed so far",
            Unit::Count,
        ),
        y: Axis::new(name(metric), unit(metric)),
        series,
        references: Vec::new(),
        outcomes: None,
        dots: Some(Dots {
            name: "every trial".to_owned(),
            ink: Ink::Muted,
            points: dots,
        }),
    };
    let mut figure = curves(&chart)?;
    if settings.seeds > MOST_CURVES {
        figure = figure.with_caption(&format!("The first {MOST_CURVES} seeds."));
    }
    let mut section = Section::new("Progress of the searches");
    section.figure(&figure);
    Ok(section)
}

fn best_trials(stored: &StoredComparison, ranked: &[(&Record, &Score)]) -> Section {
    let mut caption = format!("By {}", name(stored.configuration.comparison.metric));
    if ranked.len() > MOST_ROWS {
        caption.push_str(&format!(
            "; the first {MOST_ROWS} of {}. All are in journal.jsonl",
            grouped(ranked.len() as u64)
        ));
    }
    caption.push('.');
    let columns = ["accuracy", "loss", "seed", "steps", "connections"];
    let mut table = Table::new(caption, &columns);
    for (record, score) in ranked.iter().take(MOST_ROWS) {
        table.row(vec![
            Cell::Number(percent(score.validation_accuracy)),
            Cell::Number(format!("{:.4}", score.validation_loss)),
            Cell::Number(record.repetition.to_string()),
            Cell::Number(record.steps.to_string()),
            Cell::placement(&record.placement),
        ]);
    }
    let mut section = Section::new("The best trials so far");
    section.table(&table);
    section
}

fn final_trainings(finals: &[FinalRecord]) -> Section {
    let columns = ["seed", "test accuracy", "learning rate", "connections"];
    let mut table = Table::new("In the order of time.", &columns);
    for record in finals {
        let (accuracy, rate) = match &record.result {
            FinalResult::Final(done) => (
                percent(done.test.accuracy),
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
    let mut section = Section::new("Final trainings so far");
    section.table(&table);
    section
}
