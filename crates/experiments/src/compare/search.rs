//! One search of a comparison: a strategy with one seed.

use std::sync::Arc;

use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::{ConnectionProxy, StrategyDescription, StrategySetting};
use adaplace_study::{Metric, Record, Search, SearchRules, StudyError, Training};

use super::ComparisonSettings;
use super::judgements::{Charged, Judgements};
use super::outcome::{Improvement, SearchSeconds};
use super::repetitions::first_of_race;

/// The result of a competitor's search with one seed.
#[derive(Debug, Clone)]
pub(super) struct Searched {
    pub(super) placement: Placement,
    pub(super) steps: u64,
    pub(super) curve: Vec<Improvement>,
    pub(super) seconds: SearchSeconds,
}

impl Searched {
    /// A placement without a search, derived in `judgements` seconds.
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

/// A search that has not started.
#[derive(Debug, Clone)]
pub(super) struct Planned<'a> {
    pub(super) name: String,
    pub(super) settings: &'a ComparisonSettings,
    pub(super) space: &'a Arc<SearchSpace>,
    pub(super) strategy: &'a StrategyDescription,
    pub(super) trials: usize,
    /// Number of placements that race at its end; 1 for no race.
    pub(super) finalists: usize,
    pub(super) seed: u32,
}

/// A running search.
pub(super) struct Searching<'a> {
    planned: Planned<'a>,
    search: Search<'a>,
    proxy: Arc<Charged<'a>>,
    /// The trainings that it waits for.
    waits_for: Vec<Training>,
    steps: u64,
    seconds: f64,
}

/// The next step of a search.
pub(super) enum Next {
    /// More trainings.
    Trainings(Vec<Training>),
    /// The search is over.
    Over(Searched),
}

impl<'a> Planned<'a> {
    /// Starts the search. `proxy` scores its connections, and `judgements` charges it for work that others have done.
    ///
    /// # Errors
    /// If the strategy cannot search the space.
    pub(super) fn begin(
        self,
        proxy: Arc<dyn ConnectionProxy + 'a>,
        judgements: Arc<Judgements>,
    ) -> Result<Searching<'a>, StudyError> {
        let Self {
            settings,
            space,
            strategy,
            trials,
            finalists,
            seed,
            ..
        } = self;
        let proxy = Charged::new(proxy, judgements);
        let strategy = strategy.build(StrategySetting {
            space,
            fidelity: settings.steps,
            seed: settings.seed.get().wrapping_add(seed.into()),
            trials,
            halving: None,
            costs: Vec::new(),
            proxy: Some(Arc::clone(&proxy) as Arc<_>),
        })?;
        let rules = SearchRules {
            metric: settings.metric,
            costs: Vec::new(),
            proposals: settings.proposals.get(),
            finalists,
            race: settings.race,
            steps: settings.steps,
            repetition: seed,
            first_of_race: first_of_race(seed),
        };
        Ok(Searching {
            search: Search::new(rules, Arc::clone(space), strategy),
            planned: self,
            proxy,
            waits_for: Vec::new(),
            steps: 0,
            seconds: 0.0,
        })
    }
}

impl Searching<'_> {
    /// The trainings that it waits for.
    pub(super) fn waits_for(&self) -> &[Training] {
        &self.waits_for
    }

    /// The next step once everything that it waits for is done.
    ///
    /// # Errors
    /// If the strategy cannot continue, or if no training of a complete placement succeeded.
    pub(super) fn advance(&mut self, done: &[&Record]) -> Result<Next, StudyError> {
        let steps = done.iter().map(|record| u64::from(record.steps.steps()));
        self.steps += steps.sum::<u64>();
        self.seconds += done.iter().map(|record| record.seconds).sum::<f64>();
        // Two searches may share a training, so each numbers its own trials.
        let first = self.search.trials().len();
        let numbered = (first..).zip(done);
        let numbered = numbered.map(|(trial, record)| Record {
            trial,
            ..(*record).clone()
        });
        let next = self.search.advance(numbered.collect())?;
        if !next.is_empty() {
            self.waits_for.clone_from(&next);
            return Ok(Next::Trainings(next));
        }
        let named = self.search.last().into_iter().next();
        let (_, placement) = named.ok_or_else(|| StudyError::NothingComplete {
            strategy: self.planned.name.clone(),
            trials: self.search.trials().len(),
        })?;
        let Planned {
            settings, space, ..
        } = self.planned;
        Ok(Next::Over(Searched {
            placement,
            steps: self.steps,
            curve: improvements(settings.metric, space, self.search.trials()),
            seconds: SearchSeconds {
                trials: self.seconds,
                judgements: self.search.seconds() + self.proxy.saved(),
            },
        }))
    }
}

/// The trials of complete placements that were the best so far.
fn improvements(metric: Metric, space: &SearchSpace, trials: &[Record]) -> Vec<Improvement> {
    let (mut steps, mut best) = (0, None);
    let mut curve = Vec::new();
    for record in trials {
        steps += u64::from(record.steps.steps());
        let Some(score) = record.result.score() else {
            continue;
        };
        let merit = metric.merit(record.steps, score);
        if merit > best && space.contains(&record.placement) {
            best = merit;
            curve.push(Improvement {
                steps,
                value: metric.value(score),
            });
        }
    }
    curve
}

#[cfg(test)]
mod tests;
