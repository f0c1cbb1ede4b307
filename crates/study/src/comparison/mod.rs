//! Strategies and fixed baselines side by side: the same task, space and budget of steps, several seeds, and at the end
//! the test part.
//!
//! Everything is paired by seed. Seed r is repetition r of every training and adds r to the seed of every strategy, so
//! two competitors that ask for the same training share it. What a competitor chose by its search is trained to the end
//! with each learning rate, the best of them by validation is evaluated on the test part, once.
//!
//! What a search costs is measured: its trials, gradient maps and judgements, also those that it shares with others, in units
//! of one training of an adapter in parallel everywhere, as long as the final one.

mod competitor;
mod configuration;
mod entrants;
mod finals;
mod judgements;
mod outcome;
mod rules;
mod run;
mod search;
mod stored;
mod tested;

pub use competitor::Competitor;
pub use configuration::{COMPARISON_FORMAT, ComparisonConfiguration, ComparisonSettings};
pub use finals::{Candidate, Final, FinalRecord, FinalResult, Finisher};
pub use outcome::{Comparison, Competed, Difference, Improvement, SearchSeconds, SeedResult};
pub(crate) use rules::everywhere;
pub use run::{ComparisonRun, FrozenMap, run_comparison};
pub use stored::StoredComparison;
pub use tested::TestedTraining;
