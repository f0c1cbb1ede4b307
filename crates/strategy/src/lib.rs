//! What to try next: strategies that propose placements and learn from their scores.
//!
//! A [`Strategy`] is asked for [`Proposal`]s and told their [`Outcome`]s (ask and tell). It knows neither files nor
//! the clock nor what a training is: the same seed and the same outcomes give the same proposals, so a study is
//! resumed by replaying its journal. [`StrategyDescription`] is the serialised form from which all are built.

mod description;
mod error;
mod evolution;
mod exhaustive;
mod gradient_greedy;
mod greedy;
mod halving;
mod limited;
mod listed;
mod outcome;
mod pareto;
mod proposal;
mod proxy;
mod prune;
mod random;
mod sample;
mod softmax;
mod strategy;
mod stratified;
mod surrogate;
mod unseen;

pub use description::{StrategyDescription, StrategySetting};
pub use error::StrategyError;
pub use evolution::{Evolution, EvolutionSettings, FirstPopulation};
pub use exhaustive::Exhaustive;
pub use gradient_greedy::GradientGreedy;
pub use greedy::Greedy;
pub use halving::Halving;
pub use limited::Limited;
pub use outcome::{Merit, Outcome};
pub use pareto::{CostObjective, Objectives, nondominated_order, pareto_front};
pub use proposal::Proposal;
pub use proxy::{ConnectionProxy, FixedProxy, ProxyError};
pub use prune::{Prune, PruneSettings};
pub use random::Random;
pub use sample::Sample;
pub use strategy::Strategy;
pub use stratified::Stratified;
pub use surrogate::{Surrogate, SurrogateModel};
