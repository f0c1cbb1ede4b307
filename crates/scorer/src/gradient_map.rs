//! The gradient of the loss towards the best linear map along every connection, from one forward and backward.
//!
//! At adapters that give zero, a further connection i -> j changes nothing, so the frozen model's states h_i and the
//! gradients dL/dh_j of its loss give, for all (N + 1)^2 connections at once,
//!
//! G_ij = 1/n sum over examples and real tokens of dL/dh_j norm(h_i)^T    (width x width)
//!
//! with L the sum of the examples' losses. At given adapters with a recurrent one among them there are two passes: a
//! further connection i -> j with i <= j then acts in both, G_ij is the sum over the passes, and one with i > j reads
//! the first pass and adds to the second.

use adaplace_backbone::Inputs;
use adaplace_search_space::Connection;
use adaplace_task::{Examples, evaluation_batches};
use serde::{Deserialize, Serialize};

use crate::cross_fit::CrossFit;
use crate::engine::{Shard, shards};
use crate::gradient_sums::{Side, for_connections};
use crate::singular_values::singular_values;
use crate::{Dataset, JointJudgement, Model, ScoreError, Statistic, Statistics};

/// The numbers that a gradient map depends on beside model and examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientMapSettings {
    /// Examples in a batch.
    pub batch_size: usize,
    /// [`Statistic::Rank`] counts singular values above this share of the largest one in the whole map.
    pub absolute_threshold: f64,
    /// [`Statistic::RelativeRank`] counts singular values above this share of the matrix's own largest.
    pub relative_threshold: f64,
}

impl Default for GradientMapSettings {
    fn default() -> Self {
        Self {
            batch_size: 32,
            absolute_threshold: 0.003,
            relative_threshold: 0.01,
        }
    }
}

/// The singular values of G_ij for all pairs of states, and their statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientMap {
    hidden_states: usize,
    /// By source, then target.
    singular_values: Vec<Vec<f64>>,
    /// Where it was made with them.
    cross_fit: Option<CrossFit>,
    settings: GradientMapSettings,
    examples: usize,
}

impl GradientMap {
    /// One forward and backward of `model` over `examples`.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind, or a decomposition fails (a gradient that is not finite).
    pub fn compute(
        model: &Model<'_>,
        examples: &Examples,
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let batches = evaluation_batches(&examples.lengths(), settings.batch_size);
        let data = Dataset::from(examples);
        let shards = batches
            .iter()
            .flat_map(|rows| shards(model.backbone(), data, rows))
            .collect();
        Self::from_shards(model, shards, settings)
    }

    /// As [`Self::compute`], with the cross-fitted ones of `statistics`: those of `train` and `validation` take one more
    /// map and for every connection a decomposition with its vectors, those of two halves of `train`, its examples taken
    /// in turns, another map and two more.
    ///
    /// The probe of a half is fitted to the model's features, its strength chosen on `validation`.
    ///
    /// # Errors
    /// As [`Self::compute`], if a half is empty, or a probe cannot be fitted.
    pub fn cross_fitted(
        model: &Model<'_>,
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

    /// As [`Self::compute`], from batches of inputs and labels, one for each row.
    ///
    /// # Errors
    /// As [`Self::compute`].
    pub fn from_batches(
        model: &Model<'_>,
        batches: impl IntoIterator<Item = (Inputs, Vec<u32>)>,
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let batches = batches.into_iter();
        let shards = batches
            .map(|(inputs, labels)| Shard::of_inputs(model.backbone(), inputs, labels))
            .collect();
        Self::from_shards(model, shards, settings)
    }

    fn from_shards(
        model: &Model<'_>,
        shards: Vec<Shard<'_>>,
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let examples: usize = shards.iter().map(|shard| shard.labels.len()).sum();
        if examples == 0 {
            return Err(ScoreError::Tensor(candle_core::Error::Msg(
                "a gradient map needs at least one example".to_owned(),
            )));
        }
        let side = Side {
            model,
            shards: &shards,
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

    /// Number of hidden states: the map has the square of it as connections.
    #[must_use]
    pub fn hidden_states(&self) -> usize {
        self.hidden_states
    }

    /// Number of examples that it was made from.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Thresholds and batch size.
    #[must_use]
    pub fn settings(&self) -> &GradientMapSettings {
        &self.settings
    }

    /// The singular values of a connection's gradient matrix, largest first.
    ///
    /// # Panics
    /// If the connection is outside the map.
    #[must_use]
    pub fn singular_values(&self, connection: Connection) -> &[f64] {
        let Connection { source, target } = connection;
        &self.singular_values[usize::from(source) * self.hidden_states + usize::from(target)]
    }

    /// A statistic of every connection: rows are sources, columns targets. `None` for a cross-fitted one of a map that
    /// was made without.
    #[must_use]
    pub fn table(&self, statistic: Statistic) -> Option<Vec<Vec<f64>>> {
        let values = match &self.cross_fit {
            Some(fit) if statistic.is_cross_fitted() => fit.of(statistic)?.to_vec(),
            _ => {
                let absolute = self.settings.absolute_threshold * self.largest();
                let relative = self.settings.relative_threshold;
                let of = |values: &Vec<f64>| statistic.of(values, absolute, relative);
                self.singular_values.iter().map(of).collect::<Option<_>>()?
            }
        };
        let rows = values.chunks(self.hidden_states);
        Some(rows.map(<[f64]>::to_vec).collect())
    }

    /// How promising an adapter on every connection is, by [`Statistics::promise`]. `None` as in [`Self::table`].
    #[must_use]
    pub fn promise(&self, statistics: &Statistics) -> Option<Vec<Vec<f64>>> {
        let tables = statistics.as_slice().iter().map(|&one| self.table(one));
        let tables = tables.collect::<Option<Vec<_>>>()?;
        Some(statistics.promise(&tables.iter().collect::<Vec<_>>()))
    }

    /// What sets of connections gain together. `None` of a map that was made without cross-fitted statistics, or at placed
    /// adapters.
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
