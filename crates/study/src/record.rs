use adaplace_scorer::Score;
use adaplace_search_space::{Fidelity, Placement, PlacementHash};
use serde::{Deserialize, Serialize};

/// One finished training: a line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Number of the training in its study, from 0.
    pub trial: usize,
    /// What it was done for.
    pub phase: Phase,
    /// The placement's hash.
    pub hash: PlacementHash,
    /// The placement.
    pub placement: Placement,
    /// Optimiser steps.
    pub steps: Fidelity,
    /// 0 in the search, from 1 in the race, behind it for the repetitions of finalists and baseline.
    pub repetition: u32,
    /// The score, or why there is none.
    pub result: Result,
    /// How long it took; depends on machine and load, all else does not.
    pub seconds: f64,
}

/// What a training was done for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A trial that the strategy proposed.
    Search,
    /// A training of one of the best in their race.
    Race,
    /// A repetition of one of those that the race left, which chooses nothing.
    Finalist,
    /// A repetition of the adapter in parallel at every sublayer.
    Baseline,
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    /// It went through.
    Score(Score),
    /// It failed, and why.
    Failed(String),
}

impl Result {
    /// The score of a training that went through.
    #[must_use]
    pub fn score(&self) -> Option<&Score> {
        match self {
            Self::Score(score) => Some(score),
            Self::Failed(_) => None,
        }
    }
}
