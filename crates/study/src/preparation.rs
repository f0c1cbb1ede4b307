//! What the preparation for the trainings of a study, a comparison or a bench depends on.

use std::path::{Path, PathBuf};

use adaplace_files::{Document, FileError, read_toml};
use adaplace_scorer::{GradientMapSettings, Statistics, TrainingSettings};
use adaplace_search_space::{Connection, Count, Fidelity, SearchSpace, Seed};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::StudyError;

/// The configuration that a folder of results belongs to.
pub trait Configuration: Document + Clone {
    /// Name of the file.
    const FILE: &'static str;

    /// Reads and checks the configuration at `path`.
    ///
    /// # Errors
    /// If it cannot be read or understood; the message names the file.
    fn read(path: &Path) -> Result<Self, StudyError> {
        read_toml(path).map_err(|error| match error {
            FileError::Content { path, problem } => StudyError::Configuration {
                path,
                reason: problem.to_string(),
            },
            other => other.into(),
        })
    }

    /// The settings of the preparation for its trainings in `space`.
    fn preparation(&self, space: &SearchSpace) -> PreparationSettings;

    /// This configuration with the paths of backbone and task from `other`. Their hashes still identify them.
    #[must_use]
    fn at_the_places_of(&self, other: &Self) -> Self;

    /// This configuration with the settings that may change between runs from `wanted`. No training in the journal
    /// depends on them.
    #[must_use]
    fn growing_as(&self, _wanted: &Self) -> Self {
        self.clone()
    }

    /// Whether trials were added after trainings had begun, so that the journal is not in the order of a single search.
    fn has_grown(&self) -> bool {
        false
    }

    /// The content of the file.
    ///
    /// # Errors
    /// If a number does not fit in TOML.
    fn to_toml(&self) -> Result<String, StudyError> {
        toml::to_string(self).map_err(|error| StudyError::Configuration {
            path: PathBuf::from(Self::FILE),
            reason: error.to_string(),
        })
    }
}

/// What preparation depends on besides backbone and task.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparationSettings {
    /// How adapters are trained.
    pub training: TrainingSettings,
    /// Settings of the map.
    pub gradient_map: GradientMapSource,
    /// The connections of the map.
    pub connections: Vec<Connection>,
    /// The statistics that score connections. The map holds at least these.
    pub statistics: Statistics,
    /// Optimiser steps of a training of many connections together.
    pub steps: Fidelity,
    /// The seed of all random choices.
    pub seed: Seed,
}

/// Settings of the gradient map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientMapSource {
    /// Largest number of training examples.
    pub examples: Count,
    /// The connections whose gradient matrices are computed; all of them in older files.
    #[serde(default, skip_serializing_if = "MapConnections::are_all")]
    pub connections: MapConnections,
    /// Thresholds and batch size.
    pub settings: GradientMapSettings,
}

/// The connections of a gradient map.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum MapConnections {
    /// All connections between hidden states.
    #[default]
    All,
    /// The connections of the search space.
    Space,
}

impl MapConnections {
    /// The connections, given the search space.
    #[must_use]
    pub fn of(self, space: &SearchSpace) -> Vec<Connection> {
        match self {
            Self::All => Connection::all(space.shape().hidden_states),
            Self::Space => space.connections().to_vec(),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn are_all(&self) -> bool {
        *self == Self::All
    }
}

impl Default for GradientMapSource {
    fn default() -> Self {
        Self {
            examples: Count::of(512),
            connections: MapConnections::default(),
            settings: GradientMapSettings::default(),
        }
    }
}
