//! Strategies and fixed baselines side by side: the same task, space and budget of steps, several seeds, and at the end
//! the test part.
//!
//! Everything is paired by seed. Seed r is repetition r of every trial and adds r to the seed of every strategy, so
//! two competitors that ask for the same training share it. The search of a strategy ends as a study does: its best placements
//! race on fresh orders that are common to all competitors with that seed. The race is part of the budget. What a competitor
//! chose is trained to the end with each learning rate, on orders that it was not chosen by, once or several times; each time the
//! best learning rate by validation is evaluated on the test part, once. The mean of a seed's final trainings counts.
//!
//! What a search costs is measured: its trainings, gradient maps and judgements, also those that it shares with others, in units
//! of one training of an adapter in parallel everywhere, as long as the final one.

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
