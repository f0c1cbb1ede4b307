//! One search of a comparison: a strategy with one seed.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::{Merit, StrategyDescription, StrategySetting};

use super::ComparisonSettings;
use super::judgements::Charged;
use super::outcome::{Improvement, SearchSeconds};
use super::repetitions::first_of_race;
use crate::ledger::Job;
use crate::race::{Race, finalists};
use crate::{AskTell, Phase, StudyError, TrialResult};

/// What a competitor came to with one seed.
pub(super) struct Searched {
    pub(super) placement: Placement,
    pub(super) steps: u64,
    pub(super) curve: Vec<Improvement>,
    pub(super) seconds: SearchSeconds,
}

impl Searched {
    /// Without a search; `judgements` is what the placement was taken from took, in seconds.
    pub(super) fn without_trials(placement: Placement, judgements: f64) -> Self {
        Self {
            placement,
            steps: 0,
            curve: Vec::new(),
            seconds: SearchSeconds {
                trials: 0.0,
                judgements,
            },
        }
    }
}

/// A search that is to be run.
pub(super) struct Search<'a> {
    pub(super) name: String,
    pub(super) settings: &'a ComparisonSettings,
    pub(super) space: &'a Arc<SearchSpace>,
    pub(super) strategy: &'a StrategyDescription,
    pub(super) trials: usize,
    /// How many race at its end; 1 for no race.
    pub(super) finalists: usize,
    pub(super) seed: u32,
}

/// Results of trainings, and how many seconds they took.
type Trained = (Vec<TrialResult>, f64);

/// What trains for a search, and what that has cost it.
struct Training<T> {
    train: T,
    steps: u64,
    seconds: f64,
}

impl<T: FnMut(&[Job]) -> Result<Option<Trained>, StudyError>> Training<T> {
    fn results(&mut self, jobs: &[Job]) -> Result<Option<Vec<TrialResult>>, StudyError> {
        let Some((results, seconds)) = (self.train)(jobs)? else {
            return Ok(None);
        };
        let steps = jobs.iter().map(|job| u64::from(job.fidelity.steps()));
        self.steps += steps.sum::<u64>();
        self.seconds += seconds;
        Ok(Some(results))
    }
}

/// What the trials of a search gave.
#[derive(Default)]
struct Tried {
    trials: usize,
    /// Seconds of the strategy's choices.
    judgements: f64,
    /// Those that gave a complete placement, by their numbers.
    complete: Vec<(Merit, usize, Placement)>,
    curve: Vec<Improvement>,
}

impl Search<'_> {
    /// Runs it, connections judged by `proxy`: its trials by `train`, then the race of what the strategy recommends and of its
    /// best trials. `None` if `train` gave none, because it was stopped.
    ///
    /// # Errors
    /// If the strategy cannot search the space, no training went through, or `train` fails.
    pub(super) fn run(
        &self,
        proxy: &Arc<Charged<'_>>,
        train: impl FnMut(&[Job]) -> Result<Option<Trained>, StudyError>,
    ) -> Result<Option<Searched>, StudyError> {
        let Self {
            settings, space, ..
        } = *self;
        let strategy = self.strategy.build(StrategySetting {
            space,
            fidelity: settings.steps,
            seed: settings.seed.wrapping_add(self.seed.into()),
            trials: self.trials,
            halving: None,
            costs: Vec::new(),
            proxy: Some(Arc::clone(proxy) as Arc<_>),
        })?;
        let mut study = AskTell::new(
            Arc::clone(space),
            strategy,
            settings.metric,
            settings.proposals,
        );
        let mut training = Training {
            train,
            steps: 0,
            seconds: 0.0,
        };
        let Some(mut tried) = self.try_placements(&mut study, &mut training)? else {
            return Ok(None);
        };
        let start = Instant::now();
        let recommended = study.recommend(self.finalists);
        tried.judgements += start.elapsed().as_secs_f64();
        // Stable: of equal ones the first stays ahead.
        tried.complete.sort_by_key(|&(merit, ..)| Reverse(merit));
        let complete = tried.complete.iter();
        let complete: Vec<(usize, &Placement)> = complete
            .map(|(_, trial, placement)| (*trial, placement))
            .collect();
        let chosen = finalists(&complete, &recommended, self.finalists);
        let Some(race) = self.race(chosen, &mut training)? else {
            return Ok(None);
        };
        let named = race.last().into_iter().next();
        let (_, placement) = named.ok_or_else(|| StudyError::NothingComplete {
            strategy: self.name.clone(),
            trials: tried.trials,
        })?;
        Ok(Some(Searched {
            placement,
            steps: training.steps,
            curve: tried.curve,
            seconds: SearchSeconds {
                trials: training.seconds,
                judgements: tried.judgements + proxy.saved(),
            },
        }))
    }

    fn try_placements(
        &self,
        study: &mut AskTell<'_>,
        training: &mut Training<impl FnMut(&[Job]) -> Result<Option<Trained>, StudyError>>,
    ) -> Result<Option<Tried>, StudyError> {
        let metric = self.settings.metric;
        let mut tried = Tried::default();
        let (mut steps, mut best) = (0, None);
        loop {
            let start = Instant::now();
            let proposals = study.ask()?;
            tried.judgements += start.elapsed().as_secs_f64();
            if proposals.is_empty() {
                return Ok(Some(tried));
            }
            let jobs: Vec<Job> = proposals
                .iter()
                .map(|proposal| Job {
                    phase: Phase::Search,
                    placement: proposal.placement.clone(),
                    fidelity: proposal.fidelity,
                    repetition: self.seed,
                })
                .collect();
            let Some(results) = training.results(&jobs)? else {
                return Ok(None);
            };
            for (proposal, result) in proposals.iter().zip(&results) {
                study.tell(proposal, result);
                let trial = tried.trials;
                tried.trials += 1;
                steps += u64::from(proposal.fidelity.steps());
                let Some(score) = result.score() else {
                    continue;
                };
                let Some(merit) = metric.merit(proposal.fidelity, score) else {
                    continue;
                };
                if !self.space.contains(&proposal.placement) {
                    continue;
                }
                tried
                    .complete
                    .push((merit, trial, proposal.placement.clone()));
                if best.is_none_or(|best| merit > best) {
                    best = Some(merit);
                    tried.curve.push(Improvement {
                        steps,
                        value: metric.value(score),
                    });
                }
            }
        }
    }

    fn race(
        &self,
        chosen: Vec<(usize, Placement)>,
        training: &mut Training<impl FnMut(&[Job]) -> Result<Option<Trained>, StudyError>>,
    ) -> Result<Option<Race>, StudyError> {
        let settings = self.settings;
        let first = first_of_race(self.seed);
        let mut race = Race::new(chosen, settings.race, first, settings.steps);
        loop {
            let jobs = race.jobs();
            if jobs.is_empty() {
                return Ok(Some(race));
            }
            let Some(results) = training.results(&jobs)? else {
                return Ok(None);
            };
            race.observe(settings.metric, &results);
        }
    }
}

#[cfg(test)]
mod tests;
