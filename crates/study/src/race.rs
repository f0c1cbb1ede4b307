//! The race of the best placements: sequential halving on new orders of the examples that all placements share.

use std::cmp::Reverse;

use adaplace_search_space::{Fidelity, Placement, PlacementHash, SearchSpace};
use adaplace_strategy::Merit;
use serde::{Deserialize, Serialize};

use crate::finalists::Repeated;
use crate::{Metric, Phase, SearchSettings, Training, TrialResult};

/// Number of placements that a race leaves.
const LAST: usize = 2;

/// A placement that raced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raced {
    /// The trial that brought it into the race.
    pub trial: usize,
    /// The placement's hash.
    pub hash: PlacementHash,
    /// The rung on which it was eliminated, from 1; none if it was among the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<usize>,
    /// Its trainings in the race.
    pub repeated: Repeated,
}

/// One rung: its number of placements and the trainings of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rung {
    entrants: usize,
    repetitions: u32,
}

/// The rungs of a race. Half of the placements, rounded up, advance from every rung until two are left. A race of two
/// has one rung, which orders them. Every rung trains each placement twice as often as the one before, so that all
/// rungs cost about the same.
///
/// Karnin, Koren and Somekh, "Almost optimal exploration in multi-armed bandits", 2013.
fn rungs(entrants: usize, repetitions: u32) -> Vec<Rung> {
    let mut rungs = Vec::new();
    if repetitions == 0 || entrants < LAST {
        return rungs;
    }
    let mut next = Rung {
        entrants,
        repetitions,
    };
    loop {
        rungs.push(next);
        next = Rung {
            entrants: next.entrants.div_ceil(2).max(LAST),
            repetitions: next.repetitions.saturating_mul(2),
        };
        if next.entrants == LAST {
            return rungs;
        }
    }
}

/// Number of trainings in a race of `entrants` placements.
#[must_use]
pub fn race_trainings(entrants: usize, repetitions: u32) -> usize {
    let rungs = rungs(entrants, repetitions).into_iter();
    rungs.fold(0, |sum: usize, rung| {
        sum.saturating_add(rung.entrants.saturating_mul(rung.repetitions as usize))
    })
}

/// The entrants of the race: at most `most` different placements of `trials`, which are given best first. Recommended
/// placements come before all others.
pub(crate) fn finalists(
    trials: &[(usize, &Placement)],
    recommended: &[Placement],
    most: usize,
) -> Vec<(usize, Placement)> {
    // The best trial of a placement is its first one.
    let of = |placement: &Placement| trials.iter().find(|(_, one)| *one == placement);
    let order = recommended.iter().filter_map(of).chain(trials);
    let mut chosen: Vec<(usize, Placement)> = Vec::new();
    for &(trial, placement) in order {
        if chosen.len() == most {
            break;
        }
        if !chosen.iter().any(|(_, one)| one == placement) {
            chosen.push((trial, placement.clone()));
        }
    }
    chosen
}

impl SearchSettings {
    /// Number of trainings after a search that found `found` complete placements: the race and the repetitions of the
    /// last two and the baseline. It is smaller if the baseline is among the last.
    #[must_use]
    pub fn trainings_after_search(&self, found: usize) -> usize {
        let entrants = self.finalists.get().min(found);
        let raced = race_trainings(entrants, self.race_repetitions());
        let last = if raced == 0 { entrants } else { LAST };
        raced.saturating_add((last + 1).saturating_mul(self.repetitions.get() as usize))
    }

    /// Repetitions on the first rung. With costs there is no race, as no placement of a Pareto front is dropped.
    pub(crate) fn race_repetitions(&self) -> u32 {
        match self.costs.is_empty() {
            true => self.race,
            false => 0,
        }
    }
}

/// A running race. Its own trainings alone decide it: the trainings of the search selected the entrants, so their
/// scores are biased upwards.
#[derive(Debug, Clone)]
pub(crate) struct Race {
    entrants: Vec<Entrant>,
    /// The remaining placements, best first.
    field: Vec<usize>,
    /// The eliminated placements, best first.
    left: Vec<usize>,
    rungs: Vec<Rung>,
    /// The current rung.
    rung: usize,
    /// The results on each finished rung, a row for each placement.
    tables: Vec<Vec<Vec<TrialResult>>>,
    steps: Fidelity,
    /// The repetition of the first training.
    first: u32,
}

#[derive(Debug, Clone)]
struct Entrant {
    trial: usize,
    placement: Placement,
    results: Vec<TrialResult>,
    left_at: Option<usize>,
}

impl Race {
    /// A race of these trials and placements, best first, with `repetitions` trainings of each on the first rung. The
    /// repetitions are numbered from `first`.
    pub(crate) fn new(
        chosen: Vec<(usize, Placement)>,
        repetitions: u32,
        first: u32,
        steps: Fidelity,
    ) -> Self {
        let entrants: Vec<Entrant> = chosen
            .into_iter()
            .map(|(trial, placement)| Entrant {
                trial,
                placement,
                results: Vec::new(),
                left_at: None,
            })
            .collect();
        Self {
            field: (0..entrants.len()).collect(),
            left: Vec::new(),
            rungs: rungs(entrants.len(), repetitions),
            rung: 0,
            tables: Vec::new(),
            steps,
            first,
            entrants,
        }
    }

    /// The trainings of the current rung, placement by placement; empty when the race is over.
    pub(crate) fn trainings(&self) -> Vec<Training> {
        let Some(rung) = self.rungs.get(self.rung) else {
            return Vec::new();
        };
        let first = self.next_repetition();
        let of_entrant = |&index: &usize| {
            let placement = &self.entrants[index].placement;
            repetitions(first, rung.repetitions).map(|repetition| Training {
                phase: Phase::Race,
                placement: placement.clone(),
                steps: self.steps,
                repetition,
            })
        };
        self.field.iter().flat_map(of_entrant).collect()
    }

    /// The first unused repetition.
    pub(crate) fn next_repetition(&self) -> u32 {
        let done = self.rungs[..self.rung].iter();
        done.fold(self.first, |next, rung| {
            next.saturating_add(rung.repetitions)
        })
    }

    /// Takes the results of the rung's trainings and keeps the better half.
    pub(crate) fn observe(&mut self, metric: Metric, results: &[TrialResult]) {
        let Some(rung) = self.rungs.get(self.rung) else {
            return;
        };
        let table: Vec<Vec<TrialResult>> = results
            .chunks(rung.repetitions as usize)
            .map(<[TrialResult]>::to_vec)
            .collect();
        for (&index, results) in self.field.iter().zip(&table) {
            self.entrants[index].results.extend_from_slice(results);
        }
        self.tables.push(table);
        // Stable: among equal placements the one that was ahead stays ahead.
        let entrants = &self.entrants;
        self.field
            .sort_by_key(|&index| Reverse(standing(metric, self.steps, &entrants[index].results)));
        self.rung += 1;
        let stay = self.rungs.get(self.rung).map_or(LAST, |next| next.entrants);
        let leave = self.field.split_off(stay);
        for &index in &leave {
            self.entrants[index].left_at = Some(self.rung);
        }
        self.left.splice(0..0, leave);
    }

    /// The remaining placements, best first; all entrants if there was no race.
    pub(crate) fn last(&self) -> Vec<(usize, Placement)> {
        let entrants = self.field.iter().map(|&index| &self.entrants[index]);
        entrants
            .map(|entrant| (entrant.trial, entrant.placement.clone()))
            .collect()
    }

    /// Whether there was a race.
    pub(crate) fn took_place(&self) -> bool {
        !self.rungs.is_empty()
    }

    /// The results of every rung, a row for each placement that stood on it.
    pub(crate) fn tables(&self) -> &[Vec<Vec<TrialResult>>] {
        &self.tables
    }

    /// All placements that raced, best first. Those eliminated later come first.
    pub(crate) fn standings(&self, space: &SearchSpace) -> Vec<Raced> {
        if !self.took_place() {
            return Vec::new();
        }
        let raced = self.field.iter().chain(&self.left).map(|&index| {
            let Entrant {
                trial,
                placement,
                results,
                left_at,
            } = &self.entrants[index];
            Raced {
                trial: *trial,
                hash: placement.hash(),
                left_at: *left_at,
                repeated: Repeated::new(placement.clone(), space.cost(placement), results.clone()),
            }
        });
        raced.collect()
    }
}

/// The range of `count` repetitions from `first`.
pub(crate) fn repetitions(first: u32, count: u32) -> std::ops::Range<u32> {
    first..first.saturating_add(count)
}

/// The standing of a placement by its repeated trainings; larger is better. A placement without failures comes first,
/// then the mean merit decides.
pub(crate) fn standing(
    metric: Metric,
    steps: Fidelity,
    results: &[TrialResult],
) -> (Reverse<usize>, Option<Merit>) {
    let merits: Vec<Merit> = results
        .iter()
        .filter_map(TrialResult::score)
        .filter_map(|score| metric.merit(steps, score))
        .collect();
    let mean =
        |value: fn(&Merit) -> f64| merits.iter().map(value).sum::<f64>() / merits.len() as f64;
    // The mean of nothing is NaN, which is not a merit.
    let merit = Merit::new(
        steps,
        mean(|merit| merit.objective),
        mean(|merit| merit.tie_break),
    );
    (Reverse(results.len() - merits.len()), merit)
}

#[cfg(test)]
mod tests {
    use adaplace_analysis::signed_rank_p;
    use adaplace_scorer::{Measures, Score};
    use adaplace_search_space::{AdapterSpec, Connection};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn sizes(entrants: usize, repetitions: u32) -> Vec<(usize, u32)> {
        let rungs = rungs(entrants, repetitions).into_iter();
        rungs
            .map(|rung| (rung.entrants, rung.repetitions))
            .collect()
    }

    #[test]
    fn rungs_halve_the_field_and_double_the_repetitions() {
        assert_eq!(sizes(8, 1), [(8, 1), (4, 2)]);
        assert_eq!(sizes(9, 2), [(9, 2), (5, 4), (3, 8)]);
        assert_eq!(sizes(3, 1), [(3, 1)]);
        assert_eq!(sizes(2, 3), [(2, 3)]);
        assert!(sizes(1, 1).is_empty() && sizes(0, 1).is_empty() && sizes(8, 0).is_empty());
    }

    /// A random accuracy, the same for the same training, with about the noise of 500 examples.
    fn score(study: u64, job: &Training) -> TrialResult {
        let source = job
            .placement
            .connections()
            .map(|connection| connection.source);
        let key = source.fold(study, |key, source| 1_000 * key + u64::from(source));
        let mut random = ChaCha8Rng::seed_from_u64(1_000 * key + u64::from(job.repetition));
        let accuracy = 0.85 + 0.05 * (random.random::<f64>() - 0.5);
        TrialResult::Score(Score {
            train_loss: 0.0,
            validation_loss: 1.0 - accuracy,
            measures: Measures::of_accuracy(accuracy),
        })
    }

    /// The best eight of 32 equally good placements race. Returns how much the winner is above a placement that did not
    /// race, in three repetitions of both.
    fn reported_difference(study: u64) -> f64 {
        let adapter = AdapterSpec::new(2, 1.0).unwrap();
        let job = |source: u16, repetition: u32| Training {
            phase: Phase::Search,
            placement: [(Connection::new(source, 0), adapter)]
                .into_iter()
                .collect(),
            steps: Fidelity::of(1),
            repetition,
        };
        let accuracy = |job: &Training| score(study, job).score().unwrap().measures.headline();
        let mut trials: Vec<Training> = (0..32).map(|source| job(source, 0)).collect();
        trials.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)));
        let chosen = trials.into_iter().take(8).map(|job| job.placement);
        let mut race = Race::new(chosen.enumerate().collect(), 1, 1, Fidelity::of(1));
        loop {
            let jobs = race.trainings();
            if jobs.is_empty() {
                break;
            }
            let results: Vec<TrialResult> = jobs.iter().map(|job| score(study, job)).collect();
            race.observe(Metric::Accuracy, &results);
        }
        let (_, named) = race.last().swap_remove(0);
        let differences = repetitions(race.next_repetition(), 3).map(|repetition| {
            let named = Training {
                placement: named.clone(),
                ..job(0, repetition)
            };
            accuracy(&named) - accuracy(&job(99, repetition))
        });
        differences.sum::<f64>() / 3.0
    }

    /// Equally good placements are compared 200 times, and a search and a race selected one of the two. Few comparisons
    /// may look like a difference.
    #[test]
    fn what_a_race_names_is_seldom_called_better_by_noise_alone() {
        for seeds in [6, 10] {
            let significant = (0..200).filter(|&comparison| {
                let differences: Vec<f64> = (0..seeds)
                    .map(|seed| reported_difference(100 * comparison + seed))
                    .collect();
                signed_rank_p(&differences) < 0.05
            });
            let share = significant.count() as f64 / 200.0;
            assert!(
                share <= 0.07,
                "{share} of the comparisons with {seeds} seeds"
            );
        }
    }
}
