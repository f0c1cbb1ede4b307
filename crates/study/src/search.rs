//! A search by ask and tell: the trials that a strategy proposes, then the race of the best.

use std::sync::Arc;
use std::time::Instant;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};
use adaplace_strategy::{CostObjective, Outcome, Proposal, Strategy};

use crate::race::Race;
use crate::ranking::best;
use crate::{Metric, Phase, Record, StudyError, Training};

/// What a search goes by besides its strategy and its space.
#[derive(Debug, Clone)]
pub struct SearchRules {
    /// What trials are ranked by.
    pub metric: Metric,
    /// Costs that are minimised as well: finalists then come from the Pareto front.
    pub costs: Vec<CostObjective>,
    /// How many placements the strategy proposes at a time. It is a setting of the study, not of the machine, so that the
    /// proposals depend on nothing but the scores.
    pub proposals: usize,
    /// How many of the best placements race.
    pub finalists: usize,
    /// How often each of them is trained on the first rung of the race; 0 for no race.
    pub race: u32,
    /// Optimiser steps of a training in the race.
    pub steps: Fidelity,
    /// The repetition of every trial.
    pub repetition: u32,
    /// The first repetition of the race.
    pub first_of_race: u32,
}

/// A search at work.
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
    /// The present proposals of the strategy.
    Trials(Vec<Proposal>),
    /// The best placements, on the present rung or behind the last.
    Race(Race),
}

impl<'a> Search<'a> {
    /// A search that has not begun.
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

    /// Takes what came of the trainings that it asked for last, in their order, and asks for the next ones; none when it is
    /// over.
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

    /// The placements that race, or would if the search ended here: trial and placement, best first. `told` are those of the
    /// trials asked for last that are done.
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

    /// The placements that the race left, best first, with the trials that brought them into it; all that entered where there
    /// was no race, and none before.
    #[must_use]
    pub fn last(&self) -> Vec<(usize, Placement)> {
        self.race().map_or_else(Vec::new, Race::last)
    }

    /// Seconds that its own decisions took, without any training.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }
}
