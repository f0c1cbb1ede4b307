//! The ranking of all trials, and the finalists.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use adaplace_files::{Document, read_json};
use adaplace_scorer::{JointJudgement, Score};
use adaplace_search_space::{Cost, Fidelity, Placement, PlacementHash, SearchSpace};
use adaplace_strategy::{CostObjective, Merit, Objectives, pareto_front};
use serde::{Deserialize, Serialize};

use crate::coupling::coupling;
use crate::finalists::{Finalist, Repeated};
use crate::gradient_map_file::ProbeQuality;
use crate::race::{Race, Raced, standing};
use crate::{Metric, Noise, Phase, Record, SearchSettings, StudyError, TrialResult};

/// The content of `ranking.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// `adaplace.ranking/1`
    pub format: String,
    /// The metric of the ranking.
    pub metric: Metric,
    /// The frozen model with only a linear head.
    pub probe: ProbeQuality,
    /// The baseline: a parallel adapter at every sublayer.
    pub baseline: Repeated,
    /// The repetitions of the placements that the race left, or of the best complete ones without a race; best first.
    pub finalists: Vec<Finalist>,
    /// All placements that raced, best first; empty without a race.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub race: Vec<Raced>,
    /// How reliable a single training is; none with too few repetitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// All trials, best first: longer trainings before shorter ones, failed ones last.
    pub trials: Vec<RankedTrial>,
}

/// One trial of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankedTrial {
    /// Place, from 1.
    pub place: usize,
    /// Its number in the journal.
    pub trial: usize,
    /// The placement's hash.
    pub hash: PlacementHash,
    /// The placement.
    pub placement: Placement,
    /// What it costs.
    pub cost: Cost,
    /// Whether the placement has as many adapters as the space requires. A greedy search also tries smaller ones.
    pub complete: bool,
    /// Whether it is on the Pareto front of the metric and the costs that the search minimised: no other complete
    /// placement is at least as good everywhere and better somewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub front: bool,
    /// Optimiser steps.
    pub steps: Fidelity,
    /// Its score, or the reason of its failure.
    pub result: TrialResult,
}

/// Everything that the ranking is made from.
pub(crate) struct Ended<'a> {
    pub(crate) records: &'a [Record],
    pub(crate) race: &'a Race,
    /// Trial and repetitions of the placements that the race left, best first.
    pub(crate) finalists: Vec<(usize, Repeated)>,
    pub(crate) baseline: Repeated,
    /// The joint judgement of the frozen model.
    pub(crate) joint: Option<&'a JointJudgement>,
}

impl Ranking {
    pub(crate) fn new(
        search: &SearchSettings,
        probe: ProbeQuality,
        space: &SearchSpace,
        ended: Ended<'_>,
    ) -> Self {
        let Ended {
            records,
            race,
            mut finalists,
            baseline,
            joint,
        } = ended;
        let metric = search.metric;
        let front = front(search, space, records);
        let trials = ranked(metric, records)
            .into_iter()
            .enumerate()
            .map(|(index, record)| RankedTrial {
                place: index + 1,
                trial: record.trial,
                hash: record.hash,
                cost: space.cost(&record.placement),
                complete: space.contains(&record.placement),
                placement: record.placement.clone(),
                front: front.contains(&record.trial),
                steps: record.steps,
                result: record.result.clone(),
            })
            .collect();
        let noise = noise(search, probe, space, records, race, &finalists);
        // The repetitions must not choose the winner, or its mean would be biased upwards.
        match race.took_place() {
            true => finalists.sort_by_key(|(_, repeated)| repeated.failures()),
            false => finalists.sort_by_key(|(_, repeated)| {
                Reverse(standing(metric, search.steps, &repeated.results))
            }),
        }
        let finalists = finalists
            .into_iter()
            .enumerate()
            .map(|(index, (trial, repeated))| Finalist {
                place: index + 1,
                trial,
                hash: repeated.placement.hash(),
                coupling: joint.and_then(|joint| coupling(joint, &repeated.placement)),
                repeated,
            })
            .collect();
        Self {
            format: Self::FORMAT.to_owned(),
            metric,
            probe,
            baseline,
            finalists,
            race: race.standings(space),
            noise,
            trials,
        }
    }

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is damaged; the message names it.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        Ok(read_json(path)?)
    }
}

impl Document for Ranking {
    const FORMAT: &'static str = "adaplace.ranking/1";

    fn check(&self) -> Result<(), String> {
        let whole = |finalist: &Finalist| {
            let size = finalist.repeated.placement.len();
            let table = finalist.coupling.as_ref();
            table.is_none_or(|rows| rows.len() == size && rows.iter().all(|row| row.len() == size))
        };
        match self.finalists.iter().find(|finalist| !whole(finalist)) {
            Some(finalist) => Err(format!(
                "the coupling of place {} does not match its connections",
                finalist.place
            )),
            None => Ok(()),
        }
    }
}

/// The trials of the search, best first. Ties and failures are in the order of the trials.
pub(crate) fn ranked(metric: Metric, records: &[Record]) -> Vec<&Record> {
    let mut trials: Vec<(Option<Merit>, &Record)> = records
        .iter()
        .filter(|record| record.phase == Phase::Search)
        .map(|record| (merit(metric, record), record))
        .collect();
    // None is less than any merit.
    trials.sort_by(|(a, first), (b, second)| b.cmp(a).then(first.trial.cmp(&second.trial)));
    trials.into_iter().map(|(_, record)| record).collect()
}

/// Numbers of the trials on the Pareto front; empty if no costs are minimised.
fn front(search: &SearchSettings, space: &SearchSpace, records: &[Record]) -> BTreeSet<usize> {
    if search.costs.is_empty() {
        return BTreeSet::new();
    }
    let complete = complete(search.metric, space, records);
    let on_front = pareto_front(&objectives(&search.costs, space, &complete));
    let members = complete.iter().zip(on_front);
    members
        .filter(|(_, on_front)| *on_front)
        .map(|((record, _), _)| record.trial)
        .collect()
}

/// The scored trials of complete placements, best first.
pub(crate) fn complete<'a>(
    metric: Metric,
    space: &SearchSpace,
    records: &'a [Record],
) -> Vec<(&'a Record, Merit)> {
    ranked(metric, records)
        .into_iter()
        .filter(|record| space.contains(&record.placement))
        .filter_map(|record| Some((record, merit(metric, record)?)))
        .collect()
}

pub(crate) fn objectives(
    costs: &[CostObjective],
    space: &SearchSpace,
    complete: &[(&Record, Merit)],
) -> Vec<Objectives> {
    let points = complete
        .iter()
        .map(|(record, merit)| Objectives::new(*merit, &space.cost(&record.placement), costs));
    points.collect()
}

pub(crate) fn merit(metric: Metric, record: &Record) -> Option<Merit> {
    let score = record.result.score()?;
    metric.merit(record.steps, score)
}

/// The noise from the rungs of the race and the repetitions after it. None of these tables selected its own placements.
fn noise(
    search: &SearchSettings,
    probe: ProbeQuality,
    space: &SearchSpace,
    records: &[Record],
    race: &Race,
    finalists: &[(usize, Repeated)],
) -> Option<Noise> {
    let full = complete(search.metric, space, records);
    let trials: Vec<&Score> = full
        .into_iter()
        .filter(|(record, _)| record.steps == search.steps)
        .filter_map(|(record, _)| record.result.score())
        .collect();
    let mut tables = race.tables().to_vec();
    let repetitions = finalists
        .iter()
        .map(|(_, repeated)| repeated.results.clone());
    tables.push(repetitions.collect());
    Noise::of(&trials, &tables, probe.validation.examples)
}
