use adaplace_scorer::Score;
use adaplace_search_space::{Fidelity, Placement, PlacementHash};
use serde::{Deserialize, Serialize};

/// One finished training: a line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Number of the training in its study, from 0.
    pub trial: usize,
    /// Its phase of the study.
    pub phase: Phase,
    /// The placement's hash.
    pub hash: PlacementHash,
    /// The placement.
    pub placement: Placement,
    /// Optimiser steps.
    pub steps: Fidelity,
    /// Repetition of the placement: 0 in the search, from 1 in the race, then those of finalists and baseline.
    pub repetition: u32,
    /// The score, or the reason of the failure.
    pub result: TrialResult,
    /// Duration in seconds, the only field that depends on machine and load.
    pub seconds: f64,
}

/// The phase that a training belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A trial that the strategy proposed.
    Search,
    /// A training in the race of the best placements.
    Race,
    /// A repetition of a placement that the race left. It does not change the order.
    Finalist,
    /// A repetition of the baseline, a parallel adapter at every sublayer.
    Baseline,
}

/// The result of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialResult {
    /// It succeeded.
    Score(Score),
    /// It failed, for this reason.
    Failed(String),
}

impl TrialResult {
    /// The score of a successful training.
    #[must_use]
    pub fn score(&self) -> Option<&Score> {
        match self {
            Self::Score(score) => Some(score),
            Self::Failed(_) => None,
        }
    }
}
