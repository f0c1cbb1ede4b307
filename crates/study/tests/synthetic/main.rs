//! Whole studies with a scorer of closed form: the loop, the journal, resuming and the ranking.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ask_and_tell;
mod configurations;
mod damaged_journals;
mod failures;
mod folders;
mod growing;
mod race;
mod ranking;
mod resuming;
mod round_trips;
mod stored;
mod worker_counts;
