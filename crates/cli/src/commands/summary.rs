//! The final output of `adaplace search`.

use std::fmt::Write as _;
use std::path::Path;

use adaplace_analysis::Estimate;
use adaplace_study::{Metric, Ranking, Repeated, StudyConfiguration, TaskSource};
use adaplace_task::Columns;
use anyhow::Result;

use super::spent::Spent;
use crate::terminal::argument;
use crate::{measures, table};

/// The best placements, their comparison with the baselines and the paths of the results.
pub(crate) fn summary(
    out: &Path,
    configuration: &StudyConfiguration,
    ranking: &Ranking,
    spent: Spent,
    replayed: u64,
    report: Option<&Path>,
) -> Result<String> {
    let mut text = String::new();
    let search = &configuration.search;
    let failed = ranking
        .trials
        .iter()
        .filter(|trial| trial.result.score().is_none())
        .count();
    write!(
        text,
        "{} trials of `{}` in {spent}",
        ranking.trials.len(),
        configuration.strategy.name(),
    )?;
    if replayed > 0 {
        write!(text, ", {replayed} of the trainings done before")?;
    }
    if failed > 0 {
        write!(text, "; {failed} failed")?;
    }
    if !ranking.race.is_empty() {
        write!(text, "\n{}", race(ranking))?;
    }
    writeln!(
        text,
        "\nthe best {}, trained {} times with {} steps:\n",
        ranking.finalists.len(),
        search.repetitions,
        search.steps
    )?;
    let metric = search.metric;
    // Every table has accuracy and loss, and any other metric that the study ranks by.
    let probe = &ranking.probe.validation;
    let problem = probe.measures.problem();
    let other = !metric.is_of_two(problem);
    let with_other = |mut row: Vec<String>, value: String| {
        if other {
            row.insert(1, value);
        }
        row
    };
    let headline = Metric::headline(problem);
    let show = |metric: Metric, estimate: Option<Estimate>| match metric.is_share() {
        true => table::percent_estimate(estimate),
        false => table::estimate(estimate),
    };
    let backbone_row = |name: &str, repeated: &Repeated| {
        let row = vec![
            name.to_owned(),
            show(headline, repeated.headline()),
            table::estimate(repeated.validation_loss),
            table::grouped(repeated.cost.parameters),
            table::percent(repeated.cost.extra_flops),
            table::connections(&repeated.placement),
        ];
        with_other(row, show(metric, repeated.estimate(metric)))
    };
    let mut rows: Vec<Vec<String>> = ranking
        .finalists
        .iter()
        .map(|finalist| backbone_row(&finalist.place.to_string(), &finalist.repeated))
        .collect();
    rows.push(backbone_row(
        "parallel at every sublayer",
        &ranking.baseline,
    ));
    let row = vec![
        problem.start().to_owned(),
        measures::headline(&probe.measures),
        format!("{:.3}", probe.loss),
        "0".to_owned(),
        table::percent(0.0),
        String::new(),
    ];
    let of_probe = metric.of_evaluation(probe);
    rows.push(with_other(row, measures::shown(metric, of_probe)));
    let mut titles = vec![
        "",
        headline.words(),
        "loss",
        "parameters",
        "extra FLOPs",
        "connections",
    ];
    let mut right = vec![false, true, true, true, true, false];
    if other {
        titles.insert(1, metric.words());
        right.insert(1, true);
    }
    write!(text, "{}", table::aligned(&titles, &rows, &right))?;
    writeln!(text, "\n{}", comparison(ranking))?;
    let noise = ranking.noise.as_ref();
    if let Some(noise) = noise.and_then(|noise| noise.describe(search.metric, problem)) {
        writeln!(text, "{noise}")?;
    }
    let first = ranking.finalists.first();
    if let Some(alike) = first.and_then(|first| first.alike()) {
        writeln!(text, "{}", alike.describe())?;
    }
    if !search.costs.is_empty() {
        let front = ranking.trials.iter().filter(|trial| trial.front).count();
        writeln!(
            text,
            "{front} of the trials are on the Pareto front; ranking.json marks them."
        )?;
    }
    let folder = out;
    let out = out.display();
    let count = ranking.finalists.len();
    writeln!(
        text,
        "placements    {out}/placements/1.toml{}",
        match count {
            1 => String::new(),
            _ => format!(" to {count}.toml"),
        }
    )?;
    writeln!(text, "all trials    {out}/ranking.json")?;
    writeln!(text, "gradient map  {out}/gradient-map.json")?;
    if let Some(report) = report {
        writeln!(text, "report        {}", report.display())?;
    }
    writeln!(
        text,
        "next          adaplace train {} --backbone {} --task {}{} --out DIR",
        argument(&folder.join("placements/1.toml")),
        argument(&configuration.backbone.folder),
        argument(&configuration.task.folder),
        reading(&configuration.task)
    )?;
    Ok(text)
}

/// The options for a task that is not read in the default way.
fn reading(task: &TaskSource) -> String {
    let (columns, usual) = (&task.columns, Columns::default());
    let named = [
        ("--text-column", &columns.text, usual.text),
        ("--pair-column", &columns.pair, usual.pair),
        ("--label-column", &columns.label, usual.label),
        ("--image-column", &columns.image, usual.image),
    ];
    let others = named.into_iter().filter(|(_, name, usual)| *name != usual);
    let mut options: String = others
        .map(|(option, name, _)| format!(" {option} {}", argument(name.as_ref())))
        .collect();
    if let Some(problem) = task.problem {
        options.push_str(&format!(" --problem {problem}"));
    }
    if !task.class_weights.are_equal() {
        options.push_str(&format!(" --class-weights {}", task.class_weights));
    }
    options
}

/// A line about the race.
fn race(ranking: &Ranking) -> String {
    let trainings: usize = ranking
        .race
        .iter()
        .map(|raced| raced.repeated.results.len())
        .sum();
    format!(
        "the {} best trials raced on {trainings} fresh trainings, which chose the order below",
        ranking.race.len()
    )
}

/// A sentence that compares the best placement with the baselines.
fn comparison(ranking: &Ranking) -> String {
    let probe = &ranking.probe.validation.measures;
    let headline = Metric::headline(probe.problem());
    let mean = |repeated: &Repeated| repeated.headline().map(|estimate| estimate.mean);
    let best = ranking.finalists.first().map(|finalist| &finalist.repeated);
    let Some((best, value)) = best.and_then(|best| Some((best, mean(best)?))) else {
        return "every repetition of the finalists failed".to_owned();
    };
    let points = |other: f64| {
        let difference = value - other;
        let side = if difference >= 0.0 { "above" } else { "below" };
        let size = difference.abs();
        match headline.is_share() {
            true => format!("{:.2} points {side}", 100.0 * size),
            false => format!("{size:.3} {side}"),
        }
    };
    let mut text = format!(
        "The best placement is {} the {}",
        points(probe.headline()),
        probe.problem().start()
    );
    if let Some(baseline) = mean(&ranking.baseline) {
        let share = best.cost.parameters as f64 / ranking.baseline.cost.parameters as f64;
        text.push_str(&format!(
            " and {} an adapter in parallel at every sublayer, with {:.0} % of its parameters",
            points(baseline),
            100.0 * share
        ));
    }
    text.push('.');
    text
}
