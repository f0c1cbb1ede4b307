use std::fmt::Write as _;
use std::path::Path;

use adaplace_experiments::Audit;
use adaplace_search_space::{
    AdapterRules, BudgetRules, ConnectionKind, ConnectionRules, Count, Repetitions,
    SpaceDescription,
};
use adaplace_strategy::StrategyDescription;
use adaplace_study::{Metric, SearchSettings};
use anyhow::Result;

use super::configuration::{Subject, configuration};
use super::correlations::{best_first, order, rho, tau, top};
use super::execution::execute;
use super::spent::Spent;
use super::{all_statistics, print, print_json, report, sets, statistics};
use crate::Ending;
use crate::arguments::Audit as Arguments;
use crate::table;

/// Trials proposed at a time. They do not depend on results, so there are enough to keep the workers busy.
const PROPOSALS: Count = Count::of(32);

pub(crate) fn run(arguments: &Arguments) -> Result<Ending> {
    match &arguments.sets {
        Some(bench) => sets::run(arguments, bench),
        None => train(arguments),
    }
}

fn train(arguments: &Arguments) -> Result<Ending> {
    let training = &arguments.training;
    let output = &arguments.output.of(&arguments.subject.task, "audit");
    let statistics = statistics(&arguments.statistic)?;
    let strategy = match arguments.sample {
        Some(_) => StrategyDescription::Stratified {},
        None => StrategyDescription::Exhaustive {},
    };
    let subject = Subject {
        backbone: &arguments.subject.backbone,
        task: &arguments.subject.task,
        reading: arguments.subject.reading.reading(),
        space: single_connections(arguments.rank),
        strategy,
    };
    let search = SearchSettings {
        seed: training.seed,
        trials: Count::new(arguments.sample.unwrap_or(1))?,
        steps: training.steps,
        proposals: PROPOSALS,
        metric: Metric::Accuracy,
        statistic: statistics,
        finalists: Count::of(1),
        race: 0,
        repetitions: Repetitions::of(1),
        ..SearchSettings::default()
    };
    let (mut configuration, problem) =
        configuration(subject, search, (training, output.resources))?;
    configuration.search.metric = Metric::headline(problem.task.problem());
    if arguments.sample.is_none() {
        let states = problem.backbone.description().hidden_states;
        configuration.search.trials = Count::new(states.pow(2))?;
    }
    let name = problem.task.name.clone();
    let executed = execute(
        configuration,
        &all_statistics(),
        problem,
        output,
        None,
        None,
    )?;
    let Some(ranking) = executed.ranking else {
        report::at_the_end(&output.out, false);
        return Ok(Ending::Interrupted);
    };
    let search = &executed.configuration.search;
    let audit = Audit::new(
        &executed.map,
        &ranking.trials,
        &name,
        &search.statistic,
        search.steps,
        search.seed.get(),
    )?;
    audit.write_in(executed.folder.path())?;
    let report = report::at_the_end(&output.out, true);
    if output.json {
        print_json(&audit)?;
    } else {
        print(&summary(
            &output.out,
            &audit,
            executed.spent,
            report.as_deref(),
        )?)?;
    }
    Ok(Ending::Finished)
}

/// The space of all single connections, with adapters of this rank.
fn single_connections(rank: u16) -> SpaceDescription {
    SpaceDescription {
        connections: ConnectionRules {
            kinds: ConnectionKind::ALL.to_vec(),
            min_span: None,
            max_span: None,
            sources: None,
            targets: None,
        },
        adapter: AdapterRules {
            ranks: vec![rank],
            scale: 1.0,
        },
        budget: BudgetRules {
            adapters: 1,
            min_adapters: None,
            parameters: None,
            extra_flops: None,
        },
    }
}

fn summary(out: &Path, audit: &Audit, spent: Spent, report: Option<&Path>) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{} of {} single connections on {}, trained for {} steps, in {spent}",
        audit.connections, audit.of_connections, audit.task, audit.steps,
    )?;
    writeln!(
        text,
        "agreement of each predictor with the results (Spearman's rho with its 95 % interval; top 10 %: share of the best \
         tenth by accuracy that is in the predictor's best tenth)\n"
    )?;
    let rows: Vec<(f64, Vec<String>)> = audit
        .predictors
        .iter()
        .map(|audited| {
            let headline = &audited.validation_headline;
            let cells = vec![
                audited.predictor.to_string(),
                rho(headline),
                rho(&audited.validation_loss),
                rho(&audited.train_loss),
                tau(headline),
                top(headline),
            ];
            (order(headline), cells)
        })
        .collect();
    let rows = best_first(rows);
    let head = [
        "predictor",
        "accuracy",
        "loss",
        "training loss",
        "tau, accuracy",
        "top 10 %",
    ];
    let right = [false, true, true, true, true, true];
    write!(text, "{}", table::aligned(&head, &rows, &right))?;
    writeln!(text)?;
    if let Some(report) = report {
        writeln!(text, "report       {}", report.display())?;
    }
    writeln!(text, "all numbers  {}/audit.json", out.display())?;
    writeln!(text, "trainings    {}/ranking.json", out.display())?;
    Ok(text)
}
