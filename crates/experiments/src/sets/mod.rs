//! How well cheap predictors predict placements of several connections, and the variance components of their results.

mod drawn;
mod predictor;
mod ranked;
mod repeated;
mod told;
mod variance;

use std::path::Path;
use std::sync::Arc;

use adaplace_files::{Document, Layout, read_json, write_json};
use adaplace_scorer::{GradientMap, Statistics};
use adaplace_search_space::Fidelity;
use adaplace_strategy::{ConnectionProxy, SurrogateModel};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use drawn::{DrawnSets, SetDraw};
pub use predictor::SetPredictor;
pub use ranked::RankedBy;
pub use variance::{SetVariance, VarianceShares};

use crate::audit::FEWEST;
use crate::{ExperimentError, PlacementBench, RankCorrelation};
use repeated::{Trained, means};

/// The content of `sets.json`: the audit of a placement bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAudit {
    /// `adaplace.set-audit/1`
    pub format: String,
    /// Name of the task.
    pub task: String,
    /// Number of placements that all numbers refer to: those with all the repetitions below.
    pub placements: usize,
    /// Number of placements in the bench.
    pub of_placements: usize,
    /// Trainings of each placement. In a bench with failed trainings these are the first ones, as many as leave the
    /// most degrees of freedom.
    pub repetitions: usize,
    /// Optimiser steps of each training.
    pub steps: Fidelity,
    /// Each predictor against each result.
    pub predictors: Vec<AuditedSets>,
    /// How well each metric of a single training ranks placements; empty without repetitions and in older files.
    #[serde(default)]
    pub ranked_by: Vec<RankedBy>,
    /// Variance components of accuracies.
    pub accuracy: SetVariance,
    /// Variance components of negated losses.
    pub loss: SetVariance,
    /// The means of the placements by how they were drawn; empty if the bench is not a sample.
    pub draws: Vec<DrawnSets>,
}

/// The agreement of one predictor of placements with their results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditedSets {
    /// The predictor.
    pub predictor: SetPredictor,
    /// The rank correlation with the mean validation accuracy over the repetitions.
    pub validation_accuracy: RankCorrelation,
    /// The rank correlation with the negated mean validation loss.
    pub validation_loss: RankCorrelation,
}

impl SetAudit {
    /// Name of the file.
    pub const FILE: &'static str = "sets.json";

    /// Audits `bench` with all statistics of the frozen model's `map`, the mean rank by `also`, the trivial rules, and
    /// the surrogate's model with features from `proxy`. The seed of the bench determines draws and intervals.
    ///
    /// # Errors
    /// [`ExperimentError::TooFewPlacements`] with fewer than ten, or if a gradient is not finite.
    pub fn new(
        bench: &PlacementBench,
        map: &GradientMap,
        proxy: Arc<dyn ConnectionProxy + '_>,
        task: &str,
        also: &Statistics,
    ) -> Result<Self, ExperimentError> {
        let trained = Trained::of(bench)?;
        let placements = &trained.placements;
        if placements.len() < FEWEST {
            return Err(ExperimentError::TooFewPlacements {
                trained: placements.len(),
                fewest: FEWEST,
            });
        }
        let search = &bench.configuration.search;
        let seed = search.seed.get();
        let (accuracy, loss) = (means(&trained.accuracy), means(&trained.loss));
        let single = placements.iter().all(|placement| placement.len() == 1);
        let untrained = SetPredictor::untrained(also, single)
            .into_par_iter()
            .map(|predictor| {
                let predicted = predictor.of(map, placements)?;
                Ok(predicted.map(|predicted| AuditedSets {
                    predictor,
                    validation_accuracy: RankCorrelation::of(&predicted, &accuracy, seed),
                    validation_loss: RankCorrelation::of(&predicted, &loss, seed),
                }))
            })
            .collect::<Result<Vec<_>, ExperimentError>>()?;
        let mut predictors: Vec<AuditedSets> = untrained.into_iter().flatten().collect();
        let model = SurrogateModel::new(proxy, &bench.space()?, placements, seed)?;
        predictors.extend(told::audited(&model, &trained, seed));
        predictors.extend(first_training(&trained, seed));
        let [of_accuracy, of_loss] = SetVariance::of(&trained, seed);
        Ok(Self {
            format: Self::FORMAT.to_owned(),
            task: task.to_owned(),
            placements: placements.len(),
            of_placements: bench.rows.len(),
            repetitions: trained.repetitions,
            steps: search.steps,
            predictors,
            ranked_by: ranked::ranked(&trained),
            accuracy: of_accuracy,
            loss: of_loss,
            draws: drawn::draws(bench, &trained)?,
        })
    }

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is damaged; the message names it.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        Ok(read_json(path)?)
    }

    /// Writes the file atomically. On failure an earlier file is unchanged.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ExperimentError> {
        Ok(write_json(path, self, Layout::Pretty)?)
    }
}

impl Document for SetAudit {
    const FORMAT: &'static str = "adaplace.set-audit/1";
}

/// The reference for every other predictor: a training of the placement itself.
fn first_training(trained: &Trained, seed: u64) -> Option<AuditedSets> {
    if trained.repetitions < 2 {
        return None;
    }
    let agreement = |table: &[Vec<f64>]| {
        let first: Vec<f64> = table.iter().map(|row| row[0]).collect();
        let others: Vec<Vec<f64>> = table.iter().map(|row| row[1..].to_vec()).collect();
        RankCorrelation::of(&first, &means(&others), seed)
    };
    Some(AuditedSets {
        predictor: SetPredictor::FirstTraining,
        validation_accuracy: agreement(&trained.accuracy),
        validation_loss: agreement(&trained.loss),
    })
}
