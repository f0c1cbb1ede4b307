//! How well the surrogate's model predicts placements that it was not fitted to.

use adaplace_analysis::Measured;
use adaplace_analysis::shuffled;
use adaplace_strategy::SurrogateModel;
use rayon::prelude::*;

use super::SetPredictor;
use super::repeated::{Trained, means};
use super::{AuditedSets, FEWEST};
use crate::RankCorrelation;

/// Numbers of placements that the model is fitted to.
const TOLD: [usize; 3] = [16, 32, 64];

/// Number of random choices of these placements.
const DRAWS: usize = 10;

/// Audits the model against the means of the remaining placements, for each size that leaves enough of them.
pub(super) fn audited(
    model: &SurrogateModel<'_>,
    trained: &Trained,
    seed: u64,
) -> Vec<AuditedSets> {
    let count = trained.placements.len();
    let sizes = TOLD.into_iter().filter(|told| told + FEWEST <= count);
    let agreement = |told: usize, table: &[Vec<f64>]| {
        let result = means(table);
        let draws: Vec<RankCorrelation> = (0..DRAWS)
            .into_par_iter()
            .map(|draw| {
                let order = shuffled(count, seed.wrapping_add(draw as u64));
                let (known, others) = order.split_at(told);
                let known: Vec<(usize, f64)> = known
                    .iter()
                    .map(|&index| (index, table[index][0]))
                    .collect();
                // Equal scores teach the model nothing: all predictions are equal.
                let predicted = model.means(&known).unwrap_or_else(|| vec![0.0; count]);
                let pick = |values: &[f64]| -> Vec<f64> {
                    others.iter().map(|&index| values[index]).collect()
                };
                RankCorrelation::of(&pick(&predicted), &pick(&result), seed)
            })
            .collect();
        mean(&draws)
    };
    sizes
        .map(|told| AuditedSets {
            predictor: SetPredictor::Surrogate(told),
            validation_accuracy: agreement(told, &trained.accuracy),
            validation_loss: agreement(told, &trained.loss),
        })
        .collect()
}

/// The mean of each measure over the draws that have it.
fn mean(draws: &[RankCorrelation]) -> RankCorrelation {
    let number = |of: &dyn Fn(&RankCorrelation) -> Option<f64>| {
        let values: Vec<f64> = draws.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let measured = |of: fn(&RankCorrelation) -> Option<Measured>| {
        Some(Measured {
            value: number(&|draw| Some(of(draw)?.value))?,
            low: number(&|draw| of(draw)?.low),
            high: number(&|draw| of(draw)?.high),
        })
    };
    RankCorrelation {
        spearman: measured(|draw| draw.spearman),
        kendall: measured(|draw| draw.kendall),
        top_recall: measured(|draw| draw.top_recall),
    }
}
