//! The search loop around scorer and strategy.
//!
//! A study is a folder: `study.toml`, the fully resolved [`StudyConfiguration`]; `journal.jsonl`, one [`Record`] for each
//! finished training, the only state; and what is made from them, the gradient map, the ranking and the
//! placement files. A [`Study`] asks for trainings and is told their scores (ask and tell); [`run()`] drives it on a
//! number of workers. A study that was stopped, however hard, is resumed by replaying its journal: nothing is lost and
//! nothing trained twice.

mod audit;
mod bench;
mod comparison;
mod configuration;
mod coupling;
mod differences;
mod error;
mod finalists;
mod folder;
mod gradient_map_file;
mod importances;
mod journal;
mod memory;
mod metric;
mod noise;
mod prepared;
mod problem;
mod proxy;
mod race;
mod ranking;
mod record;
mod replay;
mod results;
mod run;
mod search;
mod sets;
mod stored;
mod study;
mod trainings;
mod workers;

pub use audit::{Agreement, Audit, Audited, Measured, Predictor};
pub use bench::{BenchConfiguration, BenchRow, PlacementBench, tabulate, tabulated};
pub use comparison::{
    Baseline, COMPARISON_FORMAT, Candidate, Comparison, ComparisonConfiguration, ComparisonRun,
    ComparisonSettings, Competed, Competitor, Difference, Final, FinalRecord, FinalResult,
    FinalTraining, Finisher, FrozenMap, Improvement, SearchSeconds, SeedResult, StoredComparison,
    TestedTraining, run_comparison,
};
pub use configuration::{
    BackboneSource, GradientMapSource, STUDY_FORMAT, SearchSettings, StudyConfiguration, TaskSource,
};
pub use coupling::Alike;
pub use error::StudyError;
pub use finalists::{Estimate, Repeated, parallel_baseline};
pub use folder::{Configuration, Opened, StudyFolder};
pub use gradient_map_file::{GradientMapFile, ProbeQuality};
pub use importances::Importances;
pub use journal::{Journal, Line};
pub use memory::{default_cache_memory, machine_memory};
pub use metric::Metric;
pub use noise::{Advice, Noise, Repeatability};
pub use prepared::{PreparationSettings, Prepared};
pub use problem::{Problem, backbone_reference, chain_shape, encoder, load_backbone};
pub use proxy::GradientProxy;
pub use race::Raced;
pub use ranking::{Finalist, RankedTrial, Ranking};
pub use record::{Phase, Record, Result as TrialResult};
pub use replay::Replay;
pub use run::{Event, Summary, run, train};
pub use search::{Search, SearchRules};
pub use sets::{
    AuditedSets, DrawnSets, RankedBy, SetAudit, SetDraw, SetPredictor, SetVariance, VarianceShares,
};
pub use stored::StoredStudy;
pub use study::{Study, StudyParts, Trial};
pub use trainings::{Listed, Replaying, Training, TrainingLine, Trainings, sort_by_target};
pub use workers::{Asks, Workers};
