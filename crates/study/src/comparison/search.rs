//! One search of a comparison: a strategy with one seed.

use std::sync::Arc;
use std::time::Instant;

use adaplace_scorer::Scorer;
use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::{Merit, StrategyDescription, StrategySetting};

use super::ComparisonSettings;
use super::judgements::Charged;
use super::outcome::{Improvement, SearchSeconds};
use crate::ledger::Job;
use crate::runner::Runner;
use crate::{Phase, Study, StudyError};

/// What a competitor came to with one seed.
pub(super) struct Searched {
    pub(super) placement: Placement,
    pub(super) steps: u64,
    pub(super) curve: Vec<Improvement>,
    pub(super) seconds: SearchSeconds,
}

impl Searched {
    /// Without a search; `judgements` is what the placement was taken from took, in seconds.
    pub(super) fn without_trials(placement: Placement, judgements: f64) -> Self {
        Self {
            placement,
            steps: 0,
            curve: Vec::new(),
            seconds: SearchSeconds {
                trials: 0.0,
                judgements,
            },
        }
    }
}

/// A search that is to be run.
pub(super) struct Search<'a> {
    pub(super) name: String,
    pub(super) settings: &'a ComparisonSettings,
    pub(super) space: &'a SearchSpace,
    pub(super) strategy: &'a StrategyDescription,
    pub(super) trials: usize,
    pub(super) seed: u32,
}

impl Search<'_> {
    /// Runs it, connections judged by `proxy`; `None` if it was stopped.
    ///
    /// # Errors
    /// If the strategy cannot search the space, no training went through, or the study fails.
    pub(super) fn run<S: Scorer>(
        &self,
        runner: &mut Runner<'_, S>,
        proxy: &Arc<Charged<'_>>,
    ) -> Result<Option<Searched>, StudyError> {
        let Self {
            settings, space, ..
        } = *self;
        let strategy = self.strategy.build(StrategySetting {
            space,
            fidelity: settings.steps,
            seed: settings.seed.wrapping_add(self.seed.into()),
            trials: self.trials,
            halving: None,
            costs: Vec::new(),
            proxy: Some(Arc::clone(proxy) as Arc<_>),
        })?;
        let mut study = Study::new(space, strategy, settings.metric, settings.proposals);
        let mut best: Option<(Merit, Placement)> = None;
        let (mut steps, mut trials) = (0, 0);
        let mut curve = Vec::new();
        let mut seconds = SearchSeconds {
            trials: 0.0,
            judgements: 0.0,
        };
        loop {
            let start = Instant::now();
            let proposals = study.ask()?;
            seconds.judgements += start.elapsed().as_secs_f64();
            if proposals.is_empty() {
                break;
            }
            let jobs: Vec<Job> = proposals
                .iter()
                .map(|proposal| Job {
                    phase: Phase::Search,
                    placement: proposal.placement.clone(),
                    fidelity: proposal.fidelity,
                    repetition: self.seed,
                })
                .collect();
            let Some(results) = runner.results(&jobs)? else {
                return Ok(None);
            };
            seconds.trials += runner.seconds(&jobs);
            for (proposal, result) in proposals.iter().zip(&results) {
                study.tell(proposal, result);
                trials += 1;
                steps += u64::from(proposal.fidelity.steps());
                let Some(score) = result.score() else {
                    continue;
                };
                if let Some(merit) = settings.metric.merit(proposal.fidelity, score)
                    && space.contains(&proposal.placement)
                    && best.as_ref().is_none_or(|(best, _)| merit > *best)
                {
                    best = Some((merit, proposal.placement.clone()));
                    curve.push(Improvement {
                        steps,
                        value: settings.metric.value(score),
                    });
                }
            }
        }
        let (_, placement) = best.ok_or_else(|| StudyError::NothingComplete {
            strategy: self.name.clone(),
            trials,
        })?;
        seconds.judgements += proxy.saved();
        Ok(Some(Searched {
            placement,
            steps,
            curve,
            seconds,
        }))
    }
}
