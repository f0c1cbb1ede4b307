//! Tests of the scorer on small generated backbones and tasks, which read nothing from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod adapter_files;
mod importance;
mod probe;
mod support;
mod training;
