//! The agreement of the connection scores with the results of trainings.

use adaplace_analysis::spearman;
use adaplace_search_space::{Connection, ConnectionKind, ConnectionTable, Placement};

use super::overview::Overview;
use crate::axes::Axis;
use crate::document::Section;
use crate::figure::{Figure, row};
use crate::ink::Ink;
use crate::legend::Key;
use crate::metric::unit;
use crate::numbers::{Unit, grouped};
use crate::scatter::{Point, Scatter, scatter};
use crate::table::{Cell, Table};

/// The fewest trials for a rank correlation.
const FEWEST: usize = 3;

/// The largest number of charts, since each has up to 1,500 points. The table has all statistics.
const MOST_CHARTS: usize = 4;

/// A simple rule that predicts the result of a connection.
type Rule = fn(Connection) -> f64;

/// A trained placement.
struct Trained<'a> {
    placement: &'a Placement,
    value: f64,
    label: String,
}

pub(super) fn section(overview: &Overview<'_>) -> Option<Section> {
    let map = overview.study.gradient_map.as_ref()?;
    let (trained, single) = trained(overview);
    if trained.len() < FEWEST {
        return None;
    }
    let what = match single {
        true => "single connections",
        false => "placements, by the mean over their connections",
    };
    let mean = |placement: &Placement, of: &dyn Fn(Connection) -> f64| {
        placement.connections().map(of).sum::<f64>() / placement.len().max(1) as f64
    };
    // All trained placements are in the space, and its connections in the map.
    let by_table = |table: &ConnectionTable, placement: &Placement| {
        mean(placement, &|connection| {
            table.get(connection).unwrap_or_default()
        })
    };
    let correlation = |connection_score: &dyn Fn(&Placement) -> f64| {
        let pairs = trained.iter().map(|trained| {
            let merit = overview.metric().signed(trained.value);
            (connection_score(trained.placement), merit)
        });
        let (connection_scores, merits): (Vec<f64>, Vec<f64>) = pairs.unzip();
        spearman(&connection_scores, &merits)
    };

    let mut figures = Vec::new();
    let connection_scores = overview.connection_scores();
    for (score, table) in connection_scores.iter().take(MOST_CHARTS) {
        let connection_score = |placement: &Placement| by_table(table, placement);
        let figure = chart(overview, score, &trained, single, &connection_score);
        figures.push(figure.with_caption(&format!(
            "{} {what}. {}",
            grouped(trained.len() as u64),
            sentence(correlation(&connection_score))
        )));
    }
    // The rho of two independent orders has a standard deviation of 1 / sqrt(n - 1).
    let chance = 1.96 / (trained.len() as f64 - 1.0).sqrt();
    let caption = format!(
        "Spearman's rank correlation with the {} of {} {what}, signed so that higher is better. Chance alone stays within \
         ±{chance:.2} in 95 % of cases. A statistic is useful if it orders them better than the simple rules at the end.",
        overview.metric_name(),
        grouped(trained.len() as u64)
    );
    let mut rho = Table::new(caption, &["ordered by", "rho"]);
    let all = map.statistics.iter();
    let all = all.map(|(statistic, table)| (statistic.to_string(), table));
    let several = (connection_scores.len() > 1)
        .then(|| (connection_scores[0].0.clone(), &connection_scores[0].1));
    for (score, table) in several.into_iter().chain(all) {
        let value = correlation(&|placement| by_table(table, placement));
        rho.row(vec![Cell::Text(score), Cell::Number(shown(value))]);
    }
    let rules: [(&str, Rule); 2] = [
        ("target", |connection| -f64::from(connection.target)),
        ("source", |connection| -f64::from(connection.source)),
    ];
    for (end, of) in rules {
        let rule = Cell::Text(format!("the rule: the earlier the {end}"));
        let value = correlation(&|placement| mean(placement, &of));
        rho.row(vec![rule, Cell::Number(shown(value))]);
    }
    let body = row(&figures, Some(&rho));
    Some(Section::new("Gradient map and results", body))
}

/// The connections that were trained alone with all steps or, if there are too few, all complete placements.
fn trained<'a>(overview: &'a Overview<'_>) -> (Vec<Trained<'a>>, bool) {
    let metric = overview.metric();
    let all = |keep: &dyn Fn(&Placement) -> bool| -> Vec<Trained<'a>> {
        let kept = overview
            .long()
            .filter(|(trial, _)| keep(&trial.record.placement));
        kept.map(|(trial, value)| Trained {
            placement: &trial.record.placement,
            value,
            label: trial.label(metric),
        })
        .collect()
    };
    let single = all(&|placement| placement.len() == 1);
    if single.len() >= FEWEST {
        return (single, true);
    }
    (
        all(&|placement| overview.study.is_complete(placement)),
        false,
    )
}

fn chart(
    overview: &Overview<'_>,
    score: &str,
    trained: &[Trained<'_>],
    single: bool,
    connection_score: &dyn Fn(&Placement) -> f64,
) -> Figure {
    let metric = overview.metric();
    let group = |placement: &Placement| {
        let kind = placement.connections().next().map(Connection::kind);
        let mut kinds = ConnectionKind::ALL.iter().copied().filter(|_| single);
        kinds.position(|other| Some(other) == kind).unwrap_or(0)
    };
    let groups = match single {
        true => ConnectionKind::ALL
            .iter()
            .copied()
            .map(|kind| Key::new(kind.name(), Ink::of_kind(kind)))
            .collect(),
        false => vec![Key::new("placements", Ink::Blue)],
    };
    let points = trained.iter().map(|trained| {
        let x = connection_score(trained.placement);
        Point {
            x,
            y: trained.value,
            group: group(trained.placement),
            label: format!("{}; {score} {}", trained.label, Unit::Number.show(x)),
        }
    });
    let x = match single {
        true => score.to_owned(),
        false => format!("{score}, mean of the connections"),
    };
    scatter(&Scatter {
        title: &format!("Connection score and result: {score}"),
        x: Axis::new(x, Unit::Number),
        y: Axis::new(overview.metric_name(), unit(metric)),
        groups,
        points: points.collect(),
        front: None,
        landmarks: Vec::new(),
    })
}

fn sentence(rho: Option<f64>) -> String {
    match rho {
        Some(rho) => format!("Spearman's rank correlation: {rho:+.3}."),
        None => {
            "All values of one of the two are equal, so there is no rank correlation.".to_owned()
        }
    }
}

fn shown(rho: Option<f64>) -> String {
    rho.map_or_else(|| "none".to_owned(), |rho| format!("{rho:+.3}"))
}
