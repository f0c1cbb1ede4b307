use adaplace_scorer::{Evaluation, Parameters, ProxyScorer, ScoreError, TrainingSettings};
use adaplace_search_space::{Fidelity, Positive};
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

impl TestedTraining<'_> {
    fn test(&self, parameters: &Parameters) -> Result<Evaluation, ScoreError> {
        self.scorer.evaluate(parameters, self.test)
    }
}

impl Finisher for TestedTraining<'_> {
    fn finish(&self, training: &FinalTraining) -> Result<Final, ScoreError> {
        let FinalTraining {
            placement,
            learned_scale,
            repetition,
        } = training;
        let repetition = *repetition;
        if placement.is_empty() {
            return Ok(Final {
                candidates: Vec::new(),
                learning_rate: None,
                test: self.test(&self.scorer.initial(placement, repetition))?,
            });
        }
        let mut candidates = Vec::new();
        let mut best: Option<(Option<Merit>, Positive, Parameters)> = None;
        let mut first_failure = None;
        for &learning_rate in self.learning_rates {
            let settings = TrainingSettings {
                adapter_learning_rate: learning_rate,
                learned_scale: *learned_scale,
                ..self.settings
            };
            let trained = self
                .scorer
                .train_with(&settings, placement, self.steps, repetition)
                .and_then(|trained| {
                    let score = self.scorer.validate(&trained, self.steps)?;
                    Ok((trained.parameters, score))
                });
            let score = match trained {
                Ok((parameters, score)) => {
                    let merit = self.metric.merit(self.steps, &score);
                    if best.as_ref().is_none_or(|(before, ..)| merit > *before) {
                        best = Some((merit, learning_rate, parameters));
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
        }
        match (best, first_failure) {
            (Some((_, learning_rate, parameters)), _) => Ok(Final {
                candidates,
                learning_rate: Some(learning_rate.get()),
                test: self.test(&parameters)?,
            }),
            (None, Some(error)) => Err(error),
            (None, None) => unreachable!("there is at least one learning rate"),
        }
    }
}
