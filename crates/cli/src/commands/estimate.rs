//! Estimates of how long a study takes, measured before it starts.

use std::time::Duration;

use adaplace_scorer::ProxyScorer;
use adaplace_search_space::{Count, Fidelity, Placement, Reduction, SearchSpace};
use adaplace_strategy::{Halving, StrategyDescription};
use adaplace_study::{StudyConfiguration, Workers};
use adaplace_task::Task;
use anyhow::{Result, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::table;

/// Number of random placements that estimate the mean cost of the space.
const SAMPLE: usize = 64;

/// Number of timed steps.
const TIMED: u32 = 4;

/// The largest number of trainings in a study.
pub(super) struct Expected {
    pub(super) trainings: usize,
    /// Total optimiser steps.
    steps: u64,
}

impl Expected {
    /// Counts trials, their promotions, the race, and the repetitions of finalists and baseline.
    pub(super) fn of(configuration: &StudyConfiguration, space: &SearchSpace) -> Self {
        let search = &configuration.search;
        let trials = match configuration.strategy {
            StrategyDescription::GradientGreedy { .. } => 1,
            _ => search.trials.get().min(space.approximate_count() as usize),
        };
        let full = u64::from(search.steps.steps());
        let rungs = search.halving.map_or(1, |_| Halving::RUNGS);
        let reduction = search.halving.map_or(1, Reduction::get) as usize;
        let after = search.trainings_after_search(trials);
        let mut expected = Self {
            trainings: after,
            steps: after as u64 * full,
        };
        for rung in 0..rungs {
            let trained = trials / reduction.pow(rung);
            let shortened = (reduction as u64).pow(rungs - 1 - rung);
            expected.trainings += trained;
            expected.steps += trained as u64 * (full / shortened).max(1);
        }
        expected
    }
}

/// The training speed of this machine with all workers busy.
pub(super) struct Speed {
    step_seconds: f64,
    /// Duration of the evaluation at the end of a training.
    evaluation_seconds: f64,
}

impl Speed {
    /// Times a few steps of a random placement with an early target: states before the earliest target are cached and
    /// cost nothing, and searches tend to end with early targets. Connections that need a second forward pass count by
    /// their share of the space.
    ///
    /// An evaluation costs a third of the training steps on its examples, their forward pass.
    pub(super) fn measure(
        scorer: &ProxyScorer,
        task: &Task,
        batch_size: Count,
        space: &SearchSpace,
        workers: &Workers,
    ) -> Self {
        let random = &mut ChaCha8Rng::seed_from_u64(0);
        let sample: Vec<Placement> = (0..SAMPLE).map(|_| space.sample(random)).collect();
        let cost = |placement: &Placement| 1.0 + space.cost(placement).extra_flops;
        let mean = sample.iter().map(cost).sum::<f64>() / SAMPLE as f64;
        let placement = sample
            .iter()
            .min_by_key(|placement| placement.earliest_target())
            .expect("there is a sample");
        let train = |steps| {
            workers.seconds_each(|| {
                // The study reports a failed training.
                let steps = Fidelity::of(steps);
                let _ = scorer.train(placement, steps, 0);
            })
        };
        // The first run fills the cache of frozen states.
        train(1);
        let step_seconds = train(TIMED) / f64::from(TIMED) * mean / cost(placement);
        let batches = task.validation.len() as f64 / batch_size.get() as f64;
        Self {
            step_seconds,
            evaluation_seconds: step_seconds * batches / 3.0,
        }
    }

    fn seconds(&self, expected: &Expected) -> f64 {
        let evaluations = expected.trainings as f64 * self.evaluation_seconds;
        expected.steps as f64 * self.step_seconds + evaluations
    }

    /// The seconds for the trainings that are left, if `done` of them are in the journal.
    pub(super) fn seconds_left(&self, expected: &Expected, done: usize) -> f64 {
        let left = expected.trainings.saturating_sub(done);
        self.seconds(expected) * left as f64 / expected.trainings.max(1) as f64
    }

    /// The estimate to print before a study starts, if `done` of its trainings are in its journal.
    pub(super) fn announcement(
        &self,
        configuration: &StudyConfiguration,
        expected: &Expected,
        done: usize,
    ) -> String {
        let left = expected.trainings.saturating_sub(done);
        format!(
            "about {} for {left} trainings{} of {} steps",
            table::duration(self.seconds_left(expected, done)),
            if configuration.search.halving.is_some() {
                ", most of them shorter,"
            } else {
                ""
            },
            configuration.search.steps
        )
    }

    /// The largest number of trials with which the study of `configuration` ends within `left`.
    ///
    /// # Errors
    /// If one trial is too many.
    pub(super) fn trials_within(
        &self,
        left: Duration,
        configuration: &StudyConfiguration,
        space: &SearchSpace,
    ) -> Result<Count> {
        let most = space.approximate_count().min(1e6) as usize;
        let seconds = |trials: usize| {
            let mut configuration = configuration.clone();
            configuration.search.trials = Count::new(trials).expect("at least one is tried");
            self.seconds(&Expected::of(&configuration, space))
        };
        let left = left.as_secs_f64();
        let (mut fits, mut too_many) = (0, most + 1);
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            match seconds(middle) <= left {
                true => fits = middle,
                false => too_many = middle,
            }
        }
        if fits == 0 {
            bail!(
                "one trial and the trainings that judge it take about {}, but only {} of `--until` are left; allow more time, or use \
                 fewer `--steps`",
                table::duration(seconds(1)),
                table::duration(left)
            );
        }
        Ok(Count::new(fits)?)
    }
}
