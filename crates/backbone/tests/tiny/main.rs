//! Tests on small backbones generated from a seed, which read nothing from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_inputs;
mod common;
mod damaged_folders;
mod families;
mod folders;
mod loading;
mod padding;
mod prepared;
mod sublayers;
mod timm;
