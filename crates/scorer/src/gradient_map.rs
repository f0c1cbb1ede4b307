//! The gradient of the loss with respect to the best linear map along every connection, from one forward and backward
//! pass.
//!
//! A further connection i -> j whose adapter outputs zero changes nothing. So the frozen model's states h_i and the
//! gradients dL/dh_j of its loss determine, for all (N + 1)^2 connections at once,
//!
//! G_ij = 1/n sum over examples and real tokens of dL/dh_j norm(h_i)^T (width x width)
//!
//! where L is the sum of the examples' losses. Given adapters with a recurrent one among them, there are two passes. A
//! further connection i -> j with i <= j then acts in both, and G_ij is the sum over the passes; one with i > j reads
//! the first pass and adds to the second.

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::{Connection, Count, Share};
use adaplace_task::{Examples, evaluation_batches};
use serde::{Deserialize, Serialize};

use crate::cross_fit::CrossFit;
use crate::engine::{Shard, shards_of};
use crate::gradient_sums::{Side, for_connections};
use crate::singular_values::singular_values;
use crate::{Dataset, JointJudgement, Model, ScoreError, Statistic, Statistics};

/// The numbers on which a gradient map depends in addition to model and examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientMapSettings {
    /// The number of examples in a batch.
    pub batch_size: Count,
    /// The threshold of [`Statistic::Rank`], which counts singular values above this share of the largest one in the
    /// whole map.
    pub absolute_threshold: Share,
    /// The threshold of [`Statistic::RelativeRank`], which counts singular values above this share of the matrix's own
    /// largest one.
    pub relative_threshold: Share,
}

impl Default for GradientMapSettings {
    fn default() -> Self {
        Self {
            batch_size: Count::of(32),
            absolute_threshold: Share::of(0.003),
            relative_threshold: Share::of(0.01),
        }
    }
}

/// The singular values of G_ij for all pairs of states, and their statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientMap {
    hidden_states: usize,
    /// The singular values by source, then target.
    singular_values: Vec<Vec<f64>>,
    /// The cross-fitted statistics, if the map was computed with them.
    cross_fit: Option<CrossFit>,
    settings: GradientMapSettings,
    examples: usize,
}

impl GradientMap {
    /// Computes the map with one forward and backward pass of `model` over `examples`.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind, or if a decomposition fails because a gradient is not finite.
    pub fn compute<A: Arithmetic>(
        model: &Model<'_, A>,
        examples: &Examples,
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let batches = evaluation_batches(&examples.lengths(), settings.batch_size.get());
        let data = Dataset::from(examples);
        let shards = shards_of(model.backbone(), data, &batches)?;
        Self::of_shards(model, &shards, settings)
    }

    /// Computes the map like [`Self::compute`], and the cross-fitted ones of `statistics`.
    ///
    /// The statistics of `train` and `validation` need one more map and, for every connection, a decomposition with
    /// singular vectors. The statistics of two halves of `train`, to which the examples are assigned in turn, need
    /// another map and two more decompositions. The probe of a half is fitted to the model's features, and its strength
    /// chosen on `validation`.
    ///
    /// # Errors
    /// The errors of [`Self::compute`]. Also if a half is empty, or if a probe cannot be fitted.
    pub fn cross_fitted<A: Arithmetic>(
        model: &Model<'_, A>,
        train: &Examples,
        validation: &Examples,
        settings: &GradientMapSettings,
        statistics: &Statistics,
    ) -> Result<Self, ScoreError> {
        if train.len() < 2 || validation.is_empty() {
            return Err(ScoreError::TooFewExamples {
                train: train.len(),
                validation: validation.len(),
            });
        }
        let (fit, singular_values) =
            CrossFit::compute(model, train, validation, settings, statistics)?;
        Ok(Self {
            hidden_states: model.backbone().description().hidden_states,
            singular_values,
            cross_fit: Some(fit),
            settings: *settings,
            examples: train.len(),
        })
    }

    pub(crate) fn of_shards<A: Arithmetic>(
        model: &Model<'_, A>,
        shards: &[Shard<'_, A>],
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let examples: usize = shards.iter().map(|shard| shard.count).sum();
        if examples == 0 {
            return Err(ScoreError::NoExamples);
        }
        let side = Side {
            model,
            shards,
            examples,
        };
        let singular_values = for_connections(&[side], |matrices| {
            let values = singular_values(matrices[0].sums)?.into_iter();
            Ok(values.map(|s| s / examples as f64).collect())
        })?;
        Ok(Self {
            hidden_states: model.backbone().description().hidden_states,
            singular_values,
            cross_fit: None,
            settings: *settings,
            examples,
        })
    }

    /// The number of hidden states. The map has the square of it as connections.
    #[must_use]
    pub fn hidden_states(&self) -> usize {
        self.hidden_states
    }

    /// The number of examples from which the map was computed.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The thresholds and the batch size.
    #[must_use]
    pub fn settings(&self) -> &GradientMapSettings {
        &self.settings
    }

    /// The singular values of a connection's gradient matrix, the largest first.
    ///
    /// # Panics
    /// If the connection is outside the map.
    #[must_use]
    pub fn singular_values(&self, connection: Connection) -> &[f64] {
        let Connection { source, target } = connection;
        &self.singular_values[usize::from(source) * self.hidden_states + usize::from(target)]
    }

    /// The values of a statistic for every connection, where rows are sources and columns targets. `None` for a
    /// cross-fitted statistic if the map was computed without it.
    #[must_use]
    pub fn table(&self, statistic: Statistic) -> Option<Vec<Vec<f64>>> {
        let values = match &self.cross_fit {
            Some(fit) if statistic.is_cross_fitted() => fit.of(statistic)?.to_vec(),
            _ => {
                let absolute = self.settings.absolute_threshold.get() * self.largest();
                let relative = self.settings.relative_threshold.get();
                let of = |values: &Vec<f64>| statistic.of(values, absolute, relative);
                self.singular_values.iter().map(of).collect::<Option<_>>()?
            }
        };
        let rows = values.chunks(self.hidden_states);
        Some(rows.map(<[f64]>::to_vec).collect())
    }

    /// The score of every connection, by [`Statistics::connection_scores`]. `None` if [`Self::table`] returns
    /// `None` for one of the statistics.
    #[must_use]
    pub fn connection_scores(&self, statistics: &Statistics) -> Option<Vec<Vec<f64>>> {
        let tables = statistics.as_slice().iter().map(|&one| self.table(one));
        let tables = tables.collect::<Option<Vec<_>>>()?;
        Some(statistics.connection_scores(&tables.iter().collect::<Vec<_>>()))
    }

    /// The judgement of sets of connections. `None` if the map was computed without cross-fitted statistics, or with
    /// adapters in place.
    #[must_use]
    pub fn joint(&self) -> Option<&JointJudgement> {
        self.cross_fit.as_ref().and_then(CrossFit::joint)
    }

    /// The largest singular value of the whole map.
    fn largest(&self) -> f64 {
        let values = self.singular_values.iter().flatten();
        values.copied().fold(0.0, f64::max)
    }
}
