//! Final trainings, judged on the test part.

use adaplace_scorer::{Evaluation, Score, ScoreError};
use adaplace_search_space::{Placement, PlacementHash};
use adaplace_study::{Line, TrainingLine, check_hash};
use serde::{Deserialize, Serialize};

/// Runs final trainings.
pub trait Finisher: Sync {
    /// Trains a placement with each learning rate, takes the best by validation and evaluates it on the test part. The
    /// empty placement is the linear probe, without further training. The result depends only on the arguments.
    ///
    /// # Errors
    /// [`ScoreError::Diverged`] if all trainings diverged. Any other error ends the comparison.
    fn finish(&self, training: &FinalTraining) -> Result<Final, ScoreError>;
}

/// A final training.
#[derive(Debug, Clone, PartialEq)]
pub struct FinalTraining {
    /// The placement.
    pub placement: Placement,
    /// Whether its adapters learn a scale per channel.
    pub learned_scale: bool,
    /// Its repetition, which determines the order of the examples and the initial weights.
    pub repetition: u32,
}

/// The result of a final training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Final {
    /// The learning rates that were tried.
    pub candidates: Vec<Candidate>,
    /// The best learning rate; none for the linear probe.
    pub learning_rate: Option<f64>,
    /// The evaluation of the best training on the test part.
    pub test: Evaluation,
}

/// One learning rate of a final training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Highest learning rate of the adapters.
    pub learning_rate: f64,
    /// Its score; none if it diverged.
    pub score: Option<Score>,
}

/// A line of `finals.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalRecord {
    /// Its number, from 0.
    pub number: usize,
    /// The placement's hash.
    pub hash: PlacementHash,
    /// The placement.
    pub placement: Placement,
    /// See [`FinalTraining`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learned_scale: bool,
    /// See [`FinalTraining`].
    pub repetition: u32,
    /// Its result.
    pub result: FinalResult,
    /// Its duration in seconds.
    pub seconds: f64,
}

impl FinalRecord {
    /// Name of the journal of final trainings in the folder of a comparison.
    pub const FILE: &str = "finals.jsonl";
}

impl TrainingLine for FinalRecord {
    type Training = FinalTraining;
    type Result = FinalResult;
    type Key = (PlacementHash, bool, u32);

    fn key_of(training: &FinalTraining) -> Self::Key {
        (
            training.placement.hash(),
            training.learned_scale,
            training.repetition,
        )
    }

    fn key(&self) -> Self::Key {
        (self.hash, self.learned_scale, self.repetition)
    }

    fn is_for(&self, _training: &FinalTraining) -> bool {
        true
    }

    fn new(number: usize, training: FinalTraining, result: FinalResult, seconds: f64) -> Self {
        Self {
            number,
            hash: training.placement.hash(),
            placement: training.placement,
            learned_scale: training.learned_scale,
            repetition: training.repetition,
            result,
            seconds,
        }
    }
}

/// The result of a final training, or its failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalResult {
    /// At least one learning rate succeeded.
    Final(Final),
    /// All failed; the reason of the first failure.
    Failed(String),
}

impl FinalResult {
    /// The result if at least one learning rate succeeded.
    #[must_use]
    pub fn as_final(&self) -> Option<&Final> {
        match self {
            Self::Final(done) => Some(done),
            Self::Failed(_) => None,
        }
    }
}

impl Line for FinalRecord {
    fn check(&self, before: usize) -> Result<(), String> {
        if self.number != before {
            return Err(format!(
                "it is number {}, where {before} should follow",
                self.number
            ));
        }
        check_hash(self.hash, &self.placement)
    }
}
