//! A placement bench: every placement of a small space, or a sample of a larger one, trained several times. Strategies
//! run on a complete table in seconds; a sample shows which predictors work for sets of connections.

mod replay;
mod table;

pub use replay::Replay;
pub(crate) use table::only_adapter;
pub use table::{BenchConfiguration, BenchRow, PlacementBench, tabulate, tabulated};
