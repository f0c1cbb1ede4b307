//! The serialised form of a strategy.

use std::sync::Arc;

use adaplace_search_space::{Fidelity, SearchSpace};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::{
    ConnectionProxy, CostObjective, Evolution, EvolutionSettings, Exhaustive, GradientGreedy,
    Greedy, Halving, Limited, Prune, PruneSettings, Random, Sample, Strategy, StrategyError,
    Stratified, Surrogate,
};

/// A strategy and its settings, distinguished by `name`. Settings that are left out have their defaults.
///
/// A strategy parses from its name, with the default settings.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
#[strum(serialize_all = "kebab-case", parse_err_ty = StrategyError, parse_err_fn = unknown)]
pub enum StrategyDescription {
    /// Uniform random search; see [`Random`].
    Random {},
    /// Greedy search, one adapter after the other; see [`Greedy`].
    Greedy {
        /// The number of additions trained in each stage. By default the trials are divided evenly among the adapters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        candidates: Option<usize>,
    },
    /// A placement by the gradient map alone; see [`GradientGreedy`].
    GradientGreedy {},
    /// Regularised evolution; see [`Evolution`].
    Evolution(EvolutionSettings),
    /// Bayesian optimisation; see [`Surrogate`].
    Surrogate {},
    /// Pruning of adapters that are trained together; see [`Prune`].
    Prune(PruneSettings),
    /// All placements of the space; see [`Exhaustive`].
    Exhaustive {},
    /// A systematic sample of the single connections; see [`Stratified`].
    Stratified {},
    /// A random sample of placements of different spacing; see [`Sample`].
    Sample {},
}

impl Default for StrategyDescription {
    /// The strategy of a search that does not choose one.
    fn default() -> Self {
        StrategyDescription::Surrogate {}
    }
}

/// Everything apart from its description that is needed to build a strategy.
pub struct StrategySetting<'space, 'proxy> {
    /// The space to search.
    pub space: &'space SearchSpace,
    /// The fidelity of a full trial.
    pub fidelity: Fidelity,
    /// The seed of all random choices.
    pub seed: u64,
    /// The number of placements that the study tries. With successive halving, these are the ones that start on the
    /// first rung.
    pub trials: usize,
    /// The reduction factor of successive halving, or `None` to do without.
    pub halving: Option<u32>,
    /// The costs that are minimised in addition to the merit. Only [`Evolution`] and [`Surrogate`] take them into
    /// account.
    pub costs: Vec<CostObjective>,
    /// The proxy that judges connections. A strategy that judges none does without.
    pub proxy: Option<Arc<dyn ConnectionProxy + 'proxy>>,
}

impl StrategyDescription {
    /// The names of all strategies.
    pub const NAMES: &'static [&'static str] = Self::VARIANTS;

    /// The name of this strategy.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Builds the strategy, within successive halving if the setting asks for it.
    ///
    /// # Errors
    /// [`StrategyError::OutOfRange`], [`StrategyError::NeedsProxy`], [`StrategyError::SpaceTooLarge`] for an exhaustive
    /// search with too few trials, and [`StrategyError::NotSingle`] for a stratified sample of larger placements.
    pub fn build<'proxy>(
        &self,
        setting: StrategySetting<'_, 'proxy>,
    ) -> Result<Box<dyn Strategy + 'proxy>, StrategyError> {
        let StrategySetting {
            space,
            fidelity,
            seed,
            trials,
            halving,
            costs,
            proxy,
        } = setting;
        let needed = |proxy: Option<_>| {
            proxy.ok_or(StrategyError::NeedsProxy {
                strategy: self.name(),
            })
        };
        let strategy: Box<dyn Strategy + 'proxy> = match *self {
            StrategyDescription::Random {} => Box::new(Random::new(fidelity, seed)),
            StrategyDescription::Greedy { candidates } => {
                let share = (trials / space.largest_size()).max(1);
                let candidates = candidates.unwrap_or(share);
                Box::new(Greedy::new(needed(proxy)?, fidelity, candidates)?)
            }
            StrategyDescription::GradientGreedy {} => {
                Box::new(GradientGreedy::new(needed(proxy)?, fidelity))
            }
            StrategyDescription::Evolution(settings) => {
                let share = trials.div_ceil(3).max(4).min(settings.population);
                let settings = EvolutionSettings {
                    founders: settings.founders.or(Some(share)),
                    ..settings
                };
                Box::new(Evolution::new(settings, fidelity, seed, proxy)?.with_costs(costs))
            }
            StrategyDescription::Surrogate {} => {
                let initial = (trials / 4).clamp(4, 10);
                let surrogate = Surrogate::new(needed(proxy)?, fidelity, seed, initial);
                Box::new(surrogate.with_costs(costs))
            }
            StrategyDescription::Prune(settings) => {
                Box::new(Prune::new(needed(proxy)?, fidelity, settings)?)
            }
            StrategyDescription::Exhaustive {} => {
                Box::new(Exhaustive::new(space, fidelity, trials)?)
            }
            StrategyDescription::Stratified {} => {
                Box::new(Stratified::new(space, fidelity, seed, trials)?)
            }
            StrategyDescription::Sample {} => Box::new(Sample::new(space, fidelity, seed, trials)),
        };
        let strategy = Box::new(Limited::new(strategy, trials));
        match halving {
            Some(reduction) => Ok(Box::new(Halving::new(
                strategy,
                reduction,
                fidelity,
                Halving::RUNGS,
            )?)),
            None => Ok(strategy),
        }
    }
}

fn unknown(name: &str) -> StrategyError {
    StrategyError::Unknown {
        name: name.to_owned(),
        known: StrategyDescription::NAMES,
    }
}
