//! The state of a study, finished or not.

use adaplace_analysis::Estimate;
use adaplace_scorer::{Score, Statistic};
use adaplace_search_space::{ConnectionTable, Cost, Placement};
use adaplace_study::{
    Finalist, Metric, Noise, Phase, ProbeQuality, Raced, Record, Repeated, StoredStudy, TrialResult,
};
use adaplace_task::ProblemKind;
use maud::Markup;

use crate::document::fact;
use crate::metric::{name, unit};
use crate::numbers::{duration, grouped};

/// A study with its trials in order.
pub(super) struct Overview<'a> {
    pub(super) study: &'a StoredStudy,
    /// All trials, best first.
    pub(super) trials: Vec<Trial<'a>>,
    /// The finalists, or the best trials so far of an unfinished study.
    pub(super) candidates: Vec<Candidate>,
    /// The baseline; none for an unfinished study.
    pub(super) baseline: Option<Candidate>,
    pub(super) probe: Option<ProbeQuality>,
}

/// The known costs of a placement.
#[derive(Clone, Copy)]
pub(super) struct Costs {
    pub(super) parameters: Option<u64>,
    /// Extra FLOPs. They are only in the ranking, as computing them needs the backbone.
    pub(super) extra_flops: Option<f64>,
}

/// A trial with the costs of its placement.
pub(super) struct Trial<'a> {
    pub(super) place: usize,
    pub(super) record: &'a Record,
    pub(super) costs: Costs,
    /// Whether it has all adapters and all steps, so that it can be compared with other such trials.
    pub(super) is_full: bool,
}

/// One of the best placements.
pub(super) struct Candidate {
    pub(super) placement: Placement,
    /// Its value of the study's metric.
    pub(super) value: Option<Estimate>,
    /// The headline measure: accuracy for a classification.
    pub(super) headline: Option<Estimate>,
    pub(super) loss: Option<Estimate>,
    /// Its values of [`others`].
    pub(super) others: Vec<Option<Estimate>>,
    pub(super) costs: Costs,
}

/// The metrics that the table of placements shows besides the headline measure and the loss. A classification has too
/// many for a table; `--metric` shows one of them.
pub(super) fn others(problem: ProblemKind) -> Vec<Metric> {
    if problem == ProblemKind::Classification {
        return Vec::new();
    }
    let all = Metric::of_problem(problem).iter().copied();
    all.filter(|metric| !metric.is_of_two(problem)).collect()
}

impl From<Cost> for Costs {
    fn from(cost: Cost) -> Self {
        Self {
            parameters: Some(cost.parameters),
            extra_flops: Some(cost.extra_flops),
        }
    }
}

impl Trial<'_> {
    pub(super) fn score(&self) -> Option<&Score> {
        self.record.result.score()
    }

    /// Its tooltip.
    pub(super) fn label(&self, metric: Metric) -> String {
        let connections = crate::numbers::connections(&self.record.placement);
        match self.score() {
            Some(score) => {
                let value = unit(metric).show(metric.value(score));
                format!("trial {}: {connections}, {value}", self.record.trial)
            }
            None => format!("trial {}: {connections}, failed", self.record.trial),
        }
    }
}

impl Candidate {
    fn repeated(repeated: &Repeated, metric: Metric) -> Self {
        let score = repeated.results.iter().find_map(TrialResult::score);
        let others = score.map_or_else(Vec::new, |score| others(score.measures.problem()));
        Self {
            others: others.iter().map(|&one| repeated.estimate(one)).collect(),
            placement: repeated.placement.clone(),
            value: repeated.estimate(metric),
            headline: repeated.headline(),
            loss: repeated.validation_loss,
            costs: repeated.cost.into(),
        }
    }

    fn single(trial: &Trial<'_>, score: &Score, metric: Metric) -> Self {
        let single = |mean| {
            Some(Estimate {
                mean,
                standard_error: None,
            })
        };
        Self {
            placement: trial.record.placement.clone(),
            value: single(metric.value(score)),
            headline: single(score.measures.headline()),
            others: others(score.measures.problem())
                .into_iter()
                .map(|one| single(one.value(score)))
                .collect(),
            loss: single(score.validation_loss),
            costs: trial.costs,
        }
    }
}

impl<'a> Overview<'a> {
    pub(super) fn new(study: &'a StoredStudy) -> Self {
        let metric = study.configuration.search.metric;
        let width = study.gradient_map.as_ref().map(|map| map.backbone.width);
        let ranking = study.ranking.as_ref();
        let mut costs: Vec<Option<Cost>> = vec![None; study.records.len()];
        for ranked in ranking.iter().flat_map(|ranking| &ranking.trials) {
            costs[ranked.trial] = Some(ranked.cost);
        }
        let counted = |placement: &Placement| {
            let parameters = |width| {
                placement
                    .iter()
                    .map(move |(_, adapter)| adapter.parameters(width))
                    .sum()
            };
            Costs {
                parameters: width.map(parameters),
                extra_flops: None,
            }
        };
        let steps = study.configuration.search.steps;
        let trials = (1..).zip(study.ranked()).map(|(place, record)| Trial {
            place,
            record,
            costs: costs[record.trial].map_or_else(|| counted(&record.placement), Costs::from),
            is_full: record.steps == steps && study.is_complete(&record.placement),
        });
        let trials: Vec<Trial<'a>> = trials.collect();
        let candidates = match ranking {
            Some(ranking) => ranking
                .finalists
                .iter()
                .map(|finalist| Candidate::repeated(&finalist.repeated, metric))
                .collect(),
            None => best_trials(study, &trials),
        };
        Self {
            study,
            candidates,
            baseline: ranking.map(|ranking| Candidate::repeated(&ranking.baseline, metric)),
            probe: ranking
                .map(|ranking| ranking.probe)
                .or(study.gradient_map.as_ref().map(|map| map.probe)),
            trials,
        }
    }

    pub(super) fn metric(&self) -> Metric {
        self.study.configuration.search.metric
    }

    /// The metric in words, such as `validation accuracy`.
    pub(super) fn metric_name(&self) -> String {
        name(self.metric(), self.problem())
    }

    /// The kind of problem that the task is.
    pub(super) fn problem(&self) -> ProblemKind {
        let probe = self.probe.map(|probe| probe.validation.measures);
        let mut scores = self.trials.iter().filter_map(Trial::score);
        let measures = probe.or_else(|| scores.next().map(|score| score.measures));
        measures.map_or(ProblemKind::Classification, |of| of.problem())
    }

    /// The metric that every table shows besides the loss.
    pub(super) fn headline(&self) -> Metric {
        Metric::headline(self.problem())
    }

    /// The connection scores that the study uses: its statistic, or the mean rank of several and then each of them.
    pub(super) fn connection_scores(&self) -> Vec<(String, ConnectionTable)> {
        let Some(map) = &self.study.gradient_map else {
            return Vec::new();
        };
        let statistics = &self.study.configuration.search.statistic;
        let each = statistics.as_slice().iter();
        let tables: Vec<(&Statistic, &ConnectionTable)> = each
            .filter_map(|statistic| Some((statistic, map.statistics.get(statistic)?)))
            .collect();
        let mut connection_scores = Vec::new();
        if tables.len() > 1 {
            let tables: Vec<&ConnectionTable> = tables.iter().map(|&(_, table)| table).collect();
            let name = format!("mean rank by {statistics}");
            connection_scores.push((name, statistics.connection_scores(&tables)));
        }
        let singles = tables.into_iter();
        connection_scores
            .extend(singles.map(|(statistic, table)| (statistic.to_string(), table.clone())));
        connection_scores
    }

    /// All placements that raced, best first.
    pub(super) fn race(&self) -> &'a [Raced] {
        let ranking = self.study.ranking.as_ref();
        ranking.map_or(&[], |ranking| &ranking.race)
    }

    /// How reliable a single training is.
    pub(super) fn noise(&self) -> Option<&Noise> {
        self.study.ranking.as_ref()?.noise.as_ref()
    }

    /// The finalist in first place.
    pub(super) fn first(&self) -> Option<&'a Finalist> {
        self.study.ranking.as_ref()?.finalists.first()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.study.ranking.is_some()
    }

    pub(super) fn probe_value(&self) -> Option<f64> {
        let value = self.metric().of_evaluation(&self.probe?.validation);
        value.is_finite().then_some(value)
    }

    /// The trials with all adapters, all steps and a score, best first.
    pub(super) fn full(&self) -> impl Iterator<Item = (&Trial<'a>, &Score)> {
        let full = self.trials.iter().filter(|trial| trial.is_full);
        full.filter_map(|trial| Some((trial, trial.score()?)))
    }

    /// The trials with all steps and a score, with the value of the score.
    pub(super) fn long(&self) -> impl Iterator<Item = (&Trial<'a>, f64)> {
        let (metric, steps) = (self.metric(), self.study.configuration.search.steps);
        let long = self
            .trials
            .iter()
            .filter(move |trial| trial.record.steps == steps);
        long.filter_map(move |trial| Some((trial, metric.value(trial.score()?))))
    }

    /// A sentence or two that describe the study.
    pub(super) fn lead(&self) -> String {
        let configuration = &self.study.configuration;
        let search = &configuration.search;
        let budget = &configuration.space.budget;
        let adapters = match (
            budget.min_adapters.unwrap_or(budget.adapters),
            budget.adapters,
        ) {
            (1, 1) => "1 adapter".to_owned(),
            (fewest, most) if fewest == most => format!("{most} adapters"),
            (fewest, most) => format!("{fewest} to {most} adapters"),
        };
        let mut text = match self.is_finished() {
            true => format!("{} trials of", grouped(self.trials.len() as u64)),
            false => format!(
                "Unfinished: {} trials of {} so far of",
                grouped(self.trials.len() as u64),
                grouped(search.trials.get() as u64)
            ),
        };
        text.push_str(&format!(
            " the strategy {}: where to put {adapters}",
            configuration.strategy.name()
        ));
        if let Some(map) = &self.study.gradient_map {
            text.push_str(&format!(
                " in a {} with {} hidden states of width {}, for the task {}",
                map.backbone.model_type, map.backbone.hidden_states, map.backbone.width, map.task
            ));
        }
        text.push_str(&format!(". Ranked by {}.", self.metric_name()));
        text
    }

    /// The main results, as a few numbers.
    pub(super) fn facts(&self) -> Vec<Markup> {
        let (metric, search) = (self.metric(), &self.study.configuration.search);
        let unit = unit(metric);
        let mut facts = Vec::new();
        let mut add = |name: &str, value: String, note: String| facts.push(fact(name, value, note));
        if let Some(best) = self.candidates.first() {
            let (title, trained) = match self.is_finished() {
                true => ("best placement", repetitions(search.repetitions.get())),
                false => ("best so far", "one training".to_owned()),
            };
            let note = format!("{}, {trained}", self.metric_name());
            add(title, unit.estimate(best.value), note);
        }
        if let Some(baseline) = &self.baseline {
            let parameters = baseline.costs.parameters.map_or(String::new(), grouped);
            let note = format!("baseline, {parameters} parameters");
            let value = unit.estimate(baseline.value);
            add("parallel at every sublayer", value, note);
        }
        if let Some(probe) = self.probe_value() {
            let start = self.problem().start();
            add(start, unit.show(probe), "no adapter".to_owned());
        }
        if let Some(own) = self.noise().and_then(|noise| noise.of_metric(metric)) {
            let least = match metric.is_share() {
                true => format!("{:.1} points", 100.0 * own.least_difference),
                false => format!("{:.3}", own.least_difference),
            };
            let note = format!("differences below {least} mean nothing");
            let agreement = format!("{:.2}", own.agreement);
            add("agreement of two trainings", agreement, note);
        }
        let failed = self
            .trials
            .iter()
            .filter(|trial| trial.score().is_none())
            .count();
        let note = match failed {
            0 => "none failed".to_owned(),
            failed => format!("{} failed", grouped(failed as u64)),
        };
        add("trials", grouped(self.trials.len() as u64), note);
        let records = &self.study.records;
        let steps: u64 = records
            .iter()
            .map(|record| u64::from(record.steps.steps()))
            .sum();
        let seconds: f64 = records.iter().map(|record| record.seconds).sum();
        let note = format!(
            "in {} trainings, {}",
            grouped(records.len() as u64),
            duration(seconds)
        );
        add("optimiser steps", grouped(steps), note);
        facts
    }

    /// The trainings of the search, in order of time.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Record> {
        let records = self.study.records.iter();
        records.filter(|record| record.phase == Phase::Search)
    }
}

pub(super) fn repetitions(count: u32) -> String {
    match count {
        1 => "trained once more".to_owned(),
        count => format!("mean of {count} ± standard error"),
    }
}

/// The best complete placements, each once.
fn best_trials(study: &StoredStudy, trials: &[Trial<'_>]) -> Vec<Candidate> {
    let metric = study.configuration.search.metric;
    let mut best: Vec<Candidate> = Vec::new();
    for trial in trials {
        let placement = &trial.record.placement;
        let known = best
            .iter()
            .any(|candidate| candidate.placement == *placement);
        if let TrialResult::Score(score) = &trial.record.result
            && !known
            && study.is_complete(placement)
        {
            best.push(Candidate::single(trial, score, metric));
        }
        if best.len() == study.configuration.search.finalists.get() {
            break;
        }
    }
    best
}
