use adaplace_scorer::{
    Evaluation, Parameters, ProxyScorer, ScoreError, Scored, Scorer as _, TrainingSettings,
};
use adaplace_search_space::{Fidelity, Placement, Positive};
use adaplace_strategy::Merit;
use adaplace_study::Metric;
use adaplace_task::Examples;

use super::finals::{Candidate, Final, FinalTraining, Finisher};

/// Trains like [`ProxyScorer`] with several learning rates, and evaluates on the test part.
#[derive(Debug)]
pub struct TestedTraining<'a> {
    /// The scorer, which trains and validates.
    pub scorer: &'a ProxyScorer,
    /// The test part.
    pub test: &'a Examples,
    /// How adapters are trained, except for their learning rate.
    pub settings: TrainingSettings,
    /// The learning rates.
    pub learning_rates: &'a [Positive],
    /// Optimiser steps.
    pub steps: Fidelity,
    /// The metric that selects the learning rate.
    pub metric: Metric,
}

/// The trainings of one placement so far.
#[derive(Default)]
struct Attempts {
    candidates: Vec<Candidate>,
    best: Option<(Option<Merit>, Positive, Parameters)>,
    first_failure: Option<ScoreError>,
}

impl TestedTraining<'_> {
    fn test(&self, parameters: &Parameters) -> Result<Evaluation, ScoreError> {
        self.scorer.evaluate(parameters, self.test)
    }

    fn settings(&self, learning_rate: Positive, learned_scale: bool) -> TrainingSettings {
        TrainingSettings {
            adapter_learning_rate: learning_rate,
            learned_scale,
            ..self.settings
        }
    }

    /// Takes a training with a learning rate. Only a divergence is no error.
    fn take(
        &self,
        attempts: &mut Attempts,
        learning_rate: Positive,
        trained: Result<Scored, ScoreError>,
    ) -> Result<(), ScoreError> {
        let Attempts {
            candidates,
            best,
            first_failure,
        } = attempts;
        let score = match trained {
            Ok((trained, score)) => {
                let merit = self.metric.merit(self.steps, &score);
                if best.as_ref().is_none_or(|(before, ..)| merit > *before) {
                    *best = Some((merit, learning_rate, trained.parameters));
                }
                Some(score)
            }
            Err(error @ ScoreError::Diverged { .. }) => {
                first_failure.get_or_insert(error);
                None
            }
            Err(error) => return Err(error),
        };
        candidates.push(Candidate {
            learning_rate: learning_rate.get(),
            score,
        });
        Ok(())
    }

    fn tested(&self, attempts: Attempts) -> Result<Final, ScoreError> {
        match (attempts.best, attempts.first_failure) {
            (Some((_, learning_rate, parameters)), _) => Ok(Final {
                candidates: attempts.candidates,
                learning_rate: Some(learning_rate.get()),
                test: self.test(&parameters)?,
            }),
            (None, Some(error)) => Err(error),
            (None, None) => unreachable!("there is at least one learning rate"),
        }
    }

    /// The trainings of some placements with every learning rate.
    fn attempts(
        &self,
        placements: &[&Placement],
        learned_scale: bool,
        repetition: u32,
    ) -> Vec<Result<Attempts, ScoreError>> {
        let mut all: Vec<Result<Attempts, ScoreError>> =
            placements.iter().map(|_| Ok(Attempts::default())).collect();
        for &learning_rate in self.learning_rates {
            let settings = self.settings(learning_rate, learned_scale);
            let trained = self
                .scorer
                .train_together(&settings, placements, self.steps, repetition);
            for (attempts, trained) in all.iter_mut().zip(trained) {
                if let Ok(so_far) = attempts
                    && let Err(error) = self.take(so_far, learning_rate, trained)
                {
                    *attempts = Err(error);
                }
            }
        }
        all
    }
}

impl Finisher for TestedTraining<'_> {
    fn finish(&self, training: &FinalTraining) -> Result<Final, ScoreError> {
        let FinalTraining {
            placement,
            learned_scale,
            repetition,
        } = training;
        if placement.is_empty() {
            return Ok(Final {
                candidates: Vec::new(),
                learning_rate: None,
                test: self.test(&self.scorer.initial(placement, *repetition))?,
            });
        }
        let attempts = self.attempts(&[placement], *learned_scale, *repetition);
        let attempts = attempts.into_iter().next();
        self.tested(attempts.expect("one placement was trained")?)
    }

    fn side_by_side(&self) -> usize {
        self.scorer.side_by_side()
    }

    fn finish_together(&self, trainings: &[&FinalTraining]) -> Vec<Result<Final, ScoreError>> {
        let Some(first) = trainings.first() else {
            return Vec::new();
        };
        let placements: Vec<&Placement> = trainings.iter().map(|one| &one.placement).collect();
        let attempts = self.attempts(&placements, false, first.repetition);
        attempts
            .into_iter()
            .map(|attempts| self.tested(attempts?))
            .collect()
    }
}
