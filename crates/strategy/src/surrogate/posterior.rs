//! The predictions of the surrogate's model, independent of any search.

use std::collections::BTreeMap;
use std::sync::Arc;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::judgement::Judgement;
use super::model::{Model, Point};
use super::told::Told;
use crate::{ConnectionProxy, Merit, Outcome, Proposal, StrategyError};

/// The model of [`crate::Surrogate`] for a list of placements, to which the scores of some of them are told.
pub struct SurrogateModel<'proxy> {
    judgement: Judgement<'proxy>,
    /// The placements, each with its representation in the model.
    placements: Vec<(Placement, Point)>,
}

impl<'proxy> SurrogateModel<'proxy> {
    /// Judges `placements` of `space` by `proxy`. The seed draws the random placements by which judgements are
    /// standardised.
    ///
    /// # Errors
    /// [`StrategyError::Proxy`], [`StrategyError::ProxyLength`] or [`StrategyError::ProxyNotFinite`].
    pub fn new(
        proxy: Arc<dyn ConnectionProxy + 'proxy>,
        space: &SearchSpace,
        placements: &[Placement],
        seed: u64,
    ) -> Result<Self, StrategyError> {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let judgement = Judgement::new(proxy, space, random)?;
        let points = judgement.points(placements)?;
        Ok(SurrogateModel {
            placements: placements.iter().cloned().zip(points).collect(),
            judgement,
        })
    }

    /// The posterior means of all placements, in their order, after the trials `told`: the indices of placements with
    /// their scores, where larger is better.
    ///
    /// Hyperparameters are chosen in the same way as in a search. Returns `None` if nothing can be learnt from `told`.
    ///
    /// # Panics
    /// If an index is out of range.
    #[must_use]
    pub fn means(&self, told: &[(usize, f64)]) -> Option<Vec<f64>> {
        let fidelity = Fidelity::of(1);
        let mut trials = Told::default();
        let mut points = BTreeMap::new();
        for &(place, score) in told {
            let (placement, point) = &self.placements[place];
            let outcome = match Merit::new(fidelity, score, 0.0) {
                Some(merit) => Outcome::Scored(merit),
                None => Outcome::Failed,
            };
            let proposal = Proposal {
                placement: placement.clone(),
                fidelity,
            };
            trials.push(&proposal, &outcome);
            points.insert(placement.clone(), point.clone());
        }
        let observations = trials.observations(&points);
        let table = &self.judgement.table;
        let chosen = Model::choose(table, &observations)?;
        let model = Model::fit(table, &observations, chosen)?;
        let all: Vec<&Point> = self.placements.iter().map(|(_, point)| point).collect();
        Some(model.means(&all))
    }
}
