//! A study by ask and tell: what a loop of one's own drives, and [`crate::run()`] as well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use adaplace_scorer::GradientMap;
use adaplace_search_space::{BackboneReference, Fidelity, Placement, SearchSpace};
use adaplace_strategy::{Proposal, Strategy};

use crate::finalists::{Repeated, parallel_baseline};
use crate::ledger::{Job, Ledger, Replaying};
use crate::race::{Race, repetitions};
use crate::ranking::{Ended, best};
use crate::results::write_results;
use crate::runner::not_finite;
use crate::{
    AskTell, Event, Opened, Phase, ProbeQuality, Ranking, Record, StudyConfiguration, StudyError,
    StudyFolder, TrialResult,
};

/// What a study is made of.
pub struct StudyParts {
    /// The content of `study.toml`.
    pub configuration: StudyConfiguration,
    /// The resolved search space.
    pub space: Arc<SearchSpace>,
    /// The strategy, fresh.
    pub strategy: Box<dyn Strategy>,
    /// The linear probe that every training starts from.
    pub probe: ProbeQuality,
    /// The map of the frozen model, which says how alike the connections of the finalists are; none where something else scores.
    pub map: Option<Arc<GradientMap>>,
    /// What goes into placement files.
    pub backbone: BackboneReference,
    /// Where results go, and the trainings that are done.
    pub opened: Opened,
}

/// A training that a study asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number in the study, from 0: that of its line in the journal.
    pub number: usize,
    /// What it is done for.
    pub phase: Phase,
    /// The placement.
    pub placement: Placement,
    /// Optimiser steps.
    pub steps: Fidelity,
    /// 0 in the search, from 1 in the race, behind it for the repetitions of finalists and baseline.
    pub repetition: u32,
}

/// A study at work: it asks for trainings, is told their results and keeps them in the journal, from the search over the
/// race of the best and the repetitions of finalists and baseline to the ranking.
///
/// Results may be told in any order. The journal is written in the order of the trials, so that it is the same however
/// many worked on them; what is told ahead of an earlier trial waits for it, and is lost if the process ends before.
pub struct Study {
    configuration: StudyConfiguration,
    space: Arc<SearchSpace>,
    probe: ProbeQuality,
    map: Option<Arc<GradientMap>>,
    backbone: BackboneReference,
    folder: StudyFolder,
    search: AskTell<'static>,
    ledger: Ledger,
    stage: Stage,
    /// Trainings whose results are missing, from the next line of the journal on.
    open: VecDeque<Job>,
    /// Results told ahead of their turn, by the numbers of their trials.
    early: BTreeMap<usize, (TrialResult, f64)>,
}

enum Stage {
    /// The strategy's present proposals.
    Search(Vec<Proposal>),
    /// The best of the search, on the present rung.
    Race(Race),
    /// Repetitions of those that the race left, and of the baseline behind them.
    Repetitions {
        race: Race,
        finalists: Vec<(usize, Placement)>,
        baseline: Placement,
        jobs: Vec<Job>,
    },
    Finished(Box<Ranking>),
}

impl Study {
    /// A study that goes on behind the records of its journal.
    #[must_use]
    pub fn new(parts: StudyParts) -> Self {
        let StudyParts {
            configuration,
            space,
            strategy,
            probe,
            map,
            backbone,
            opened,
        } = parts;
        let Opened {
            folder,
            journal,
            records,
        } = opened;
        let search = &configuration.search;
        let replaying = match folder.has_grown() {
            true => Replaying::InAnyOrder,
            false => Replaying::InOrder,
        };
        Self {
            search: AskTell::new(
                Arc::clone(&space),
                strategy,
                search.metric,
                search.proposals,
            ),
            ledger: Ledger::new((journal, records), replaying),
            stage: Stage::Search(Vec::new()),
            open: VecDeque::new(),
            early: BTreeMap::new(),
            configuration,
            space,
            probe,
            map,
            backbone,
            folder,
        }
    }

    /// All trainings that can be done now, in the order of their numbers; none when the study is finished. Those that
    /// are not told are asked for again.
    ///
    /// # Errors
    /// If the journal is none of this study, the strategy cannot go on, nothing was found, or results cannot be written.
    pub fn ask(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<Vec<Trial>, StudyError> {
        while self.open.is_empty() && self.ranking().is_none() {
            self.advance(notify)?;
        }
        let numbered = (self.next()..).zip(&self.open);
        let untold = numbered.filter(|(number, _)| !self.early.contains_key(number));
        Ok(untold
            .map(|(number, job)| Trial {
                number,
                phase: job.phase,
                placement: job.placement.clone(),
                steps: job.fidelity,
                repetition: job.repetition,
            })
            .collect())
    }

    /// The result of a trial that was asked for, and the seconds that it took.
    ///
    /// # Errors
    /// [`StudyError::NotAsked`] if it is none of those, or was told already; [`StudyError::NotFinite`], after which it
    /// can be told again; if the journal cannot be written.
    pub fn tell(
        &mut self,
        number: usize,
        result: TrialResult,
        seconds: f64,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        let open = self.next()..self.next() + self.open.len();
        if !open.contains(&number) || self.early.contains_key(&number) {
            return Err(StudyError::NotAsked { trial: number });
        }
        if let Some((quantity, value)) = result.score().and_then(not_finite) {
            return Err(StudyError::NotFinite {
                trial: number,
                quantity,
                value,
            });
        }
        let metric = self.configuration.search.metric;
        if let Some(value) = result.score().map(|score| metric.value(score))
            && !value.is_finite()
        {
            return Err(StudyError::NotFinite {
                trial: number,
                quantity: metric.words(),
                value,
            });
        }
        self.early.insert(number, (result, seconds));
        while let Some((result, seconds)) = self.early.remove(&self.next())
            && let Some(job) = self.open.front()
        {
            self.ledger.append(job, result, seconds, notify)?;
            self.open.pop_front();
        }
        Ok(())
    }

    /// The number of the trial that is the next line of the journal.
    fn next(&self) -> usize {
        self.ledger.records().len()
    }

    /// The placement of the first place: of the finalists once the study is finished, of the complete trials before.
    #[must_use]
    pub fn best(&self) -> Option<Placement> {
        if let Some(ranking) = self.ranking() {
            let first = ranking.finalists.first();
            return first.map(|finalist| finalist.repeated.placement.clone());
        }
        let chosen = self.chosen();
        chosen.into_iter().next().map(|(_, placement)| placement)
    }

    /// All trainings done so far, those of the journal included.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.ledger.records()
    }

    /// The ranking, once the study is finished.
    #[must_use]
    pub fn ranking(&self) -> Option<&Ranking> {
        match &self.stage {
            Stage::Finished(ranking) => Some(ranking),
            _ => None,
        }
    }

    /// The placements of the search that go on.
    fn chosen(&self) -> Vec<(usize, Placement)> {
        let search = &self.configuration.search;
        let recommended = self.search.recommend(search.finalists);
        best(search, &self.space, &self.ledger.known(), &recommended)
    }

    /// All that was asked for is told: goes on to what follows.
    fn advance(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        let told = "all that was asked for is told";
        match &self.stage {
            Stage::Search(proposals) => {
                let jobs: Vec<Job> = proposals.iter().map(search_job).collect();
                let results = self.ledger.results(&jobs).expect(told);
                for (proposal, result) in proposals.iter().zip(&results) {
                    self.search.tell(proposal, result);
                }
                let proposals = self.search.ask()?;
                if proposals.is_empty() {
                    return self.race_the_best(notify);
                }
                let jobs: Vec<Job> = proposals.iter().map(search_job).collect();
                self.stage = Stage::Search(proposals);
                self.open(&jobs, notify)
            }
            Stage::Race(race) => {
                let results = self.ledger.results(&race.jobs()).expect(told);
                let mut race = race.clone();
                race.observe(self.configuration.search.metric, &results);
                self.next_rung(race, notify)
            }
            Stage::Repetitions {
                race,
                finalists,
                baseline,
                jobs,
            } => {
                self.ledger.check_replayed()?;
                let results = self.ledger.results(jobs).expect(told);
                let search = &self.configuration.search;
                let mut groups = results.chunks(search.repetitions as usize);
                let mut repeated = |placement: &Placement| {
                    let results = groups.next().unwrap_or_default().to_vec();
                    Repeated::new(placement.clone(), self.space.cost(placement), results)
                };
                let finalists = finalists
                    .iter()
                    .map(|(trial, placement)| (*trial, repeated(placement)))
                    .collect();
                let ended = Ended {
                    records: &self.ledger.known(),
                    race,
                    finalists,
                    baseline: repeated(baseline),
                    joint: self.map.as_ref().and_then(|map| map.joint()),
                };
                let ranking = Ranking::new(search, self.probe, &self.space, ended);
                write_results(&self.folder, &self.configuration, &self.backbone, &ranking)?;
                self.stage = Stage::Finished(Box::new(ranking));
                Ok(())
            }
            Stage::Finished(_) => Ok(()),
        }
    }

    /// The search is over: its best placements race.
    fn race_the_best(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        let search = &self.configuration.search;
        let chosen = self.chosen();
        if chosen.is_empty() {
            self.ledger.check_replayed()?;
            return Err(nothing_found(&self.configuration, &self.ledger.known()));
        }
        notify(Event::SearchFinished {
            remaining: search.trainings_after_search(chosen.len()),
        });
        // Repetition 0 was the search.
        let race = Race::new(chosen, search.race_repetitions(), 1, search.steps);
        self.next_rung(race, notify)
    }

    /// Goes on with the race or, when it is over, with trainings of those left and of the baseline on orders that chose
    /// nothing.
    fn next_rung(
        &mut self,
        race: Race,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        let jobs = race.jobs();
        if !jobs.is_empty() {
            self.open(&jobs, notify)?;
            self.stage = Stage::Race(race);
            return Ok(());
        }
        let search = &self.configuration.search;
        let fresh = repetitions(race.next_repetition(), search.repetitions);
        let repeat = |phase, placement: &Placement| {
            let placement = placement.clone();
            fresh.clone().map(move |repetition| Job {
                phase,
                placement: placement.clone(),
                fidelity: search.steps,
                repetition,
            })
        };
        let baseline = parallel_baseline(&self.space);
        let finalists = race.last();
        let mut jobs: Vec<Job> = finalists
            .iter()
            .flat_map(|(_, placement)| repeat(Phase::Finalist, placement))
            .collect();
        jobs.extend(repeat(Phase::Baseline, &baseline));
        self.open(&jobs, notify)?;
        self.stage = Stage::Repetitions {
            race,
            finalists,
            baseline,
            jobs,
        };
        Ok(())
    }

    fn open(&mut self, jobs: &[Job], notify: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        self.open = self.ledger.missing(jobs, notify)?.into();
        Ok(())
    }
}

fn search_job(proposal: &Proposal) -> Job {
    Job {
        phase: Phase::Search,
        placement: proposal.placement.clone(),
        fidelity: proposal.fidelity,
        repetition: 0,
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
            strategy: configuration.strategy.name().to_owned(),
            trials,
        },
    }
}
