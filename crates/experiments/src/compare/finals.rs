//! Final trainings, judged on the test part.

use adaplace_scorer::{Evaluation, Score, ScoreError};
use adaplace_search_space::{Placement, PlacementHash};
use adaplace_study::{Line, StudyError, TrainingLine, Work, check_hash};
use serde::{Deserialize, Serialize};

/// Runs final trainings.
pub trait Finisher: Sync {
    /// Trains a placement with each learning rate, takes the best by validation and evaluates it on the test part. The
    /// empty placement is the linear probe, without further training. The result depends only on the arguments.
    ///
    /// # Errors
    /// [`ScoreError::Diverged`] if all trainings diverged. Any other error ends the comparison.
    fn finish(&self, training: &FinalTraining) -> Result<Final, ScoreError>;

    /// The number of trainings that [`Self::finish_together`] does faster than one after the other.
    fn side_by_side(&self) -> usize {
        1
    }

    /// The results of [`Self::finish`], up to rounding, of trainings with the same repetition, none of which learns a scale
    /// or is that of the empty placement.
    fn finish_together(&self, trainings: &[&FinalTraining]) -> Vec<Result<Final, ScoreError>> {
        let each = trainings.iter();
        each.map(|training| self.finish(training)).collect()
    }
}

/// Runs final trainings, side by side if it is faster that way. A failed training is a result; an error ends the run.
pub(super) struct Finishing<'a, F>(pub(super) &'a F);

impl<F: Finisher> Work<FinalTraining> for Finishing<'_, F> {
    type Outcome = Result<FinalResult, StudyError>;

    fn most(&self) -> usize {
        self.0.side_by_side()
    }

    /// A recurrent connection needs a second pass, which would be computed for all.
    fn fits(&self, first: &FinalTraining, other: &FinalTraining) -> bool {
        let ordinary =
            |training: &FinalTraining| !training.learned_scale && !training.placement.is_empty();
        let recurrent = |training: &FinalTraining| {
            let mut connections = training.placement.connections();
            connections.any(|one| one.is_recurrent())
        };
        ordinary(first)
            && ordinary(other)
            && first.repetition == other.repetition
            && recurrent(first) == recurrent(other)
    }

    fn work(&self, trainings: &[&FinalTraining]) -> Vec<Self::Outcome> {
        let finals = match trainings {
            [one] => vec![self.0.finish(one)],
            several => self.0.finish_together(several),
        };
        let outcome = |done: Result<Final, ScoreError>| match done {
            Ok(done) => Ok(FinalResult::Final(done)),
            Err(error) if error.is_failed_trial() => Ok(FinalResult::Failed(error.to_string())),
            Err(error) => Err(error.into()),
        };
        finals.into_iter().map(outcome).collect()
    }
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
