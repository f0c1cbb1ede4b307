//! The result of a comparison.

use adaplace_analysis::{FEWEST_PAIRS, Measured, bootstrap, signed_rank_p};
use adaplace_files::Document;
use adaplace_search_space::{Cost, Placement};
use adaplace_study::Metric;
use adaplace_task::ProblemKind;
use serde::{Deserialize, Deserializer, Serialize};

use super::ComparisonSettings;
use super::finals::Final;

/// The content of `comparison.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// `adaplace.comparison-result/2`
    pub format: String,
    /// The metric on the validation part that placements were chosen by.
    pub metric: Metric,
    /// Optimiser steps of each strategy with each seed.
    pub budget_steps: u64,
    /// Hidden states of the backbone.
    pub hidden_states: u16,
    /// Mean duration in seconds of one training of `parallel-everywhere` as long as its final ones. It depends on
    /// machine and load; none in a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub everywhere_seconds: Option<f64>,
    /// The competitors by mean test accuracy, best first.
    pub competitors: Vec<Competed>,
}

impl Comparison {
    /// Name of its file in the folder of the comparison.
    pub const FILE: &str = "comparison.json";
}

impl Document for Comparison {
    const FORMAT: &'static str = "adaplace.comparison-result/2";

    // That format had a single final training per seed, called `last`.
    const ALSO_READ: &'static [&'static str] = &["adaplace.comparison-result/1"];
}

/// The results of one competitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Competed {
    /// Its name.
    pub name: String,
    /// Its results, seed by seed.
    pub seeds: Vec<SeedResult>,
    /// Mean of the headline measure on the test part, the accuracy of a classification, with its 95 % bootstrap interval
    /// over the seeds; none if a final training failed.
    #[serde(rename = "test_accuracy")]
    pub test_headline: Option<Measured>,
    /// Mean test loss with its 95 % bootstrap interval over the seeds; none if a final training failed.
    pub test_loss: Option<Measured>,
    /// The difference to `random`, if that takes part and is another competitor.
    pub against_random: Option<Difference>,
}

/// The result of a competitor with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedResult {
    /// The seed, from 1.
    pub seed: u32,
    /// The placement that it chose.
    pub placement: Placement,
    /// What the placement costs.
    pub cost: Cost,
    /// Optimiser steps of its trials and its race.
    pub steps: u64,
    /// Duration of its search; none in a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<SearchSeconds>,
    /// The trials of complete placements that were the best so far, in order.
    pub curve: Vec<Improvement>,
    /// The final trainings, each on a new order of the examples; empty if one failed.
    #[serde(alias = "last", deserialize_with = "one_or_several")]
    pub finals: Vec<Final>,
}

/// Reads the final trainings of this format, or the single one or null of the first format.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Final>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Finals {
        Several(Vec<Final>),
        One(Option<Final>),
    }
    Ok(match Finals::deserialize(deserializer)? {
        Finals::Several(finals) => finals,
        Finals::One(one) => one.into_iter().collect(),
    })
}

/// The duration of a search in seconds, as if it had run alone. It depends on machine and load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSeconds {
    /// Its trials and its race, including trainings that another search had already done.
    pub trials: f64,
    /// Gradient maps, judgements and the strategy's decisions, including work that was already done.
    pub judgements: f64,
}

/// A point of a best-so-far curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Improvement {
    /// Optimiser steps spent, including this trial.
    pub steps: u64,
    /// The metric on the validation part.
    pub value: f64,
}

/// Paired differences of the headline measure on the test part, competitor minus `random`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The mean with its 95 % bootstrap interval.
    pub mean: Measured,
    /// Two-sided p-value of the Wilcoxon signed-rank test; none with fewer than [`FEWEST_PAIRS`] seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
}

impl SeedResult {
    /// Mean of the final trainings' headline measure on the test part; none if one failed.
    #[must_use]
    pub fn test_headline(&self) -> Option<f64> {
        average(self.finals.iter().map(|last| last.test.measures.headline()))
    }

    /// Mean test loss of the final trainings; none if one failed.
    #[must_use]
    pub fn test_loss(&self) -> Option<f64> {
        average(self.finals.iter().map(|last| last.test.loss))
    }
}

impl Comparison {
    /// The kind of problem that the task is.
    #[must_use]
    pub fn problem(&self) -> ProblemKind {
        let seeds = self.competitors.iter().flat_map(|one| &one.seeds);
        let mut finals = seeds.flat_map(|seed| &seed.finals);
        let problem = finals.next().map(|one| one.test.measures.problem());
        problem.unwrap_or(ProblemKind::Classification)
    }

    /// The metric that competitors are judged by on the test part.
    #[must_use]
    pub fn judged_by(&self) -> Metric {
        Metric::headline(self.problem())
    }

    /// Mean cost of the search of `competed` over its seeds, in trainings of `parallel-everywhere` as long as its final
    /// ones. The unit is a trial in a replay, which measures no time. `None` if nothing was measured.
    #[must_use]
    pub fn search_cost(&self, competed: &Competed, settings: &ComparisonSettings) -> Option<f64> {
        let of_seed = |result: &SeedResult| {
            if settings.replayed {
                return Some(result.steps as f64 / f64::from(settings.steps.steps()));
            }
            let seconds = result.seconds?;
            Some((seconds.trials + seconds.judgements) / self.everywhere_seconds?)
        };
        let costs: Option<Vec<f64>> = competed.seeds.iter().map(of_seed).collect();
        let costs = costs.filter(|costs| !costs.is_empty())?;
        Some(costs.iter().sum::<f64>() / costs.len() as f64)
    }
}

impl Competed {
    /// Means and intervals over the seeds. `seed` determines the bootstrap intervals.
    pub(super) fn new(name: String, seeds: Vec<SeedResult>, seed: u64) -> Self {
        let of = |value: fn(&SeedResult) -> Option<f64>| {
            let values: Option<Vec<f64>> = seeds.iter().map(value).collect();
            mean(&values?, seed)
        };
        Self {
            name,
            test_headline: of(SeedResult::test_headline),
            test_loss: of(SeedResult::test_loss),
            against_random: None,
            seeds,
        }
    }

    /// The p-value of the difference to `random`; none with fewer than [`FEWEST_PAIRS`] seeds, even if an older file
    /// has one.
    #[must_use]
    pub fn p_value(&self) -> Option<f64> {
        let enough = self.seeds.len() >= FEWEST_PAIRS;
        self.against_random?.p_value.filter(|_| enough)
    }

    /// Compares with `random`, seed by seed.
    pub(super) fn compare_with(&mut self, random: &[SeedResult], seed: u64) {
        let pairs = self.seeds.iter().zip(random);
        let differences: Option<Vec<f64>> = pairs
            .map(|(own, random)| Some(own.test_headline()? - random.test_headline()?))
            .collect();
        self.against_random =
            differences.and_then(|differences| Difference::of(&differences, seed));
    }
}

impl Difference {
    /// The difference from paired differences; none if there are none.
    #[must_use]
    pub fn of(differences: &[f64], seed: u64) -> Option<Self> {
        Some(Self {
            mean: mean(differences, seed)?,
            p_value: (differences.len() >= FEWEST_PAIRS).then(|| signed_rank_p(differences)),
        })
    }
}

fn mean(values: &[f64], seed: u64) -> Option<Measured> {
    let whole = average(values.iter().copied())?;
    let interval = bootstrap(values.len(), seed, |drawn| {
        average(drawn.iter().map(|&index| values[index]))
    });
    Some(Measured::new(whole, interval))
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::Statistic;
    use adaplace_search_space::Fidelity;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::Baseline;
    use adaplace_search_space::{Count, Positive, Seed};

    use super::*;

    #[test]
    fn differences_by_hand() {
        let difference = Difference::of(&[0.02, 0.04, 0.03, 0.01, 0.05, 0.06], 0).unwrap();
        assert!((difference.mean.value - 0.035).abs() < 1e-12);
        assert!(difference.mean.low.unwrap() > 0.0 && difference.mean.high.unwrap() < 0.06);
        // All six have the same sign: 2 of 64 patterns.
        assert!((difference.p_value.unwrap() - 2.0 / 64.0).abs() < 1e-12);
        assert_eq!(Difference::of(&[], 0), None);
        // The smallest p-value of five pairs is 2 of 32 patterns.
        let of_five = Difference::of(&[0.02, 0.04, 0.03, 0.01, 0.05], 0).unwrap();
        assert_eq!(of_five.p_value, None);
    }

    fn seed(seed: u32, steps: u64, seconds: Option<SearchSeconds>) -> SeedResult {
        SeedResult {
            seed,
            placement: Placement::new(),
            cost: Cost {
                adapters: 0,
                parameters: 0,
                extra_flops: 0.0,
            },
            steps,
            seconds,
            curve: Vec::new(),
            finals: Vec::new(),
        }
    }

    /// The first format had one final training, or null for a failed one.
    #[test]
    fn the_first_format_is_read() {
        let read = |last: &str| -> SeedResult {
            let text = format!(
                r#"{{"seed":1,"placement":[],"cost":{{"adapters":0,"parameters":0,"extra_flops":0.0}},"steps":64,
                    "curve":[],"last":{last}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let last = r#"{"candidates":[],"learning_rate":null,"test":{"loss":0.5,"accuracy":0.75,"examples":4}}"#;
        assert_eq!(read(last).test_headline(), Some(0.75));
        assert_eq!(read("null").test_headline(), None);
    }

    /// (8 + 2) / 4 and (5 + 1) / 4 trainings; in a replay 64 and 32 steps in trials of 16.
    #[test]
    fn costs_of_searches_by_hand() {
        let seconds = |trials, judgements| Some(SearchSeconds { trials, judgements });
        let seeds = vec![
            seed(1, 64, seconds(8.0, 2.0)),
            seed(2, 32, seconds(5.0, 1.0)),
        ];
        let competed = Competed::new("greedy".to_owned(), seeds, 0);
        let mut comparison = Comparison {
            format: Comparison::FORMAT.to_owned(),
            metric: Metric::Accuracy,
            budget_steps: 64,
            hidden_states: 13,
            everywhere_seconds: Some(4.0),
            competitors: Vec::new(),
        };
        let mut settings = ComparisonSettings {
            seed: Seed::of(0),
            seeds: 2,
            budget_steps: 64,
            steps: Fidelity::of(16),
            proposals: Count::of(8),
            metric: Metric::Accuracy,
            statistic: Statistic::Rank.into(),
            race: 0,
            baselines: Baseline::ALL.to_vec(),
            random_parallel: Count::of(16),
            final_steps: Fidelity::of(64),
            final_repetitions: 1,
            learning_rates: vec![Positive::of(0.01)],
            replayed: false,
        };
        assert_eq!(comparison.search_cost(&competed, &settings), Some(2.0));
        comparison.everywhere_seconds = None;
        assert_eq!(comparison.search_cost(&competed, &settings), None);
        settings.replayed = true;
        assert_eq!(comparison.search_cost(&competed, &settings), Some(3.0));
    }

    /// A file of an earlier version, which has a p-value for five seeds and no durations.
    #[test]
    fn p_values_that_mean_nothing_are_not_passed_on() {
        let mut competed = Competed::new("greedy".to_owned(), vec![seed(1, 64, None); 5], 0);
        let mean = Measured {
            value: 0.01,
            low: None,
            high: None,
        };
        competed.against_random = Some(Difference {
            mean,
            p_value: Some(0.0625),
        });
        assert_eq!(competed.p_value(), None);
        competed.seeds.push(seed(6, 64, None));
        assert_eq!(competed.p_value(), Some(0.0625));
    }

    /// Accuracies on 500 test examples that differ by chance alone: few of 200 comparisons may look like a difference.
    #[test]
    fn noise_is_seldom_called_a_difference() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for seeds in [6, 10, 20] {
            let mut accuracy = || {
                let right = (0..500).filter(|_| random.random_bool(0.85)).count();
                right as f64 / 500.0
            };
            let significant = (0..200).filter(|&seed| {
                let differences: Vec<f64> = (0..seeds).map(|_| accuracy() - accuracy()).collect();
                let difference = Difference::of(&differences, seed).unwrap();
                difference.p_value.unwrap() < 0.05
            });
            let share = significant.count() as f64 / 200.0;
            assert!(
                share <= 0.07,
                "{share} of the comparisons with {seeds} seeds"
            );
        }
    }
}
