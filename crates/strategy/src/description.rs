//! The serialised form of a strategy.

use std::str::FromStr;
use std::sync::Arc;

use adaplace_search_space::{Fidelity, SearchSpace};
use serde::{Deserialize, Serialize};

use crate::{
    ConnectionProxy, CostObjective, Evolution, EvolutionSettings, Exhaustive, FirstPopulation,
    GradientGreedy, Greedy, Halving, Limited, Prune, PruneSettings, Random, Sample, Strategy,
    StrategyError, Stratified, Surrogate,
};

/// A strategy and its settings, told apart by `name`; settings left out have their defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StrategyDescription {
    /// [`Random`].
    Random {},
    /// [`Greedy`].
    Greedy {
        /// Additions trained in every stage; the trials divided among the adapters where it is not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        candidates: Option<usize>,
    },
    /// [`GradientGreedy`].
    GradientGreedy {},
    /// [`Evolution`].
    Evolution(EvolutionSettings),
    /// [`Surrogate`].
    Surrogate {},
    /// [`Prune`].
    Prune(PruneSettings),
    /// [`Exhaustive`].
    Exhaustive {},
    /// [`Stratified`].
    Stratified {},
    /// [`Sample`].
    Sample {},
}

impl Default for StrategyDescription {
    /// The strategy of a search that names none.
    fn default() -> Self {
        StrategyDescription::Surrogate {}
    }
}

/// Everything that a strategy is built of beside its description.
pub struct StrategySetting<'space, 'proxy> {
    /// The space to be searched.
    pub space: &'space SearchSpace,
    /// The fidelity of a full trial.
    pub fidelity: Fidelity,
    /// From which every random choice follows.
    pub seed: u64,
    /// How many placements the study tries; with halving, those that start at the first rung.
    pub trials: usize,
    /// The reduction factor of successive halving, if it is wanted.
    pub halving: Option<u32>,
    /// Costs that are minimised beside the merit; only [`Evolution`] and [`Surrogate`] heed them.
    pub costs: Vec<CostObjective>,
    /// What judges connections; see [`StrategyDescription::needs_proxy`].
    pub proxy: Option<Arc<dyn ConnectionProxy + 'proxy>>,
}

impl StrategyDescription {
    /// The names of all strategies.
    pub const NAMES: &'static [&'static str] = &[
        "random",
        "greedy",
        "gradient-greedy",
        "evolution",
        "surrogate",
        "prune",
        "exhaustive",
        "stratified",
        "sample",
    ];

    /// The name of the strategy.
    pub fn name(&self) -> &'static str {
        match self {
            StrategyDescription::Random {} => "random",
            StrategyDescription::Greedy { .. } => "greedy",
            StrategyDescription::GradientGreedy {} => "gradient-greedy",
            StrategyDescription::Evolution(_) => "evolution",
            StrategyDescription::Surrogate {} => "surrogate",
            StrategyDescription::Prune(_) => "prune",
            StrategyDescription::Exhaustive {} => "exhaustive",
            StrategyDescription::Stratified {} => "stratified",
            StrategyDescription::Sample {} => "sample",
        }
    }

    /// Whether the strategy judges connections and so needs a proxy.
    pub fn needs_proxy(&self) -> bool {
        match self {
            StrategyDescription::Random {}
            | StrategyDescription::Exhaustive {}
            | StrategyDescription::Stratified {}
            | StrategyDescription::Sample {} => false,
            StrategyDescription::Greedy { .. }
            | StrategyDescription::GradientGreedy {}
            | StrategyDescription::Surrogate {}
            | StrategyDescription::Prune(_) => true,
            StrategyDescription::Evolution(settings) => match settings.first {
                FirstPopulation::Gradient => true,
                FirstPopulation::Uniform => false,
            },
        }
    }

    /// The strategy itself, within successive halving if the setting asks for it.
    ///
    /// # Errors
    ///
    /// [`StrategyError::OutOfRange`], [`StrategyError::NeedsProxy`], and [`StrategyError::SpaceTooLarge`] for an
    /// exhaustive search with too few trials.
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

impl FromStr for StrategyDescription {
    type Err = StrategyError;

    /// The strategy of this name with its default settings.
    fn from_str(name: &str) -> Result<Self, StrategyError> {
        match name {
            "random" => Ok(StrategyDescription::Random {}),
            "greedy" => Ok(StrategyDescription::Greedy { candidates: None }),
            "gradient-greedy" => Ok(StrategyDescription::GradientGreedy {}),
            "evolution" => Ok(StrategyDescription::Evolution(EvolutionSettings::default())),
            "surrogate" => Ok(StrategyDescription::Surrogate {}),
            "prune" => Ok(StrategyDescription::Prune(PruneSettings::default())),
            "exhaustive" => Ok(StrategyDescription::Exhaustive {}),
            "stratified" => Ok(StrategyDescription::Stratified {}),
            "sample" => Ok(StrategyDescription::Sample {}),
            _ => Err(StrategyError::Unknown {
                name: name.to_owned(),
                known: Self::NAMES,
            }),
        }
    }
}
