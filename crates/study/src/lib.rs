//! The search loop around scorer and strategy.
//!
//! A study is a folder. `study.toml` holds the fully resolved [`StudyConfiguration`]. `journal.jsonl` is the only
//! state, with one [`Record`] for each finished training. The gradient map, the ranking and the placement files are
//! derived from them. A [`Study`] asks for trainings and is told their scores (ask and tell); [`run()`] drives it on a
//! number of workers. A study that was interrupted or killed is resumed by replaying its journal: no finished training
//! is lost or repeated.

mod configuration;
mod coupling;
mod differences;
mod error;
mod event;
mod finalists;
mod folder;
mod gradient_map_file;
mod importances;
mod journal;
mod memory;
mod metric;
mod noise;
mod preparation;
mod prepared;
mod problem;
mod proxy;
mod race;
mod ranking;
mod record;
mod results;
mod run;
mod search;
mod stored;
mod study;
mod trainings;
mod workers;

pub use configuration::{
    BackboneSource, STUDY_FORMAT, SearchSettings, StudyConfiguration, TaskSource,
};
pub use coupling::Alike;
pub use error::{StudyError, if_there};
pub use event::Event;
pub use finalists::{Finalist, Repeated, parallel_baseline};
pub use folder::{Opened, StudyFolder};
pub use gradient_map_file::{GradientMapFile, ProbeQuality};
pub use importances::Importances;
pub use journal::{Journal, Line, check_hash, read_lines};
pub use memory::{default_cache_memory, machine_memory, peak_memory, resident_memory};
pub use metric::Metric;
pub use noise::{Advice, Noise, Repeatability};
pub use preparation::{Configuration, GradientMapSource, MapConnections, PreparationSettings};
pub use prepared::Prepared;
pub use problem::{Problem, backbone_reference, chain_shape, encoder, load_backbone};
pub use proxy::GradientProxy;
pub use race::{Raced, race_trainings};
pub use ranking::{RankedTrial, Ranking};
pub use record::{Phase, Record, TrialResult};
pub use run::{Scoring, Summary, run};
pub use search::{Search, SearchRules};
pub use stored::StoredStudy;
pub use study::{Study, StudyParts, Trial};
pub use trainings::{Listed, Replaying, Training, TrainingLine, Trainings, sort_by_target};
pub use workers::{Asks, Work, Workers};
