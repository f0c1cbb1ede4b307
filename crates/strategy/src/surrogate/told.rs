//! The outcomes that the model was told.

use std::collections::{BTreeMap, BTreeSet};

use adaplace_search_space::{Fidelity, Placement};

use super::model::{Observation, Point};
use crate::{Outcome, Proposal};

/// All outcomes in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Vec<(Placement, Option<(Fidelity, f64)>)>);

impl Told {
    /// Adds an outcome. An infinite objective counts as a failure.
    pub(crate) fn push(&mut self, proposal: &Proposal, outcome: &Outcome) {
        let scored = outcome.merit().filter(|merit| merit.objective.is_finite());
        let scored = scored.map(|merit| (merit.fidelity, merit.objective));
        self.0.push((proposal.placement.clone(), scored));
    }

    /// The observations from which the model learns.
    ///
    /// A failure counts as the worst score of the highest fidelity, and is left out if there is no score. Scores below
    /// Tukey's outer fence (three quartile distances below the lower quartile of their fidelity) are raised to it: a
    /// training that nearly diverged shows that the placement is bad, but not how the others differ.
    pub(crate) fn observations<'a>(
        &self,
        points: &'a BTreeMap<Placement, Point>,
    ) -> Vec<Observation<'a>> {
        let mut scores: BTreeMap<Fidelity, Vec<f64>> = BTreeMap::new();
        for (fidelity, value) in self.0.iter().filter_map(|(_, scored)| *scored) {
            scores.entry(fidelity).or_default().push(value);
        }
        let lowest: BTreeMap<Fidelity, f64> = scores
            .into_iter()
            .map(|(fidelity, values)| (fidelity, lowest_of(values)))
            .collect();
        let failure = lowest
            .last_key_value()
            .map(|(&fidelity, &value)| (fidelity, value));
        let observation = |(placement, scored): &(Placement, Option<(Fidelity, f64)>)| {
            let (fidelity, value) = (*scored).or(failure)?;
            Some(Observation {
                point: points.get(placement)?,
                fidelity,
                value: value.max(lowest[&fidelity]),
            })
        };
        self.0.iter().filter_map(observation).collect()
    }

    /// The distinct placements, in the order in which they were first told.
    pub(crate) fn placements(&self) -> Vec<Placement> {
        self.distinct(|_| true)
    }

    /// The distinct placements that were scored at `fidelity`.
    pub(crate) fn scored_at(&self, fidelity: Fidelity) -> Vec<Placement> {
        self.distinct(|scored| scored.is_some_and(|(at, _)| at == fidelity))
    }

    fn distinct(&self, wanted: impl Fn(Option<(Fidelity, f64)>) -> bool) -> Vec<Placement> {
        let mut seen = BTreeSet::new();
        let wanted = self.0.iter().filter(|(_, scored)| wanted(*scored));
        let first = wanted.filter(|(placement, _)| seen.insert(placement));
        first.map(|(placement, _)| placement.clone()).collect()
    }
}

/// The lowest value, or the fence if that is higher.
fn lowest_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let quartile = |n: usize| values[n * (values.len() - 1) / 4];
    let (lower, upper) = (quartile(1), quartile(3));
    let fence = lower - 3.0 * (upper - lower);
    if upper > lower {
        values[0].max(fence)
    } else {
        values[0]
    }
}
