//! End-to-end tests of the program, driven the way its users do.
//!
//! All files are one binary, because they link the same libraries and their tests run in parallel.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod audit;
mod bad_backbones;
mod bad_studies;
mod bad_tasks;
mod bench;
mod committed_results;
mod common;
mod compare;
mod devices;
mod export;
mod families;
mod first_search;
mod hub;
mod inspect;
mod interruptions;
mod metrics;
mod outputs;
mod placement_bench;
mod probe;
mod problems;
mod quickstart;
mod report;
mod report_pages;
mod resources;
mod search;
mod train_and_evaluate;
mod usage;
