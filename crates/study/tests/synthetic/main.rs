//! Whole studies with a scorer of closed form: the loop, the journal, resuming and the ranking.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ask_and_tell;
mod comparison_races;
mod comparisons;
mod configurations;
mod damaged_journals;
mod failures;
mod folders;
mod growing;
mod race;
mod ranking;
mod resuming;
mod rivals;
mod round_trips;
mod stored;
mod support;
mod worker_counts;
