use std::sync::atomic::AtomicBool;

use adaplace_scorer::{Score, ScoreError, Scorer};
use adaplace_search_space::Placement;

use crate::{Asks, Event, Ranking, Study, StudyError, Training, TrialResult, Work, Workers};

/// How a run ended.
#[derive(Debug)]
pub enum Summary {
    /// All trials and repetitions are done; the ranking is written.
    Finished(Box<Ranking>),
    /// The run was stopped. The journal holds the finished trainings.
    Stopped {
        /// Number of trainings in the journal.
        trainings: usize,
    },
}

/// Runs a study to its end or until `stop` is set: the search, the race of the best, then the repetitions of finalists
/// and baseline.
///
/// # Errors
/// The first error that is not a failed trial. The journal then holds all trainings that were finished before it.
pub fn run<S: Scorer>(
    study: &mut Study,
    scorer: &S,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, StudyError> {
    let mut running = Running { study, notify };
    let finished = workers.run(&mut running, stop, Scoring(scorer))?;
    Ok(match study.ranking() {
        Some(ranking) if finished => Summary::Finished(Box::new(ranking.clone())),
        _ => Summary::Stopped {
            trainings: study.records().len(),
        },
    })
}

/// A study with the callback that is notified of its events.
struct Running<'a> {
    study: &'a mut Study,
    notify: &'a mut dyn FnMut(Event<'_>),
}

impl Asks for Running<'_> {
    type Training = Training;
    type Outcome = Result<TrialResult, StudyError>;

    fn ask(&mut self, _workers: usize) -> Result<Vec<(usize, Training)>, StudyError> {
        let trials = self.study.ask(self.notify)?.into_iter();
        Ok(trials.map(|trial| (trial.number, trial.training)).collect())
    }

    fn tell(
        &mut self,
        number: usize,
        outcome: Self::Outcome,
        seconds: f64,
    ) -> Result<(), StudyError> {
        self.study.tell(number, outcome?, seconds, self.notify)
    }
}

/// Runs trainings with a scorer, side by side if it is faster that way. A failed training is a result; an error ends the
/// run.
#[derive(Debug)]
pub struct Scoring<'a, S>(pub &'a S);

impl<S: Scorer> Work<Training> for Scoring<'_, S> {
    type Outcome = Result<TrialResult, StudyError>;

    fn most(&self) -> usize {
        self.0.side_by_side()
    }

    /// A recurrent connection needs a second pass, which would be computed for all.
    fn fits(&self, first: &Training, other: &Training) -> bool {
        let alike = |training: &Training| {
            let recurrent = training
                .placement
                .connections()
                .any(|one| one.is_recurrent());
            (training.steps, training.repetition, recurrent)
        };
        alike(first) == alike(other)
    }

    fn work(&self, trainings: &[&Training]) -> Vec<Self::Outcome> {
        let Some(Training {
            steps, repetition, ..
        }) = trainings.first()
        else {
            return Vec::new();
        };
        let placements: Vec<&Placement> = trainings.iter().map(|one| &one.placement).collect();
        let scores = self.0.score_together(&placements, *steps, *repetition);
        let outcomes = trainings.iter().zip(scores);
        outcomes
            .map(|(training, score)| outcome(training, score))
            .collect()
    }
}

fn outcome(
    training: &Training,
    score: Result<Score, ScoreError>,
) -> Result<TrialResult, StudyError> {
    match score.and_then(|score| finite(training, score)) {
        Ok(score) => Ok(TrialResult::Score(score)),
        Err(error) if error.is_failed_trial() => Ok(TrialResult::Failed(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn finite(training: &Training, score: Score) -> Result<Score, ScoreError> {
    match score.not_finite() {
        None => Ok(score),
        Some((quantity, value)) => Err(ScoreError::Diverged {
            step: training.steps.steps(),
            quantity,
            value,
        }),
    }
}
