//! Small backbones of the project's own, made from a seed: nothing from outside is read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_inputs;
mod common;
mod damaged_folders;
mod families;
mod folders;
mod loading;
mod packed;
mod padding;
mod sublayers;
