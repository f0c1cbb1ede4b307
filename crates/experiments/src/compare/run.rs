use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use adaplace_files::{Document, Layout, write_json};
use adaplace_scorer::Scorer;
use adaplace_search_space::{
    AdapterForm, BackboneReference, ConnectionTable, Placement, PlacementFile, SearchSpace,
};
use adaplace_strategy::{ConnectionProxy, StrategyDescription};
use adaplace_study::{
    Event, Importances, Journal, Listed, Opened, Replaying, Scoring, StudyError, Trainings, Workers,
};
use toml::{Table, Value};

use super::contest::{Contest, Entry};
use super::entrants::{Course, Entrant, entrants, parallel_space};
use super::finals::{Final, FinalRecord, FinalTraining, Finisher, Finishing};
use super::judgements::Judgements;
use super::outcome::{Comparison, Competed, SeedResult};
use super::repetitions::of_finals;
use super::search::{Planned, Searched};
use super::{Baseline, ComparisonConfiguration, ComparisonSettings, Competitor};
use crate::ExperimentError;

/// A comparison that is ready to run.
pub struct ComparisonRun<'a, S, F> {
    /// The content of `comparison.toml`.
    pub configuration: &'a ComparisonConfiguration,
    /// The resolved search space.
    pub space: &'a Arc<SearchSpace>,
    /// The scorer of placements.
    pub scorer: &'a S,
    /// The finisher, which runs the final trainings.
    pub finisher: &'a F,
    /// The proxy that judges connections.
    pub proxy: Arc<dyn ConnectionProxy + 'a>,
    /// The gradient map of the frozen model.
    pub map: FrozenMap,
    /// The backbone that placement files refer to.
    pub backbone: BackboneReference,
    /// The folder of results and the finished trials.
    pub opened: Opened,
    /// The journal of the final trainings, with its lines.
    pub finals: (Journal<FinalRecord>, Vec<FinalRecord>),
}

/// The data from the gradient map of the frozen model that a comparison needs in addition to the connection scores.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenMap {
    /// The Frobenius norms of the connections' gradient matrices. `None` omits [`Baseline::LargestGradients`].
    pub gradient_norms: Option<ConnectionTable>,
    /// Duration of the map in seconds; 0 if it was read from a file.
    pub seconds: f64,
}

/// Runs a comparison to its end: every strategy with every seed, then the final trainings. `None` if `stop` was set
/// before the end; the journals hold the finished trainings.
///
/// # Errors
/// The first error that is not a failed training. The journals then hold the trainings finished before it.
pub fn run_comparison<S: Scorer, F: Finisher>(
    run: ComparisonRun<'_, S, F>,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
) -> Result<Option<Comparison>, ExperimentError> {
    let ComparisonRun {
        configuration,
        space,
        scorer,
        finisher,
        proxy,
        map,
        backbone,
        opened,
        finals,
    } = run;
    let Opened {
        folder,
        journal,
        records,
    } = opened;
    let settings = &configuration.comparison;
    let parallel = parallel_space(space);
    let norms = map.gradient_norms.as_ref();
    let entrants = entrants(configuration, space, parallel.as_ref(), norms);
    let trained_together = Importances::seconds(&folder.importances())?;
    // Seed by seed, so that an unfinished comparison can be compared.
    let entries = (1..=settings.seeds).flat_map(|seed| {
        entrants
            .iter()
            .map(move |entrant| entrant.entry(seed, settings, map.seconds))
    });
    let mut contest = Contest {
        entries: entries.collect(),
        trainings: Trainings::new(journal, records, Replaying::InAnyOrder),
        proxy,
        judgements: Arc::new(Judgements::new(map.seconds, trained_together)),
        notify,
    };
    if !workers.run(&mut contest, stop, Scoring(scorer))? {
        return Ok(None);
    }
    let mut found: Vec<Vec<Searched>> = entrants.iter().map(|_| Vec::new()).collect();
    for (entry, of_competitor) in contest.entries.into_iter().zip((0..entrants.len()).cycle()) {
        if let Entry::Done(searched) = entry {
            found[of_competitor].push(searched);
        }
    }

    let wanted: Vec<FinalTraining> = entrants
        .iter()
        .zip(&found)
        .flat_map(|(entrant, seeds)| {
            (1..)
                .zip(seeds)
                .map(move |(seed, one)| (entrant, seed, one))
        })
        .flat_map(|(entrant, seed, one)| entrant.finals(&one.placement, seed, settings))
        .collect();
    let (journal, records) = finals;
    let mut finals = Trainings::new(journal, records, Replaying::InAnyOrder);
    finals.want(&wanted, &mut |_| {})?;
    notify(Event::SearchFinished {
        remaining: finals.untold().count(),
    });
    let mut told = |_: &FinalRecord| notify(Event::FinalTrainingDone);
    let mut list = Listed::new(finals, &mut told);
    if !workers.run(&mut list, stop, Finishing(finisher))? {
        return Ok(None);
    }
    let finals = list.into_trainings();
    for (Entrant { competitor, .. }, seeds) in entrants.iter().zip(&found) {
        for (seed, searched) in (1..).zip(seeds) {
            if searched.placement.is_empty() {
                continue;
            }
            let file = PlacementFile {
                backbone: backbone.clone(),
                adapter: AdapterForm::default(),
                placement: searched.placement.clone(),
                provenance: Some(provenance(configuration, competitor, seed)),
            };
            file.write(&folder.placement(&format!("{competitor}-{seed}")))?;
        }
    }
    let comparison = outcome(settings, space, &entrants, found, &finals);
    let path = folder.path().join(Comparison::FILE);
    write_json(&path, &comparison, Layout::Pretty).map_err(StudyError::from)?;
    Ok(Some(comparison))
}

impl<'a> Entrant<'a> {
    /// The entry of an entrant with one seed. The gradient map of the frozen model took `map_seconds`.
    fn entry<'e>(
        &'e self,
        seed: u32,
        settings: &'e ComparisonSettings,
        map_seconds: f64,
    ) -> Entry<'e> {
        match &self.course {
            Course::Fixed(placement) => {
                Entry::Done(Searched::without_trials(placement.clone(), 0.0))
            }
            Course::FromMap(placement) => {
                Entry::Done(Searched::without_trials(placement.clone(), map_seconds))
            }
            Course::Search {
                space,
                strategy,
                trials,
                finalists,
            } => Entry::Planned(Planned {
                name: self.competitor.to_string(),
                settings,
                space,
                strategy,
                trials: *trials,
                finalists: *finalists,
                seed,
            }),
        }
    }

    /// The final trainings of a placement with one seed. The linear probe has only one, as it never changes.
    fn finals(
        &self,
        placement: &Placement,
        seed: u32,
        settings: &ComparisonSettings,
    ) -> impl Iterator<Item = FinalTraining> + use<> {
        let (seed, count) = match placement.is_empty() {
            true => (1, 1),
            false => (seed, settings.final_repetitions),
        };
        let (placement, learned_scale) = (placement.clone(), self.competitor.learned_scale());
        of_finals(seed, count).map(move |repetition| FinalTraining {
            placement: placement.clone(),
            learned_scale,
            repetition,
        })
    }
}

fn outcome(
    settings: &ComparisonSettings,
    space: &SearchSpace,
    entrants: &[Entrant<'_>],
    found: Vec<Vec<Searched>>,
    finals: &Trainings<FinalRecord>,
) -> Comparison {
    let records = |entrant: &Entrant<'_>, placement: &Placement, seed: u32| -> Vec<&FinalRecord> {
        let trainings = entrant.finals(placement, seed, settings);
        trainings
            .filter_map(|training| finals.get(&training))
            .collect()
    };
    let mut competed: Vec<Competed> = entrants
        .iter()
        .zip(&found)
        .map(|(entrant, seeds)| {
            let seeds = (1..).zip(seeds).map(|(seed, searched)| {
                let records = records(entrant, &searched.placement, seed).into_iter();
                let finals: Option<Vec<Final>> = records
                    .map(|record| record.result.as_final().cloned())
                    .collect();
                SeedResult {
                    seed,
                    cost: space.cost(&searched.placement),
                    placement: searched.placement.clone(),
                    steps: searched.steps,
                    seconds: (!settings.replayed).then_some(searched.seconds),
                    curve: searched.curve.clone(),
                    finals: finals.unwrap_or_default(),
                }
            });
            let name = entrant.competitor.to_string();
            Competed::new(name, seeds.collect(), settings.seed.get())
        })
        .collect();
    let everywhere = entrants
        .iter()
        .position(|entrant| {
            matches!(
                entrant.competitor,
                Competitor::Baseline(Baseline::ParallelEverywhere, _)
            )
        })
        .and_then(|place| {
            let seeds = (1..).zip(&found[place]);
            let records = seeds
                .flat_map(|(seed, searched)| records(&entrants[place], &searched.placement, seed));
            seconds_of_one_training(records)
        });
    let random = Competitor::Strategy(StrategyDescription::Random {}).to_string();
    let of_random = competed.iter().find(|one| one.name == random);
    if let Some(of_random) = of_random.map(|one| one.seeds.clone()) {
        for one in competed.iter_mut().filter(|one| one.name != random) {
            one.compare_with(&of_random, settings.seed.get());
        }
    }
    let order = |one: &Competed| {
        one.test_headline
            .map_or(f64::NEG_INFINITY, |mean| mean.value)
    };
    competed.sort_by(|a, b| order(b).total_cmp(&order(a)));
    Comparison {
        format: Comparison::FORMAT.to_owned(),
        metric: settings.metric,
        budget_steps: settings.budget_steps,
        hidden_states: space.shape().hidden_states,
        everywhere_seconds: everywhere,
        competitors: competed,
    }
}

/// Mean seconds of one training, over successful final trainings: each trains once with every learning rate.
fn seconds_of_one_training<'a>(records: impl Iterator<Item = &'a FinalRecord>) -> Option<f64> {
    let each = records.filter_map(|record| {
        let trainings = record.result.as_final()?.candidates.len();
        (trainings > 0).then(|| record.seconds / trainings as f64)
    });
    let (sum, count) = each.fold((0.0, 0_u32), |(sum, count), one| (sum + one, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The provenance of a placement, for human readers.
fn provenance(
    configuration: &ComparisonConfiguration,
    competitor: &Competitor,
    seed: u32,
) -> Table {
    let mut table = Table::new();
    let task = configuration.task.folder.display().to_string();
    table.insert("task".to_owned(), Value::String(task));
    table.insert("strategy".to_owned(), Value::String(competitor.to_string()));
    table.insert("seed".to_owned(), Value::Integer(seed.into()));
    table
}
