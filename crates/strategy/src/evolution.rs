//! Regularised evolution.

use std::collections::VecDeque;
use std::sync::Arc;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::proxy::connection_scores;
use crate::softmax::softmax_of_standardised;
use crate::unseen::Unseen;
use crate::{
    ConnectionProxy, CostObjective, Merit, Objectives, Outcome, Proposal, Strategy, StrategyError,
    nondominated_order,
};

/// The way in which founders and newcomers are drawn.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum FirstPopulation {
    /// Connections are drawn by the softmax of their standardised scores.
    Gradient,
    /// Placements are drawn uniformly from the space.
    Uniform,
}

/// The settings of [`Evolution`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionSettings {
    /// The number of placements that are drawn before there are children, at least 1. If it exceeds the population, the
    /// last ones stay.
    ///
    /// By default there are as many founders as the population has placements. A
    /// [`StrategyDescription`](crate::StrategyDescription) instead defaults to a third of the trials, at least 4 and at
    /// most the population.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub founders: Option<usize>,
    /// The number of placements that are alive at a time, at least 1.
    pub population: usize,
    /// The number of placements in a tournament, of which the best becomes a parent; at least 1.
    pub tournament: usize,
    /// The share of children that have two parents, between 0 and 1.
    pub crossover: f64,
    /// The share of children that have no parents and are drawn like the founders, between 0 and 1.
    pub newcomers: f64,
    /// The way in which founders and newcomers are drawn.
    pub first: FirstPopulation,
    /// The divisor of the standardised scores before the softmax. The higher it is, the closer the draw is to uniform.
    pub temperature: f64,
}

impl Default for EvolutionSettings {
    fn default() -> Self {
        EvolutionSettings {
            founders: None,
            population: 16,
            tournament: 8,
            crossover: 0.3,
            newcomers: 0.1,
            first: FirstPopulation::Gradient,
            temperature: 0.125,
        }
    }
}

/// Regularised evolution with ageing: a child of the best of a random tournament replaces the oldest placement, not the
/// worst, so no placement stays because of one lucky score.
///
/// Real, Aggarwal, Huang and Le 2019, "Regularized Evolution for Image Classifier Architecture Search"; crossover and
/// newcomers are additions. The founders are observed as a whole before they have children. Failed placements never
/// enter the population. The strategy is finished when the space is exhausted.
pub struct Evolution<'proxy> {
    settings: EvolutionSettings,
    founders: usize,
    fidelity: Fidelity,
    proxy: Option<Arc<dyn ConnectionProxy + 'proxy>>,
    /// The weights of the space's connections, once they are known.
    weights: Option<Vec<f64>>,
    random: ChaCha8Rng,
    unseen: Unseen,
    /// The placements alive, the oldest first.
    population: VecDeque<(Placement, Merit)>,
    /// The costs that are minimised in addition to the merit.
    costs: Vec<CostObjective>,
    /// With several objectives, the place of each member in their order, where 0 is the best.
    places: Vec<usize>,
    proposed: usize,
}

impl<'proxy> Evolution<'proxy> {
    /// Evolution with these settings, whose proposals follow from `seed`.
    ///
    /// # Errors
    /// [`StrategyError::OutOfRange`], and [`StrategyError::NeedsProxy`] for a first population from the gradient map
    /// without a proxy.
    pub fn new(
        settings: EvolutionSettings,
        fidelity: Fidelity,
        seed: u64,
        proxy: Option<Arc<dyn ConnectionProxy + 'proxy>>,
    ) -> Result<Self, StrategyError> {
        let EvolutionSettings {
            founders,
            population,
            tournament,
            crossover,
            newcomers,
            first,
            temperature,
        } = settings;
        let founders = founders.unwrap_or(population);
        for (within, setting, value, range) in [
            (
                population > 0,
                "population",
                population as f64,
                "at least 1",
            ),
            (founders > 0, "founders", founders as f64, "at least 1"),
            (
                tournament > 0,
                "tournament",
                tournament as f64,
                "at least 1",
            ),
            (
                (0.0..=1.0).contains(&crossover),
                "crossover",
                crossover,
                "a probability from 0 to 1",
            ),
            (
                (0.0..=1.0).contains(&newcomers),
                "newcomers",
                newcomers,
                "a share from 0 to 1",
            ),
            (
                temperature.is_finite() && temperature > 0.0,
                "temperature",
                temperature,
                "a positive number",
            ),
        ] {
            if !within {
                return Err(StrategyError::OutOfRange {
                    strategy: "evolution",
                    setting,
                    value,
                    range,
                });
            }
        }
        let proxy = match (first, proxy) {
            (FirstPopulation::Uniform, _) => None,
            (FirstPopulation::Gradient, Some(proxy)) => Some(proxy),
            (FirstPopulation::Gradient, None) => {
                return Err(StrategyError::NeedsProxy {
                    strategy: "evolution",
                });
            }
        };
        Ok(Evolution {
            settings,
            founders,
            fidelity,
            proxy,
            weights: None,
            random: ChaCha8Rng::seed_from_u64(seed),
            unseen: Unseen::default(),
            population: VecDeque::new(),
            costs: Vec::new(),
            places: Vec::new(),
            proposed: 0,
        })
    }

    /// This strategy with costs that are minimised in addition to the merit. The population then keeps the best by
    /// front and crowding distance instead of the youngest, and the same order decides tournaments.
    #[must_use]
    pub fn with_costs(self, costs: Vec<CostObjective>) -> Self {
        Evolution { costs, ..self }
    }

    /// With several objectives, keeps the best members and notes their places.
    fn select(&mut self, space: &SearchSpace) {
        if self.costs.is_empty() {
            return;
        }
        let points: Vec<Objectives> = self
            .population
            .iter()
            .map(|(placement, merit)| Objectives::new(*merit, &space.cost(placement), &self.costs))
            .collect();
        let mut order = nondominated_order(&points);
        order.truncate(self.settings.population);
        let mut staying: Vec<(usize, usize)> = order
            .into_iter()
            .enumerate()
            .map(|(place, member)| (member, place))
            .collect();
        staying.sort_unstable();
        self.places = staying.iter().map(|&(_, place)| place).collect();
        let population = std::mem::take(&mut self.population);
        let mut staying = staying.into_iter().map(|(member, _)| member).peekable();
        self.population = population
            .into_iter()
            .enumerate()
            .filter(|(member, _)| staying.next_if_eq(member).is_some())
            .map(|(_, one)| one)
            .collect();
    }

    fn prepare(&mut self, space: &SearchSpace) -> Result<(), StrategyError> {
        if let (Some(proxy), None) = (&self.proxy, &self.weights) {
            let connection_scores =
                connection_scores(&**proxy, &Placement::new(), space.connections())?;
            self.weights = Some(softmax_of_standardised(
                &connection_scores,
                self.settings.temperature,
            ));
        }
        Ok(())
    }

    fn founder(&mut self, space: &SearchSpace) -> Option<Placement> {
        if let Some(weights) = &self.weights {
            for _ in 0..Unseen::TRIES {
                let placement = space.sample_weighted(&mut self.random, weights);
                if self.unseen.insert(&placement) {
                    return Some(placement);
                }
            }
        }
        self.unseen.draw(space, &mut self.random)
    }

    fn child(&mut self, space: &SearchSpace) -> Option<Placement> {
        if self.random.random::<f64>() < self.settings.newcomers {
            return self.founder(space);
        }
        for _ in 0..Unseen::TRIES {
            let mut child = self.parent();
            let crossed =
                self.population.len() > 1 && self.random.random::<f64>() < self.settings.crossover;
            if crossed {
                let other = self.parent();
                child = space.crossover(&child, &other, &mut self.random);
            }
            if !crossed || self.unseen.contains(&child) {
                child = space.mutate(&child, &mut self.random)?;
            }
            if self.unseen.insert(&child) {
                return Some(child);
            }
        }
        self.unseen.draw(space, &mut self.random)
    }

    /// The best of a tournament drawn with replacement. Among equals the youngest wins.
    fn parent(&mut self) -> Placement {
        let drawn = (0..self.settings.tournament)
            .map(|_| self.random.random_range(0..self.population.len()));
        let best = match self.costs.is_empty() {
            true => drawn.max_by_key(|&index| (self.population[index].1, index)),
            false => drawn.min_by_key(|&index| self.places[index]),
        };
        self.population[best.unwrap_or(0)].0.clone()
    }
}

impl Strategy for Evolution<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        self.prepare(space)?;
        self.select(space);
        let mut proposals = Vec::new();
        while proposals.len() < n {
            let founding = self.proposed < self.founders || self.population.is_empty();
            let placement = if founding {
                self.founder(space)
            } else {
                self.child(space)
            };
            let Some(placement) = placement else { break };
            proposals.push(Proposal {
                placement,
                fidelity: self.fidelity,
            });
            self.proposed += 1;
            if self.proposed == self.founders {
                break;
            }
        }
        Ok(proposals)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        if let Some(merit) = outcome.merit() {
            self.population
                .push_back((proposal.placement.clone(), merit));
            if self.costs.is_empty() && self.population.len() > self.settings.population {
                self.population.pop_front();
            }
        }
    }
}
