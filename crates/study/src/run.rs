use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use adaplace_scorer::{LinearProbe, Score, ScoreError, Scorer};
use adaplace_search_space::{BackboneReference, Fidelity, Placement, PlacementFile, SearchSpace};
use adaplace_strategy::{Proposal, Strategy};
use toml::{Table, Value};

use crate::finalists::{Estimate, Repeated, parallel_baseline};
use crate::ranking::best;
use crate::study::{Job, Ledger};
use crate::{
    Finalist, Journal, Phase, Ranking, Record, Study, StudyConfiguration, StudyError, StudyFolder,
    TrialResult, Workers,
};

/// What a caller may want to show while a study runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A training was done, now or (`replayed`) before this run.
    Done {
        /// Its record.
        record: &'a Record,
        /// Whether it was read from the journal.
        replayed: bool,
    },
    /// The strategy is finished: so many trainings of finalists and baseline follow.
    SearchFinished {
        /// Their number.
        remaining: usize,
    },
}

/// How a run ended.
#[derive(Debug)]
pub enum Summary {
    /// All trials and repetitions are done; the ranking is written.
    Finished(Box<Ranking>),
    /// It was asked to stop; the journal holds what was done.
    Stopped {
        /// Trainings in the journal.
        trainings: usize,
    },
}

/// A study that is ready to run.
pub struct Run<'a, S> {
    /// The content of `study.toml`.
    pub configuration: &'a StudyConfiguration,
    /// The resolved search space.
    pub space: &'a SearchSpace,
    /// What scores placements.
    pub scorer: &'a S,
    /// The strategy, fresh.
    pub strategy: Box<dyn Strategy + 'a>,
    /// The linear probe that every training starts from.
    pub probe: &'a LinearProbe,
    /// What goes into placement files.
    pub backbone: BackboneReference,
    /// Where results go.
    pub folder: StudyFolder,
    /// The journal.
    pub journal: Journal,
    /// What the journal held when it was opened.
    pub records: Vec<Record>,
}

/// Runs a study to its end, or until `stop` is set: search, then the repetitions of finalists and baseline.
///
/// # Errors
/// The first error that is not a failed trial. The journal then holds all trainings that were finished before it.
pub fn run<S: Scorer>(
    run: Run<'_, S>,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, StudyError> {
    let Run {
        configuration,
        space,
        scorer,
        strategy,
        probe,
        backbone,
        folder,
        journal,
        records,
    } = run;
    let search = &configuration.search;
    let mut runner = Runner {
        scorer,
        workers,
        stop,
        notify,
        journal,
        folder: &folder,
        loaded: records.len(),
        replayed: 0,
        ledger: Ledger::new(records),
    };

    let mut study = Study::new(space, strategy, search.metric, search.proposals);
    loop {
        let proposals = study.ask()?;
        if proposals.is_empty() {
            break;
        }
        let jobs: Vec<Job> = proposals.iter().map(search_job).collect();
        let Some(results) = runner.results(&jobs)? else {
            return Ok(runner.stopped());
        };
        for (proposal, result) in proposals.iter().zip(&results) {
            study.tell(proposal, result);
        }
    }

    let records = runner.known();
    let chosen = best(search.metric, space, records, search.finalists);
    if chosen.is_empty() {
        runner.check_replayed()?;
        return Err(nothing_found(configuration, records));
    }
    let repeat = |phase, placement: &Placement| -> Vec<Job> {
        (1..=search.repetitions)
            .map(|repetition| Job {
                phase,
                placement: placement.clone(),
                fidelity: search.steps,
                repetition,
            })
            .collect()
    };
    let baseline = parallel_baseline(space);
    let mut jobs: Vec<Job> = chosen
        .iter()
        .flat_map(|(_, placement)| repeat(Phase::Finalist, placement))
        .collect();
    jobs.extend(repeat(Phase::Baseline, &baseline));
    (runner.notify)(Event::SearchFinished {
        remaining: jobs.len(),
    });
    let Some(results) = runner.results(&jobs)? else {
        return Ok(runner.stopped());
    };
    runner.check_replayed()?;

    let mut groups = results.chunks(search.repetitions as usize);
    let mut repeated = |placement: &Placement| {
        let results = groups.next().unwrap_or_default().to_vec();
        Repeated::new(placement.clone(), space.cost(placement), results)
    };
    let finalists = chosen
        .iter()
        .map(|(trial, placement)| (*trial, repeated(placement)))
        .collect();
    let baseline = repeated(&baseline);
    let records = runner.ledger.records();
    let ranking = Ranking::new(search.metric, probe, space, records, finalists, baseline);
    write_results(&folder, configuration, &backbone, &ranking)?;
    Ok(Summary::Finished(Box::new(ranking)))
}

fn search_job(proposal: &Proposal) -> Job {
    Job {
        phase: Phase::Search,
        placement: proposal.placement.clone(),
        fidelity: proposal.fidelity,
        repetition: 0,
    }
}

/// Does trainings, keeps them in the journal, and takes from it those that are done.
struct Runner<'a, S> {
    scorer: &'a S,
    workers: &'a Workers,
    stop: &'a AtomicBool,
    notify: &'a mut dyn FnMut(Event<'_>),
    journal: Journal,
    folder: &'a StudyFolder,
    ledger: Ledger,
    /// Records that the journal held at the start.
    loaded: usize,
    /// How many of them were asked for again so far.
    replayed: usize,
}

impl<S: Scorer> Runner<'_, S> {
    /// The results of `jobs`; `None` if it was stopped before all were done.
    ///
    /// Those with the same earliest target are done next to each other, since they start from the same frozen states.
    fn results(&mut self, jobs: &[Job]) -> Result<Option<Vec<TrialResult>>, StudyError> {
        let mut open: Vec<Job> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut by_target: Vec<&Job> = jobs.iter().collect();
        by_target.sort_by_key(|job| job.placement.earliest_target());
        for job in by_target {
            match self.ledger.get(job) {
                Some(record) if record.trial < self.replayed => {}
                Some(record) if record.trial < self.loaded => {
                    if record.trial != self.replayed || record.phase != job.phase {
                        return Err(self.foreign_line());
                    }
                    (self.notify)(Event::Done {
                        record,
                        replayed: true,
                    });
                    self.replayed += 1;
                }
                Some(_) => {}
                // A finalist can be the baseline.
                None if !keys.insert(job.key()) => {}
                None => open.push(job.clone()),
            }
        }
        if !open.is_empty() {
            self.check_replayed()?;
            self.train(&open)?;
        }
        let results = jobs.iter().map(|job| self.ledger.get(job));
        Ok(results
            .map(|record| record.map(|record| record.result.clone()))
            .collect())
    }

    /// All trainings that were asked for so far; a line of the journal beyond them is none of this study.
    fn known(&self) -> &[Record] {
        let records = self.ledger.records();
        match self.replayed < self.loaded {
            true => &records[..self.replayed],
            false => records,
        }
    }

    fn train(&mut self, jobs: &[Job]) -> Result<(), StudyError> {
        let Self {
            scorer,
            workers,
            stop,
            notify,
            journal,
            ledger,
            ..
        } = self;
        let train = |job: &Job| {
            let start = Instant::now();
            let result = scorer.score(&job.placement, job.fidelity, job.repetition);
            (result, start.elapsed().as_secs_f64())
        };
        workers.for_each(jobs, stop, train, |job, (result, seconds)| {
            let record = Record {
                trial: ledger.records().len(),
                phase: job.phase,
                hash: job.placement.hash(),
                placement: job.placement.clone(),
                steps: job.fidelity,
                repetition: job.repetition,
                result: trial_result(job.fidelity, result)?,
                seconds,
            };
            journal.append(&record)?;
            notify(Event::Done {
                record: &record,
                replayed: false,
            });
            ledger.push(record);
            Ok(())
        })
    }

    /// Nothing new may be trained before the whole journal was asked for again.
    fn check_replayed(&self) -> Result<(), StudyError> {
        if self.replayed < self.loaded {
            return Err(self.foreign_line());
        }
        Ok(())
    }

    fn foreign_line(&self) -> StudyError {
        StudyError::Journal {
            path: self.folder.journal(),
            line: self.replayed + 1,
            reason: "the study's strategy asks for another training here".to_owned(),
        }
    }

    fn stopped(&self) -> Summary {
        debug_assert!(self.stop.load(Ordering::Relaxed));
        Summary::Stopped {
            trainings: self.ledger.records().len(),
        }
    }
}

/// A training that diverged is a failed trial; any other error is one of the study.
fn trial_result(
    fidelity: Fidelity,
    result: Result<Score, ScoreError>,
) -> Result<TrialResult, StudyError> {
    match result.and_then(|score| finite(fidelity, score)) {
        Ok(score) => Ok(TrialResult::Score(score)),
        Err(error @ ScoreError::Diverged { .. }) => Ok(TrialResult::Failed(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// JSON has no NaN: such a score would damage the journal.
fn finite(fidelity: Fidelity, score: Score) -> Result<Score, ScoreError> {
    let quantities = [
        ("train loss", score.train_loss),
        ("validation loss", score.validation_loss),
        ("validation accuracy", score.validation_accuracy),
    ];
    match quantities.into_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(score),
        Some((quantity, value)) => Err(ScoreError::Diverged {
            step: fidelity.steps(),
            quantity,
            value,
        }),
    }
}

fn nothing_found(configuration: &StudyConfiguration, records: &[Record]) -> StudyError {
    let trials = records.len();
    let reason = records.iter().find_map(|record| match &record.result {
        TrialResult::Failed(reason) => Some(reason.clone()),
        TrialResult::Score(_) => None,
    });
    match reason {
        Some(reason) if records.iter().all(|record| record.result.score().is_none()) => {
            StudyError::NothingScored { trials, reason }
        }
        _ => StudyError::NothingComplete {
            strategy: configuration.strategy.name(),
            trials,
        },
    }
}

fn write_results(
    folder: &StudyFolder,
    configuration: &StudyConfiguration,
    backbone: &BackboneReference,
    ranking: &Ranking,
) -> Result<(), StudyError> {
    for finalist in &ranking.finalists {
        let file = PlacementFile {
            backbone: backbone.clone(),
            adapter: adaplace_search_space::AdapterForm::default(),
            placement: finalist.repeated.placement.clone(),
            provenance: Some(provenance(configuration, finalist)),
        };
        file.write(&folder.placement(finalist.place))?;
    }
    let write_error = |error: serde_json::Error| StudyError::Write {
        path: folder.ranking(),
        source: error.into(),
    };
    let mut text = serde_json::to_vec_pretty(ranking).map_err(write_error)?;
    text.push(b'\n');
    folder.write_ranking(&text)
}

/// Where a placement comes from, for people.
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
    set("seed", integer(search.seed));
    set("trial", integer(finalist.trial as u64));
    set("steps", integer(search.steps.steps().into()));
    set("repetitions", integer(search.repetitions.into()));
    let repeated = &finalist.repeated;
    for (name, estimate) in [
        ("validation_accuracy", repeated.validation_accuracy),
        ("validation_loss", repeated.validation_loss),
    ] {
        let Some(Estimate {
            mean,
            standard_error,
        }) = estimate
        else {
            continue;
        };
        set(name, Value::Float(mean));
        if let Some(error) = standard_error {
            set(&format!("{name}_standard_error"), Value::Float(error));
        }
    }
    table
}
