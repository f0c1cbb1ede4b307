//! The results of a finished study: placement files and the ranking.

use adaplace_analysis::Estimate;
use adaplace_files::{Layout, write_json};
use adaplace_search_space::{AdapterForm, BackboneReference, PlacementFile};
use adaplace_task::ProblemKind;
use toml::{Table, Value};

use crate::{Finalist, Metric, Ranking, StudyConfiguration, StudyError, StudyFolder, TrialResult};

pub(crate) fn write_results(
    folder: &StudyFolder,
    configuration: &StudyConfiguration,
    backbone: &BackboneReference,
    ranking: &Ranking,
) -> Result<(), StudyError> {
    for finalist in &ranking.finalists {
        let file = PlacementFile {
            backbone: backbone.clone(),
            adapter: AdapterForm::default(),
            placement: finalist.repeated.placement.clone(),
            provenance: Some(provenance(configuration, finalist)),
        };
        file.write(&folder.placement(&finalist.place.to_string()))?;
    }
    Ok(write_json(&folder.ranking(), ranking, Layout::Pretty)?)
}

/// The provenance of a placement, for human readers.
fn provenance(configuration: &StudyConfiguration, finalist: &Finalist) -> Table {
    let integer = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let mut table = Table::new();
    let mut set = |name: &str, value: Value| {
        table.insert(name.to_owned(), value);
    };
    let search = &configuration.search;
    let strategy = configuration.strategy.name().to_owned();
    let task = configuration.task.folder.display().to_string();
    set("task", Value::String(task));
    set("strategy", Value::String(strategy));
    set("seed", integer(search.seed.get()));
    set("trial", integer(finalist.trial as u64));
    set("steps", integer(search.steps.steps().into()));
    set("repetitions", integer(search.repetitions.get().into()));
    let repeated = &finalist.repeated;
    let scored = repeated.results.iter().find_map(TrialResult::score);
    let problem = scored.map_or(ProblemKind::Classification, |score| {
        score.measures.problem()
    });
    let headline = Metric::headline(problem).name().replace('-', "_");
    for (name, estimate) in [
        (format!("validation_{headline}"), repeated.headline()),
        ("validation_loss".to_owned(), repeated.validation_loss),
    ] {
        let Some(Estimate {
            mean,
            standard_error,
        }) = estimate
        else {
            continue;
        };
        set(&name, Value::Float(mean));
        if let Some(error) = standard_error {
            set(&format!("{name}_standard_error"), Value::Float(error));
        }
    }
    table
}
