//! A search by ask and tell: the trials of a strategy, then the race of the best placements.

use std::sync::Arc;
use std::time::Instant;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};
use adaplace_strategy::{
    CostObjective, Objectives, Outcome, Proposal, Strategy, nondominated_order, pareto_front,
};

use crate::race::{Race, finalists};
use crate::ranking::{complete, objectives};
use crate::{Metric, Phase, Record, StudyError, Training};

/// The settings of a search besides its strategy and its space.
#[derive(Debug, Clone)]
pub struct SearchRules {
    /// The metric that trials are ranked by.
    pub metric: Metric,
    /// Costs to minimise in addition to the metric. With costs, finalists come from the Pareto front.
    pub costs: Vec<CostObjective>,
    /// Number of placements that the strategy proposes at a time. It is a setting of the study, not of the machine, so
    /// that proposals depend only on the scores.
    pub proposals: usize,
    /// Number of the best placements that race.
    pub finalists: usize,
    /// Trainings of each of them on the first rung of the race; 0 for no race.
    pub race: u32,
    /// Optimiser steps of a training in the race.
    pub steps: Fidelity,
    /// The repetition of every trial.
    pub repetition: u32,
    /// The first repetition of the race.
    pub first_of_race: u32,
}

/// A running search.
pub struct Search<'a> {
    rules: SearchRules,
    space: Arc<SearchSpace>,
    strategy: Box<dyn Strategy + 'a>,
    stage: Stage,
    /// Its trials, in the order of the proposals.
    trials: Vec<Record>,
    seconds: f64,
}

enum Stage {
    /// The current proposals of the strategy.
    Trials(Vec<Proposal>),
    /// The race of the best placements, running or finished.
    Race(Race),
}

impl<'a> Search<'a> {
    /// A new search.
    #[must_use]
    pub fn new(
        rules: SearchRules,
        space: Arc<SearchSpace>,
        strategy: Box<dyn Strategy + 'a>,
    ) -> Self {
        Self {
            rules,
            space,
            strategy,
            stage: Stage::Trials(Vec::new()),
            trials: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Takes the records of the trainings that it asked for last, in their order, and returns the next trainings; none
    /// when the search is over.
    ///
    /// # Errors
    /// If the strategy cannot score connections.
    pub fn advance(&mut self, done: Vec<Record>) -> Result<Vec<Training>, StudyError> {
        let start = Instant::now();
        let next = self.next(done);
        self.seconds += start.elapsed().as_secs_f64();
        next
    }

    fn next(&mut self, done: Vec<Record>) -> Result<Vec<Training>, StudyError> {
        match &mut self.stage {
            Stage::Trials(proposals) => {
                for (proposal, record) in proposals.iter().zip(done) {
                    let score = record.result.score();
                    let merit =
                        score.and_then(|score| self.rules.metric.merit(proposal.fidelity, score));
                    let outcome = merit.map_or(Outcome::Failed, Outcome::Scored);
                    self.strategy.observe(proposal, &outcome);
                    self.trials.push(record);
                }
                *proposals = self.strategy.propose(&self.space, self.rules.proposals)?;
                if !proposals.is_empty() {
                    let repetition = self.rules.repetition;
                    let trial = |proposal: &Proposal| Training {
                        phase: Phase::Search,
                        placement: proposal.placement.clone(),
                        steps: proposal.fidelity,
                        repetition,
                    };
                    return Ok(proposals.iter().map(trial).collect());
                }
                let SearchRules {
                    race,
                    first_of_race,
                    steps,
                    ..
                } = self.rules;
                let race = Race::new(self.best(&[]), race, first_of_race, steps);
                let trainings = race.trainings();
                self.stage = Stage::Race(race);
                Ok(trainings)
            }
            Stage::Race(race) => {
                let results: Vec<_> = done.into_iter().map(|record| record.result).collect();
                race.observe(self.rules.metric, &results);
                Ok(race.trainings())
            }
        }
    }

    /// The placements that race, or would race if the search ended now: trial and placement, best first. `told` holds
    /// the finished trials among the last ones asked for.
    #[must_use]
    pub fn best(&self, told: &[Record]) -> Vec<(usize, Placement)> {
        let rules = &self.rules;
        let recommended = self.strategy.recommend(&self.space, rules.finalists);
        let trials = [&self.trials, told].concat();
        best(rules, &self.space, &trials, &recommended)
    }

    /// The trials so far, in the order of the proposals.
    #[must_use]
    pub fn trials(&self) -> &[Record] {
        &self.trials
    }

    /// The race, once the strategy is finished.
    pub(crate) fn race(&self) -> Option<&Race> {
        match &self.stage {
            Stage::Trials(_) => None,
            Stage::Race(race) => Some(race),
        }
    }

    /// The placements that the race left, best first, with their trials. Without a race all finalists are left; before
    /// its end there are none.
    #[must_use]
    pub fn last(&self) -> Vec<(usize, Placement)> {
        self.race().map_or_else(Vec::new, Race::last)
    }

    /// Time that the decisions took, in seconds, without trainings.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }
}

/// The finalists, as trial and placement, best first. Recommended placements come first, then the best trials. With
/// costs the placements of the Pareto front come first, its ends and those with the largest crowding distance ahead;
/// the best other trials fill up.
fn best(
    rules: &SearchRules,
    space: &SearchSpace,
    records: &[Record],
    recommended: &[Placement],
) -> Vec<(usize, Placement)> {
    let complete = complete(rules.metric, space, records);
    let trials: Vec<(usize, &Placement)> = complete
        .iter()
        .map(|(record, _)| (record.trial, &record.placement))
        .collect();
    if rules.costs.is_empty() {
        return finalists(&trials, recommended, rules.finalists);
    }
    let points = objectives(&rules.costs, space, &complete);
    let on_front = pareto_front(&points);
    let front: Vec<usize> = (0..points.len()).filter(|&index| on_front[index]).collect();
    let points: Vec<Objectives> = front.iter().map(|&index| points[index].clone()).collect();
    let ordered: Vec<Placement> = nondominated_order(&points)
        .into_iter()
        .map(|place| trials[front[place]].1.clone())
        .collect();
    finalists(&trials, &ordered, rules.finalists)
}
