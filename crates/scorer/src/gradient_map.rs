//! The gradient of the loss with respect to the best linear map along each connection, from one forward and backward
//! pass.
//!
//! A further connection i -> j whose adapter outputs zero changes nothing. So the frozen model's states h_i and the
//! gradients dL/dh_j of its loss determine, for all (N + 1)^2 connections at once,
//!
//! G_ij = 1/n sum over examples and real tokens of dL/dh_j norm(h_i)^T (width x width)
//!
//! where L is the sum of the losses of n predictions: one for each example, or for each of its labelled tokens. Given adapters with a recurrent one among them, there are two passes. A
//! further connection i -> j with i <= j then acts in both, and G_ij is the sum over the passes; one with i > j reads
//! the first pass and adds to the second.

use std::collections::BTreeSet;
use std::time::Instant;

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::{Connection, ConnectionTable, Count, Share};
use adaplace_task::{Examples, evaluation_batches};
use faer::Mat;
use serde::{Deserialize, Serialize};

use crate::cross_fit::CrossFit;
use crate::engine::{Shard, shards_of};
use crate::gradient_sums::{Side, for_connections};
use crate::singular_values::{Decomposition, singular_values};
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

/// The singular values of G_ij for all pairs of states or some of them, and their statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientMap {
    hidden_states: usize,
    /// The connections, in order.
    connections: Vec<Connection>,
    /// The singular values of each connection.
    singular_values: Vec<Vec<f64>>,
    /// The cross-fitted statistics, if the map was computed with them.
    cross_fit: Option<CrossFit>,
    settings: GradientMapSettings,
    examples: usize,
}

impl GradientMap {
    /// Computes the map of `connections` with one forward and backward pass of `model` over `examples`. If the matrices
    /// of all connections take too much memory, they are computed in groups, each with its own passes.
    ///
    /// # Errors
    /// If a connection is out of range, the inputs are not of the backbone's kind, or a decomposition fails because a
    /// gradient is not finite.
    pub fn compute<A: Arithmetic>(
        model: &Model<'_, A>,
        examples: &Examples,
        connections: &[Connection],
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let batches = evaluation_batches(&examples.lengths(), settings.batch_size.get());
        let data = Dataset::from(examples);
        let shards = shards_of(model.backbone(), data, &batches)?;
        Self::of_shards(model, &shards, connections, settings)
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
        (train, validation): (&Examples, &Examples),
        connections: &[Connection],
        settings: &GradientMapSettings,
        statistics: &Statistics,
    ) -> Result<Self, ScoreError> {
        if train.len() < 2 || validation.is_empty() {
            return Err(ScoreError::TooFewExamples {
                train: train.len(),
                validation: validation.len(),
            });
        }
        let connections = in_order(model, connections)?;
        let parts = (train, validation);
        let (fit, singular_values) =
            CrossFit::compute(model, parts, &connections, settings, statistics)?;
        Ok(Self {
            hidden_states: model.backbone().description().hidden_states,
            connections,
            singular_values,
            cross_fit: Some(fit),
            settings: *settings,
            examples: train.len(),
        })
    }

    /// The approximate time in seconds that the decompositions of a cross-fitted map take on all threads of the current
    /// rayon pool, by the time of a smaller one. It grows with the cube of the width.
    #[must_use]
    pub fn expected_seconds(width: usize, connections: usize) -> f64 {
        const SIDE: usize = 256;
        let side = width.min(SIDE);
        let entry = |row: usize, column: usize| ((row * 31 + column * 17) as f32).sin();
        let matrix = Mat::from_fn(side, side, entry);
        let start = Instant::now();
        let decomposition = Decomposition::of(matrix.as_ref());
        let _ = decomposition.map(|one| one.alignment(matrix.as_ref()));
        let threads = rayon::current_num_threads();
        grown(start.elapsed().as_secs_f64(), (side, width), connections) / threads as f64
    }

    pub(crate) fn of_shards<A: Arithmetic>(
        model: &Model<'_, A>,
        shards: &[Shard<'_, A>],
        connections: &[Connection],
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let connections = in_order(model, connections)?;
        let examples: usize = shards.iter().map(|shard| shard.count).sum();
        if examples == 0 {
            return Err(ScoreError::NoExamples);
        }
        let side = Side { model, shards };
        let predictions = side.predictions() as f64;
        let singular_values = for_connections(&[side], &connections, |matrices| {
            let values = singular_values(matrices[0].sums)?.into_iter();
            Ok(values.map(|s| s / predictions).collect())
        })?;
        Ok(Self {
            hidden_states: model.backbone().description().hidden_states,
            connections,
            singular_values,
            cross_fit: None,
            settings: *settings,
            examples,
        })
    }

    /// The number of hidden states. There are as many connections between them as its square.
    #[must_use]
    pub fn hidden_states(&self) -> usize {
        self.hidden_states
    }

    /// The connections of the map, in order.
    #[must_use]
    pub fn connections(&self) -> &[Connection] {
        &self.connections
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

    /// The singular values of a connection's gradient matrix, the largest first. `None` if the map does not have the
    /// connection.
    #[must_use]
    pub fn singular_values(&self, connection: Connection) -> Option<&[f64]> {
        let place = self.connections.binary_search(&connection).ok()?;
        Some(&self.singular_values[place])
    }

    /// The values of a statistic for every connection of the map. `None` for a cross-fitted statistic if the map was
    /// computed without it.
    #[must_use]
    pub fn table(&self, statistic: Statistic) -> Option<ConnectionTable> {
        let values = match &self.cross_fit {
            Some(fit) if statistic.is_cross_fitted() => fit.of(statistic)?.to_vec(),
            _ => {
                let absolute = self.settings.absolute_threshold.get() * self.largest();
                let relative = self.settings.relative_threshold.get();
                let of = |values: &Vec<f64>| statistic.of(values, absolute, relative);
                self.singular_values.iter().map(of).collect::<Option<_>>()?
            }
        };
        let each = self.connections.iter().copied().zip(values);
        Some(ConnectionTable::new(self.hidden_states, each))
    }

    /// The score of every connection of the map, by [`Statistics::connection_scores`]. `None` if [`Self::table`] returns
    /// `None` for one of the statistics.
    #[must_use]
    pub fn connection_scores(&self, statistics: &Statistics) -> Option<ConnectionTable> {
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

/// The seconds for matrices of so many connections and of a larger width, if one of a smaller width takes `seconds`.
pub(crate) fn grown(seconds: f64, (smaller, width): (usize, usize), connections: usize) -> f64 {
    seconds * (width as f64 / smaller as f64).powi(3) * connections as f64
}

/// The connections in order, each once.
fn in_order<A: Arithmetic>(
    model: &Model<'_, A>,
    connections: &[Connection],
) -> Result<Vec<Connection>, ScoreError> {
    let last = model.backbone().description().hidden_states - 1;
    let outside = |one: &&Connection| usize::from(one.source.max(one.target)) > last;
    match connections.iter().find(outside) {
        Some(&connection) => Err(ScoreError::OutOfRange { connection, last }),
        None => {
            let each: BTreeSet<Connection> = connections.iter().copied().collect();
            Ok(each.into_iter().collect())
        }
    }
}
