use std::collections::BTreeSet;

use adaplace_files::Document;
use adaplace_scorer::{Statistics, TrainingSettings};
use adaplace_search_space::{
    ConnectionKind, Count, Fidelity, Positive, SearchSpace, Seed, SpaceDescription,
};
use adaplace_strategy::StrategyDescription;
use adaplace_study::{
    BackboneSource, Configuration, GradientMapSource, Metric, PreparationSettings, StudyError,
    TaskSource, race_trainings,
};
use serde::{Deserialize, Serialize};

use super::repetitions::SPAN;
use super::{Baseline, Competitor};
use crate::ExperimentError;

/// The format written and read by this version.
pub const COMPARISON_FORMAT: &str = "adaplace.comparison/1";

/// The largest number of placements that race.
const MOST_FINALISTS: usize = 8;

/// A race takes at most 1 / `RACE_SHARE` of the trainings.
const RACE_SHARE: usize = 4;

/// Keeps the repetitions of the largest race, three for each training on the first rung, below [`SPAN`].
const MOST_ON_FIRST_RUNG: u32 = SPAN / 4;

/// The content of `comparison.toml`: everything that a comparison depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonConfiguration {
    /// [`COMPARISON_FORMAT`]
    pub format: String,
    /// Budgets, seeds and final trainings.
    pub comparison: ComparisonSettings,
    /// The strategies, each once.
    pub strategies: Vec<StrategyDescription>,
    /// The frozen model.
    pub backbone: BackboneSource,
    /// The task.
    pub task: TaskSource,
    /// How adapters are trained. Final trainings have their own learning rates.
    pub training: TrainingSettings,
    /// Settings of the gradient map.
    pub gradient_map: GradientMapSource,
    /// The search space and its budget.
    pub space: SpaceDescription,
}

/// The budgets, seeds and final trainings of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonSettings {
    /// The seed of the choice of examples. With seed r of the comparison, a strategy's seed is this one plus r.
    pub seed: Seed,
    /// Number of seeds, at least 2.
    pub seeds: u32,
    /// Optimiser steps of one strategy with one seed, including its race. Gradient maps and judgements are extra;
    /// [`super::Comparison::search_cost`] counts them.
    pub budget_steps: u64,
    /// Optimiser steps of a trial.
    pub steps: Fidelity,
    /// Number of placements that a strategy proposes at a time.
    pub proposals: Count,
    /// The metric on the validation part that ranks trials and the learning rates of a final training.
    pub metric: Metric,
    /// The connection score.
    pub statistic: Statistics,
    /// Trainings of each placement on the first rung of the race that ends every strategy's search. With 0, the value
    /// of older files, there is no race, and a strategy chooses by its trials.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub race: u32,
    /// The baselines that take part in addition to the strategies; all of them in older files.
    #[serde(default = "all_baselines", skip_serializing_if = "are_all")]
    pub baselines: Vec<Baseline>,
    /// Number of random placements that each of the two random baselines tries: parallel ones, and any of the space.
    pub random_parallel: Count,
    /// Optimiser steps of a final training.
    pub final_steps: Fidelity,
    /// Final trainings of each placement, whose mean on the test part counts; 1 in older files.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub final_repetitions: u32,
    /// Highest learning rates of the adapters. Every final training tries all of them.
    pub learning_rates: Vec<Positive>,
    /// Whether scores are looked up in a placement bench, which has no placement with adapters at every sublayer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

fn all_baselines() -> Vec<Baseline> {
    Baseline::ALL.to_vec()
}

fn are_all(baselines: &[Baseline]) -> bool {
    Baseline::ALL.iter().all(|one| baselines.contains(one))
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ComparisonSettings {
    /// Number of trainings of one strategy with one seed, including its race.
    #[must_use]
    pub fn trainings(&self) -> usize {
        (self.budget_steps / u64::from(self.steps.steps())) as usize
    }

    /// Number of placements that race at the end of a search: at most eight, in a race that takes at most a quarter of
    /// the trainings; 1 if there is no race.
    #[must_use]
    pub fn finalists(&self) -> usize {
        let affordable = self.trainings() / RACE_SHARE;
        let mut sizes = (2..=MOST_FINALISTS).rev();
        sizes
            .find(|&size| race_trainings(size, self.race) <= affordable)
            .unwrap_or(1)
    }

    /// Number of trials of one strategy with one seed: the trainings that its race leaves.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.trainings() - race_trainings(self.finalists(), self.race)
    }
}

impl ComparisonConfiguration {
    /// The baselines and the strategies. A space can be too small for some: see [`super::run_comparison`].
    #[must_use]
    pub fn competitors(&self) -> Vec<Competitor> {
        let Self {
            comparison: settings,
            strategies,
            space,
            ..
        } = self;
        let kinds = &space.connections.kinds;
        // A bench may lack the placement of a baseline.
        let known = |baseline: Baseline| match baseline {
            Baseline::LinearProbe | Baseline::LargestGradients | Baseline::BestRandom => true,
            Baseline::BestRandomParallel => kinds.contains(&ConnectionKind::Parallel),
            _ => false,
        };
        let mut baselines = Baseline::ALL.to_vec();
        baselines
            .retain(|&one| settings.baselines.contains(&one) && (!settings.replayed || known(one)));
        // It comes after all others that train, so that the journal of an unfinished comparison of an earlier version
        // can be resumed.
        let last = baselines.pop_if(|one| *one == Baseline::BestRandom);
        let of_baseline = |one: Baseline| Competitor::Baseline(one, settings.random_parallel.get());
        let before = baselines.into_iter().map(of_baseline);
        let strategies = strategies.iter().cloned().map(Competitor::Strategy);
        let last = last.into_iter().map(of_baseline);
        before.chain(strategies).chain(last).collect()
    }

    /// Checks that every number is in its range and that no strategy is named twice.
    ///
    /// # Errors
    /// [`StudyError::OutOfRange`] or [`ExperimentError::NamedTwice`] for the first violation.
    pub fn check(&self) -> Result<(), ExperimentError> {
        let settings = &self.comparison;
        let rates = &settings.learning_rates;
        let checks: [(&'static str, String, bool, &'static str); 7] = [
            (
                "seeds",
                settings.seeds.to_string(),
                settings.seeds >= 2,
                "at least 2, to estimate the uncertainty of differences",
            ),
            (
                "seeds",
                settings.seeds.to_string(),
                settings.seeds <= SPAN,
                "at most 1000",
            ),
            (
                "race",
                settings.race.to_string(),
                settings.race <= MOST_ON_FIRST_RUNG,
                "at most 250",
            ),
            (
                "strategies",
                "empty".to_owned(),
                !self.strategies.is_empty(),
                "at least one strategy",
            ),
            (
                "budget_steps",
                settings.budget_steps.to_string(),
                settings.trials() > 0,
                "at least the steps of one trial",
            ),
            (
                "final_repetitions",
                settings.final_repetitions.to_string(),
                (1..SPAN).contains(&settings.final_repetitions),
                "from 1 to 999",
            ),
            (
                "learning_rates",
                format!("{rates:?}"),
                !rates.is_empty(),
                "one or more numbers above 0",
            ),
        ];
        for (setting, value, holds, range) in checks {
            if !holds {
                return Err(StudyError::OutOfRange {
                    setting,
                    value,
                    range,
                }
                .into());
            }
        }
        let mut names = BTreeSet::new();
        for strategy in &self.strategies {
            if !names.insert(strategy.name()) {
                return Err(ExperimentError::NamedTwice {
                    strategy: strategy.name(),
                });
            }
        }
        Ok(())
    }
}

impl Document for ComparisonConfiguration {
    const FORMAT: &'static str = COMPARISON_FORMAT;

    fn check(&self) -> Result<(), String> {
        Self::check(self).map_err(|error| error.to_string())
    }
}

impl Configuration for ComparisonConfiguration {
    const FILE: &'static str = "comparison.toml";

    fn preparation(&self, space: &SearchSpace) -> PreparationSettings {
        let settings = &self.comparison;
        PreparationSettings {
            training: self.training,
            gradient_map: self.gradient_map.clone(),
            connections: self.gradient_map.connections.of(space),
            statistics: settings.statistic.clone(),
            steps: settings.steps,
            seed: settings.seed,
        }
    }

    fn at_the_places_of(&self, other: &Self) -> Self {
        let mut moved = self.clone();
        moved.backbone.folder.clone_from(&other.backbone.folder);
        moved.task.folder.clone_from(&other.task.folder);
        moved
    }

    /// Lets the competitors, their number of placements, the seeds, the budget and the repetitions change.
    fn growing_as(&self, wanted: &Self) -> Self {
        let settings = &wanted.comparison;
        Self {
            comparison: ComparisonSettings {
                seeds: settings.seeds,
                budget_steps: settings.budget_steps,
                baselines: settings.baselines.clone(),
                random_parallel: settings.random_parallel,
                final_repetitions: settings.final_repetitions,
                ..self.comparison.clone()
            },
            strategies: wanted.strategies.clone(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::Statistic;

    use super::*;

    /// A race takes n trainings and, for n of five or more, twice half of n more. Two trainings of each on the first
    /// rung double it.
    #[test]
    fn a_race_takes_a_quarter_of_the_trainings_at_most() {
        let steps = Fidelity::of(16);
        let of = |trainings: u64, race: u32| {
            let settings = ComparisonSettings {
                seed: Seed::of(0),
                seeds: 2,
                budget_steps: 16 * trainings + 15,
                steps,
                proposals: Count::of(8),
                metric: Metric::Accuracy,
                statistic: Statistic::Rank.into(),
                race,
                baselines: Baseline::ALL.to_vec(),
                random_parallel: Count::of(16),
                final_steps: steps,
                final_repetitions: 1,
                learning_rates: vec![Positive::of(0.01)],
                replayed: false,
            };
            assert_eq!(settings.trainings() as u64, trainings);
            (settings.trials(), settings.finalists())
        };
        for (trainings, expected) in [
            (1, (1, 1)),
            (7, (7, 1)),
            (8, (6, 2)),
            (16, (12, 4)),
            (43, (39, 4)),
            (44, (33, 5)),
            (48, (36, 6)),
            (63, (48, 7)),
            (64, (48, 8)),
            (256, (240, 8)),
        ] {
            assert_eq!(of(trainings, 1), expected, "{trainings}");
        }
        assert_eq!(of(15, 2), (15, 1));
        assert_eq!(of(16, 2), (12, 2));
        assert_eq!(of(64, 2), (56, 4));
        assert_eq!(of(128, 2), (96, 8));
        assert_eq!(of(64, 0).0, 64);
    }
}
