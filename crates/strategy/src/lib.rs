//! Search strategies, which propose placements and learn from their scores.
//!
//! A [`Strategy`] is asked for [`Proposal`]s and told their [`Outcome`]s (ask and tell). It knows nothing of files, the
//! clock or training: the same seed and the same outcomes lead to the same proposals, so a study resumes by replaying
//! its journal. All strategies are built from a [`StrategyDescription`], the form in which they are stored.
//!
//! ```
//! use adaplace_search_space::{ChainShape, Fidelity, SearchSpace, SpaceDescription};
//! use adaplace_strategy::{Merit, Outcome, StrategyDescription, StrategySetting};
//!
//! let chain = ChainShape {
//!     hidden_states: 7,
//!     width: 64,
//!     tokens: 10,
//!     sublayer_flops: vec![1_000_000; 6],
//! };
//! let description = SpaceDescription::named("extended").expect("`extended` is the name of a space");
//! let space = SearchSpace::resolve(&description, &chain).expect("the space fits this chain");
//! let fidelity = Fidelity::of(64);
//!
//! let random: StrategyDescription = "random".parse()?;
//! let mut strategy = random.build(StrategySetting {
//!     space: &space,
//!     fidelity,
//!     seed: 0,
//!     trials: 8,
//!     halving: None,
//!     costs: Vec::new(),
//!     proxy: None,
//! })?;
//! for proposal in strategy.propose(&space, 8)? {
//!     let accuracy = 0.5; // train `proposal.placement` for `proposal.fidelity`
//!     let merit = Merit::new(proposal.fidelity, accuracy, 0.0).expect("the accuracy is not NaN");
//!     strategy.observe(&proposal, &Outcome::Scored(merit));
//! }
//! # Ok::<(), adaplace_strategy::StrategyError>(())
//! ```

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
pub use error::{ProxyError, StrategyError};
pub use evolution::{Evolution, EvolutionSettings, FirstPopulation};
pub use exhaustive::Exhaustive;
pub use gradient_greedy::GradientGreedy;
pub use greedy::Greedy;
pub use halving::Halving;
pub use limited::Limited;
pub use outcome::{Merit, Outcome};
pub use pareto::{CostObjective, Objectives, nondominated_order, pareto_front};
pub use proposal::Proposal;
pub use proxy::{ConnectionProxy, FixedProxy};
pub use prune::{Prune, PruneSettings};
pub use random::Random;
pub use sample::Sample;
pub use strategy::Strategy;
pub use stratified::Stratified;
pub use surrogate::{Surrogate, SurrogateModel};
