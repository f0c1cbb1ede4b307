use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use adaplace_scorer::{ScoreError, Scorer};
use adaplace_search_space::{
    AdapterForm, BackboneReference, ConnectionKind, Placement, PlacementFile, PlacementHash,
    SearchSpace, SpaceDescription, SpaceError,
};
use adaplace_strategy::{ConnectionProxy, Merit, Strategy, StrategyDescription, StrategySetting};
use toml::{Table, Value};

use super::finals::{FinalRecord, FinalResult, Finisher};
use super::outcome::{Comparison, Competed, FORMAT, Improvement, SeedResult};
use super::{ComparisonConfiguration, ComparisonSettings, Competitor};
use crate::ledger::Job;
use crate::runner::Runner;
use crate::{Event, Journal, Phase, Record, Study, StudyError, StudyFolder, Workers};

/// A comparison that is ready to run.
pub struct ComparisonRun<'a, S, F> {
    /// The content of `comparison.toml`.
    pub configuration: &'a ComparisonConfiguration,
    /// The resolved search space.
    pub space: &'a SearchSpace,
    /// What scores placements.
    pub scorer: &'a S,
    /// What trains them to the end.
    pub finisher: &'a F,
    /// What judges connections.
    pub proxy: Arc<dyn ConnectionProxy + 'a>,
    /// What goes into placement files.
    pub backbone: BackboneReference,
    /// Where results go.
    pub folder: StudyFolder,
    /// The journal of the trials, and what it held.
    pub trials: (Journal, Vec<Record>),
    /// The journal of the final trainings, and what it held.
    pub finals: (Journal<FinalRecord>, Vec<FinalRecord>),
}

/// Runs a comparison to its end: every strategy with every seed, then the final trainings. `None` if `stop` was set
/// before; the journals hold what was done.
///
/// # Errors
/// The first error that is not a failed training. The journals then hold what was finished before it.
pub fn run_comparison<S: Scorer, F: Finisher>(
    run: ComparisonRun<'_, S, F>,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
) -> Result<Option<Comparison>, StudyError> {
    let ComparisonRun {
        configuration,
        space,
        scorer,
        finisher,
        proxy,
        backbone,
        folder,
        trials,
        finals,
    } = run;
    let settings = &configuration.comparison;
    let parallel = parallel_space(space);
    let mut competitors = configuration.competitors();
    if let Err(error) = &parallel {
        tracing::warn!("no random parallel placements take part: {error}");
        competitors.retain(|one| !matches!(one, Competitor::RandomParallel(_)));
    }
    let mut runner = Runner::new(scorer, workers, stop, notify, trials);
    let mut found: Vec<Vec<Searched>> = Vec::new();
    for competitor in &competitors {
        let mut of_competitor = Vec::new();
        for seed in 1..=settings.seeds {
            let searched = match (competitor.fixed(space), competitor) {
                (Some(placement), _) => Some(Searched::fixed(placement)),
                (None, Competitor::Strategy(description)) => {
                    let trials = settings.trials();
                    let strategy = built(description, space, settings, trials, seed, &proxy)?;
                    search(&mut runner, settings, space, strategy, (competitor, seed))?
                }
                (None, _) => {
                    let parallel = parallel.as_ref().expect("it was left out otherwise");
                    let random = StrategyDescription::Random {};
                    let trials = settings.random_parallel;
                    let strategy = built(&random, parallel, settings, trials, seed, &proxy)?;
                    search(
                        &mut runner,
                        settings,
                        parallel,
                        strategy,
                        (competitor, seed),
                    )?
                }
            };
            let Some(searched) = searched else {
                return Ok(None);
            };
            of_competitor.push(searched);
        }
        found.push(of_competitor);
    }
    runner.check_replayed()?;

    let wanted: Vec<(Placement, u32)> = found
        .iter()
        .flat_map(|seeds| (1..).zip(seeds))
        .map(|(seed, searched)| final_key(&searched.placement, seed))
        .collect();
    let Some(finals) = train_finals(finisher, workers, stop, notify, finals, wanted)? else {
        return Ok(None);
    };
    for (competitor, seeds) in competitors.iter().zip(&found) {
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
            file.write(&folder.competitor_placement(&competitor.to_string(), seed))?;
        }
    }
    let comparison = outcome(settings, space, &competitors, found, &finals);
    folder.write_comparison(&comparison)?;
    Ok(Some(comparison))
}

/// What a search came to.
struct Searched {
    placement: Placement,
    steps: u64,
    curve: Vec<Improvement>,
}

impl Searched {
    fn fixed(placement: Placement) -> Self {
        Self {
            placement,
            steps: 0,
            curve: Vec::new(),
        }
    }
}

/// The space with its parallel connections alone.
fn parallel_space(space: &SearchSpace) -> Result<SearchSpace, SpaceError> {
    let mut description: SpaceDescription = space.description().clone();
    description.connections.kinds = vec![ConnectionKind::Parallel];
    description.connections.min_span = None;
    description.connections.max_span = None;
    SearchSpace::resolve(&description, space.shape())
}

fn built<'a>(
    description: &StrategyDescription,
    space: &SearchSpace,
    settings: &ComparisonSettings,
    trials: usize,
    seed: u32,
    proxy: &Arc<dyn ConnectionProxy + 'a>,
) -> Result<Box<dyn Strategy + 'a>, StudyError> {
    Ok(description.build(StrategySetting {
        space,
        fidelity: settings.steps,
        seed: settings.seed.wrapping_add(seed.into()),
        trials,
        halving: None,
        costs: Vec::new(),
        proxy: Some(Arc::clone(proxy)),
    })?)
}

/// Runs one strategy with one seed; `None` if it was stopped.
fn search<S: Scorer>(
    runner: &mut Runner<'_, S>,
    settings: &ComparisonSettings,
    space: &SearchSpace,
    strategy: Box<dyn Strategy + '_>,
    (competitor, seed): (&Competitor, u32),
) -> Result<Option<Searched>, StudyError> {
    let mut study = Study::new(space, strategy, settings.metric, settings.proposals);
    let mut best: Option<(Merit, Placement)> = None;
    let (mut steps, mut trials) = (0, 0);
    let mut curve = Vec::new();
    loop {
        let proposals = study.ask()?;
        if proposals.is_empty() {
            break;
        }
        let jobs: Vec<Job> = proposals
            .iter()
            .map(|proposal| Job {
                phase: Phase::Search,
                placement: proposal.placement.clone(),
                fidelity: proposal.fidelity,
                repetition: seed,
            })
            .collect();
        let Some(results) = runner.results(&jobs)? else {
            return Ok(None);
        };
        for (proposal, result) in proposals.iter().zip(&results) {
            study.tell(proposal, result);
            trials += 1;
            steps += u64::from(proposal.fidelity.steps());
            let Some(score) = result.score() else {
                continue;
            };
            if let Some(merit) = settings.metric.merit(proposal.fidelity, score)
                && space.contains(&proposal.placement)
                && best.as_ref().is_none_or(|(best, _)| merit > *best)
            {
                best = Some((merit, proposal.placement.clone()));
                curve.push(Improvement {
                    steps,
                    value: settings.metric.value(score),
                });
            }
        }
    }
    let (_, placement) = best.ok_or_else(|| StudyError::NothingComplete {
        strategy: competitor.to_string(),
        trials,
    })?;
    Ok(Some(Searched {
        placement,
        steps,
        curve,
    }))
}

/// The linear probe is the same for every seed.
fn final_key(placement: &Placement, seed: u32) -> (Placement, u32) {
    let seed = if placement.is_empty() { 1 } else { seed };
    (placement.clone(), seed)
}

type Finals = BTreeMap<(PlacementHash, u32), FinalResult>;

/// Does the final trainings that are not in the journal yet, each once; `None` if it was stopped.
fn train_finals<F: Finisher>(
    finisher: &F,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
    (mut journal, records): (Journal<FinalRecord>, Vec<FinalRecord>),
    wanted: Vec<(Placement, u32)>,
) -> Result<Option<Finals>, StudyError> {
    let mut finals: Finals = records
        .iter()
        .map(|record| ((record.hash, record.repetition), record.result.clone()))
        .collect();
    let mut number = records.len();
    let mut open: Vec<(Placement, u32)> = Vec::new();
    for job in wanted {
        let known = finals.contains_key(&(job.0.hash(), job.1)) || open.contains(&job);
        if !known {
            open.push(job);
        }
    }
    notify(Event::SearchFinished {
        remaining: open.len(),
    });
    let finish = |(placement, repetition): &(Placement, u32)| {
        let start = Instant::now();
        let result = finisher.finish(placement, *repetition);
        (result, start.elapsed().as_secs_f64())
    };
    workers.for_each(
        &open,
        stop,
        finish,
        |(placement, repetition), (result, seconds)| {
            let result = match result {
                Ok(done) => FinalResult::Final(done),
                Err(error @ ScoreError::Diverged { .. }) => FinalResult::Failed(error.to_string()),
                Err(error) => return Err(error.into()),
            };
            let record = FinalRecord {
                number,
                hash: placement.hash(),
                placement: placement.clone(),
                repetition: *repetition,
                result: result.clone(),
                seconds,
            };
            journal.append(&record)?;
            number += 1;
            finals.insert((record.hash, *repetition), result);
            notify(Event::Finished);
            Ok(())
        },
    )?;
    let stopped = stop.load(Ordering::Relaxed);
    let complete = open
        .iter()
        .all(|(placement, seed)| finals.contains_key(&(placement.hash(), *seed)));
    debug_assert!(complete || stopped);
    Ok(complete.then_some(finals))
}

fn outcome(
    settings: &ComparisonSettings,
    space: &SearchSpace,
    competitors: &[Competitor],
    found: Vec<Vec<Searched>>,
    finals: &Finals,
) -> Comparison {
    let mut competed: Vec<Competed> = competitors
        .iter()
        .zip(found)
        .map(|(competitor, seeds)| {
            let seeds = (1..).zip(seeds).map(|(seed, searched)| {
                let (placement, repetition) = final_key(&searched.placement, seed);
                let result = finals.get(&(placement.hash(), repetition));
                SeedResult {
                    seed,
                    cost: space.cost(&placement),
                    placement,
                    steps: searched.steps,
                    curve: searched.curve,
                    last: result.and_then(FinalResult::as_final).cloned(),
                }
            });
            Competed::new(competitor.to_string(), seeds.collect(), settings.seed)
        })
        .collect();
    let random = Competitor::Strategy(StrategyDescription::Random {}).to_string();
    let of_random = competed.iter().find(|one| one.name == random);
    if let Some(of_random) = of_random.map(|one| one.seeds.clone()) {
        for one in competed.iter_mut().filter(|one| one.name != random) {
            one.compare_with(&of_random, settings.seed);
        }
    }
    let order = |one: &Competed| {
        one.test_accuracy
            .map_or(f64::NEG_INFINITY, |mean| mean.value)
    };
    competed.sort_by(|a, b| order(b).total_cmp(&order(a)));
    Comparison {
        format: FORMAT.to_owned(),
        metric: settings.metric,
        budget_steps: settings.budget_steps,
        hidden_states: space.shape().hidden_states,
        competitors: competed,
    }
}

/// Where a placement comes from, for people.
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
