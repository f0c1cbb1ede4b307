//! Experiments on studies: which gradient statistic predicts the result of a training, and which strategy is worth its
//! steps.
//!
//! - [`Audit`] compares predictors with the trainings of single connections, [`SetAudit`] with those of sets.
//! - [`PlacementBench`] is a table of trained placements; [`Replay`] runs strategies on it without training.
//! - [`run_comparison`] compares strategies and baselines with several seeds, and evaluates them on the test part.
mod audit;
mod bench;
mod compare;
mod error;
mod sets;

pub use audit::{Audit, Audited, Predictor, RankCorrelation};
pub use bench::{BenchConfiguration, BenchRow, PlacementBench, Replay, tabulate, tabulated};
pub use compare::{
    Baseline, COMPARISON_FORMAT, Candidate, Comparison, ComparisonConfiguration, ComparisonRun,
    ComparisonSettings, Competed, Competitor, Difference, Final, FinalRecord, FinalResult,
    FinalTraining, Finisher, FrozenMap, Improvement, SearchSeconds, SeedResult, StoredComparison,
    TestedTraining, run_comparison,
};
pub use error::ExperimentError;
pub use sets::{
    AuditedSets, DrawnSets, RankedBy, SetAudit, SetDraw, SetPredictor, SetVariance, VarianceShares,
};
