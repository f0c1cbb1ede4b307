//! Whole comparisons with a scorer of closed form.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod comparison_races;
mod comparisons;
mod growing;
mod rivals;
