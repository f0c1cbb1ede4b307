//! The description of the work in a work folder: `work.json`, which both engines read.

use std::path::Path;
use std::sync::Arc;

use adaplace_backbone::{Backbone, Pooling};
use adaplace_scorer::{ProxyScorer, Resources, TrainingSettings};
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use adaplace_task::Task;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::source::Source;

/// The part of the work that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Whole trainings of the only placement, reported as seconds per training step.
    Steps,
    /// Everything from encoded examples in memory to the scores of all placements.
    Study,
    /// The singular values of the gradient matrices of all connections.
    GradientMap,
}

/// The inputs that the backbone reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Modality {
    /// Token ids.
    Text,
    /// Pixels.
    Images,
}

/// One connection as `[source, target]`.
pub(crate) type Pair = (u16, u16);

/// The contents of `work.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    pub(crate) modality: Modality,
    pub(crate) pooling: Pooling,
    /// The rank of every adapter. Its scale is 1.
    pub(crate) rank: u16,
    /// The seed of initial adapters and example order. The repetition is 0.
    pub(crate) seed: u64,
    /// The number of steps of one training.
    pub(crate) steps: u32,
    pub(crate) settings: TrainingSettings,
    /// The number of times that the work is done before it is timed.
    pub(crate) warm_ups: usize,
    /// The number of times that the work is timed.
    pub(crate) repeats: usize,
    /// Rows of the training part, one batch for each step. For a gradient map, the batches from which it is computed.
    pub(crate) batches: Vec<Vec<usize>>,
    /// Rows of the validation part. Empty for a gradient map.
    pub(crate) validation_batches: Vec<Vec<usize>>,
    pub(crate) placements: Vec<Vec<Pair>>,
}

/// A backbone and a task.
pub(crate) type Shared = (Arc<Backbone>, Arc<Task>);

impl Work {
    /// The scorer that trains the placements, starting with a newly fitted probe.
    pub(crate) fn scorer(
        &self,
        (backbone, task): &Shared,
        resources: Resources,
    ) -> Result<ProxyScorer> {
        let (backbone, task) = (Arc::clone(backbone), Arc::clone(task));
        let (settings, seed) = (self.settings, self.seed);
        Ok(ProxyScorer::with_resources(
            backbone, task, settings, seed, resources,
        )?)
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("work.json");
        let bytes = std::fs::read(&path)
            .with_context(|| format!("cannot read `{}`; `prepare` writes it", path.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` is damaged; prepare it again", path.display()))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("work.json");
        std::fs::write(&path, serde_json::to_string(self)?)
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// The placements, at most `limit` of them, evenly spread.
    pub(crate) fn placements(&self, limit: Option<usize>) -> Result<Vec<Placement>> {
        let count = limit.map_or(self.placements.len(), |limit| {
            limit.min(self.placements.len())
        });
        let adapter = AdapterSpec::new(self.rank, 1.0)?;
        let placement = |pairs: &Vec<Pair>| {
            let connections = pairs
                .iter()
                .map(|&(source, target)| Connection { source, target });
            connections
                .map(|connection| (connection, adapter))
                .collect()
        };
        let chosen =
            (0..count).map(|index| &self.placements[index * self.placements.len() / count]);
        Ok(chosen.map(placement).collect())
    }
}
