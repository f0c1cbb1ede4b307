//! Comparisons of strategies and fixed baselines, with the same task, space, budget of steps and seeds, evaluated on
//! the test part.
//!
//! Everything is paired by seed. Seed r is repetition r of every trial and adds r to the seed of every strategy, so two
//! competitors that ask for the same training share it. The search of a strategy ends like a study: its best placements
//! race on new orders of the examples that all competitors with that seed share. The race is part of the budget. The
//! chosen placement then has one or several final trainings, on orders that did not select it. Each final training
//! tries every learning rate and evaluates the best one by validation on the test part, once. The mean of a seed's
//! final trainings counts.
//!
//! The cost of a search is measured: its trainings, gradient maps and judgements, including those shared with others.
//! The unit is one training of `parallel-everywhere` as long as a final training.

mod competitor;
mod configuration;
mod contest;
mod entrants;
mod finals;
mod judgements;
mod outcome;
mod repetitions;
mod rules;
mod run;
mod search;
mod stored;
mod tested;

pub use competitor::{Baseline, Competitor};
pub use configuration::{COMPARISON_FORMAT, ComparisonConfiguration, ComparisonSettings};
pub use finals::{Candidate, Final, FinalRecord, FinalResult, FinalTraining, Finisher};
pub use outcome::{Comparison, Competed, Difference, Improvement, SearchSeconds, SeedResult};
pub(crate) use repetitions::column;
pub use run::{ComparisonRun, FrozenMap, run_comparison};
pub use stored::StoredComparison;
pub use tested::TestedTraining;
