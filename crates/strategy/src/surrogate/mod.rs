//! A model of all placements, learnt from those that were tried.

mod acquisition;
mod batch;
mod candidates;
mod gaussian_process;
mod goal;
mod hyperparameters;
mod judgement;
mod kernel;
mod model;
mod posterior;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::unseen::Unseen;
use crate::{ConnectionProxy, CostObjective, Outcome, Proposal, Strategy, StrategyError};
use goal::{Known, best_first};
use hyperparameters::Hyperparameters;
use judgement::Judgement;
use model::{Model, Point};
pub use posterior::SurrogateModel;
use told::Told;

/// Bayesian optimisation: a Gaussian process over placements, learnt from all trials so far, predicts for every
/// placement its score and the uncertainty of that score, and the placement with the largest expected improvement is
/// trained next.
///
/// The process has a kernel of sets on source, target, kind, rank and the proxy's features. Its mean is linear in the
/// joint score, in the mean distance between connections, and in sums and maxima of the features. Length scales, weights
/// and noise maximise the marginal likelihood under a weak prior. Trainings of other fidelities, and repeated trainings
/// of a placement, are observations of the same process. The improvement is over the best posterior mean of a placement
/// tried (Gramacy and Lee 2010), not over the luckiest trial. With costs, it is the improvement of a randomly weighted
/// Tchebycheff function of merit and costs (ParEGO, Knowles 2006). For the rest of its batch, each proposal counts as if
/// it had scored what was expected (kriging believer, Ginsbourger et al. 2010).
///
/// The candidates are small changes of the best placements, placements drawn by connection score and judged together,
/// uniform ones, and small changes of those among them with the largest expected improvement. In a small space they are
/// all placements left. The first trials alternate between the placement with the best joint score that differs from
/// the earlier ones, and one drawn by the scores of its connections, more or less strictly. Later every eighth trial is
/// drawn like the latter, without the model. Failed trials count as the worst score seen. The strategy is finished when
/// the space is exhausted.
///
/// With n observations, m candidates (400, of which 250 are looked at twice) and k adapters a batch takes n^3 / 6
/// (Cholesky) + n^2 m / 2 (posterior) multiply-adds, (n^2 / 2 + 3 n m) k^2 table look-ups and up to 1.4 m joint
/// scores. With n = 1,000, k = 6 and 625 connections that is 0.3 s on one core. Hyperparameters are chosen again,
/// using at most 256 of the observations, whenever the observations have grown by a fifth. This takes 34 to 100
/// likelihoods and a table of all pairs of connections for each length scale, another 0.3 s.
pub struct Surrogate<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    fidelity: Fidelity,
    /// The number of initial trials, which are chosen without a model.
    initial: usize,
    /// The costs that are minimised in addition to the merit.
    costs: Vec<CostObjective>,
    random: ChaCha8Rng,
    unseen: Unseen,
    /// The proxy's view of the space, created at the first proposal.
    judgement: Option<Judgement<'proxy>>,
    /// All placements that were proposed or told, in the model's terms.
    points: BTreeMap<Placement, Point>,
    told: Told,
    hyperparameters: Option<Hyperparameters>,
    /// The number of observations by which the hyperparameters were chosen.
    chosen_by: usize,
    proposed: usize,
}

/// The way in which a proposal is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chooser {
    /// By the joint score, away from what was tried.
    Judgement,
    /// By drawing connections by their connection score, at the temperature with this index.
    Drawn(usize),
    Model,
}

impl<'proxy> Surrogate<'proxy> {
    /// One of this many trials is drawn without the model.
    const FREE: usize = 8;
    /// The number of candidates of a batch. Spaces up to this size are enumerated.
    const CANDIDATES: usize = 400;
    /// The number of placements, the best by posterior mean, whose small changes are candidates.
    const PARENTS: usize = 10;
    /// The number of candidates, the best by expected improvement, whose small changes are further candidates.
    const PROMISING: usize = 8;

    /// A search whose proposals follow from `seed`. The first `initial` trials, but at least four, are chosen without a
    /// model.
    #[must_use]
    pub fn new(
        proxy: Arc<dyn ConnectionProxy + 'proxy>,
        fidelity: Fidelity,
        seed: u64,
        initial: usize,
    ) -> Self {
        Surrogate {
            proxy,
            fidelity,
            initial: initial.max(4),
            costs: Vec::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            unseen: Unseen::default(),
            judgement: None,
            points: BTreeMap::new(),
            told: Told::default(),
            hyperparameters: None,
            chosen_by: 0,
            proposed: 0,
        }
    }

    /// This strategy with costs that are minimised in addition to the merit.
    #[must_use]
    pub fn with_costs(self, costs: Vec<CostObjective>) -> Self {
        Surrogate { costs, ..self }
    }

    fn chooser(&self, number: usize) -> Chooser {
        if number < self.initial {
            return match number % 2 {
                0 => Chooser::Judgement,
                _ => Chooser::Drawn(number / 2 % 3),
            };
        }
        match number % Self::FREE {
            7 => Chooser::Drawn(number / Self::FREE % 3),
            _ => Chooser::Model,
        }
    }
}

/// The preparation of every proposal from the proxy and the trials.
impl<'proxy> Surrogate<'proxy> {
    /// Asks the proxy about the space once, and about placements that were told without being proposed.
    fn prepare(&mut self, space: &SearchSpace) -> Result<Judgement<'proxy>, StrategyError> {
        let judgement = match self.judgement.take() {
            Some(judgement) => judgement,
            None => Judgement::new(Arc::clone(&self.proxy), space, &mut self.random)?,
        };
        let told = self.told.placements();
        self.remember(&judgement, &told)?;
        Ok(judgement)
    }

    /// Judges those of `placements` that were not judged before.
    fn remember(
        &mut self,
        judgement: &Judgement<'_>,
        placements: &[Placement],
    ) -> Result<(), StrategyError> {
        let known = |placement: &&Placement| !self.points.contains_key(*placement);
        let new: Vec<Placement> = placements.iter().filter(known).cloned().collect();
        let points = judgement.points(&new)?;
        self.points.extend(new.into_iter().zip(points));
        Ok(())
    }

    /// The model of all that was told. Hyperparameters are chosen again when the observations have grown by a fifth.
    fn model(&mut self, judgement: &Judgement<'_>) -> Option<Model> {
        let observations = self.told.observations(&self.points);
        let count = observations.len();
        if self.hyperparameters.is_none() || 5 * count >= 6 * self.chosen_by {
            self.hyperparameters = Model::choose(&judgement.table, &observations);
            self.chosen_by = count;
        }
        Model::fit(&judgement.table, &observations, self.hyperparameters?)
    }

    /// The posterior means and the costs of the placements `tried`.
    fn known(&self, space: &SearchSpace, model: &Model, tried: &[&Placement]) -> Vec<Known> {
        let points: Vec<&Point> = tried
            .iter()
            .filter_map(|one| self.points.get(*one))
            .collect();
        let means = model.means(&points).into_iter();
        means
            .zip(tried)
            .map(|(mean, placement)| Known {
                mean,
                costs: self.costs_of(space, placement),
            })
            .collect()
    }

    fn costs_of(&self, space: &SearchSpace, placement: &Placement) -> Vec<f64> {
        if self.costs.is_empty() {
            return Vec::new();
        }
        let cost = space.cost(placement);
        self.costs
            .iter()
            .map(|objective| objective.of(&cost))
            .collect()
    }
}

impl Strategy for Surrogate<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        let judgement = self.prepare(space)?;
        let choosers: Vec<Chooser> = (self.proposed..self.proposed + n)
            .map(|number| self.chooser(number))
            .collect();
        let model = match choosers.contains(&Chooser::Model) {
            true => self.model(&judgement),
            false => None,
        };
        let mut batch = Vec::new();
        for chooser in choosers {
            batch.push(match (chooser, &model) {
                (Chooser::Model, Some(_)) => None,
                _ => {
                    let placement = self.free(space, &judgement, chooser)?;
                    self.remember(&judgement, placement.as_slice())?;
                    placement
                }
            });
        }
        if let Some(model) = &model {
            self.fill(space, &judgement, model, &mut batch)?;
        }
        let drawn = |place: Option<Placement>| {
            // The candidates are used up, but the space may not be.
            place.or_else(|| self.unseen.draw(space, &mut self.random))
        };
        let placements: Vec<Placement> = batch.into_iter().map_while(drawn).collect();
        self.remember(&judgement, &placements)?;
        self.proposed += placements.len();
        self.judgement = Some(judgement);
        let fidelity = self.fidelity;
        Ok(placements
            .into_iter()
            .map(|placement| Proposal {
                placement,
                fidelity,
            })
            .collect())
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.told.push(proposal, outcome);
    }

    fn recommend(&self, space: &SearchSpace, n: usize) -> Vec<Placement> {
        let Some(judgement) = &self.judgement else {
            return Vec::new();
        };
        let observations = self.told.observations(&self.points);
        let chosen = Model::choose(&judgement.table, &observations);
        let model = chosen.and_then(|chosen| Model::fit(&judgement.table, &observations, chosen));
        let Some(model) = model else {
            return Vec::new();
        };
        let complete = self.told.scored_at(self.fidelity);
        let complete: Vec<&Placement> = complete.iter().filter(|one| space.contains(one)).collect();
        let known = self.known(space, &model, &complete);
        let order = best_first(&known, self.fidelity).into_iter().take(n);
        order.map(|index| complete[index].clone()).collect()
    }
}
