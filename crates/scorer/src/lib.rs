//! Scores placements.
//!
//! - [`LinearProbe`] is the frozen model with only a linear head trained, from which every training starts.
//! - [`GradientMap`] is, for every connection at once, the gradient of the probe's loss with respect to the best linear
//!   map along it, summarised by its singular values.
//! - [`JointJudgement`] estimates what adapters on several connections gain together, without training them.
//! - [`fine_tune`] trains the adapters of one placement and the head for a given number of steps.
//! - [`Scorer`] is anything that scores a placement, and [`ProxyScorer`] scores it by a short training.

mod by_class;
mod cross_fit;
mod dataset;
mod directions;
mod engine;
mod error;
mod evaluation;
mod example_gradients;
mod fine_tune;
mod gradient_map;
mod gradient_sums;
mod importance;
mod inputs;
mod joint_judgement;
mod learner;
mod linear_model;
mod measures;
mod memory;
mod model;
mod parameters;
mod preconditioner;
mod probe;
mod proxy_scorer;
mod rectangles;
mod resources;
mod ridge;
mod row_loss;
mod seeds;
mod singular_values;
mod state_cache;
mod statistic;
mod statistics;
mod tag_measures;
mod training_settings;

#[cfg(test)]
extern crate self as adaplace_scorer;
#[cfg(test)]
#[expect(dead_code, reason = "shared with `tests/tiny`, which uses the rest")]
#[path = "../tests/tiny/support.rs"]
mod support;
#[cfg(test)]
mod tests;

pub use by_class::ByClass;
pub use dataset::Dataset;
pub use error::ScoreError;
pub use evaluation::{Evaluation, evaluate, evaluate_together, features};
pub use fine_tune::{Trained, fine_tune, fine_tune_together, training_batches};
pub use gradient_map::{GradientMap, GradientMapSettings};
pub use importance::importances;
pub use joint_judgement::JointJudgement;
pub use learner::evaluate_on;
pub use measures::{Measures, OfLanguage, OfNumbers, OfSets};
pub use memory::{ExpectedMemory, StudySize};
pub use model::Model;
pub use parameters::{Head, Metadata, NamedTensor, Parameters};
pub use probe::{Features, LinearProbe};
pub use proxy_scorer::{ProxyScorer, Score, Scored, Scorer};
pub use resources::Resources;
pub use state_cache::StateCache;
pub use statistic::Statistic;
pub use statistics::Statistics;
pub use tag_measures::OfTags;
pub use training_settings::TrainingSettings;
