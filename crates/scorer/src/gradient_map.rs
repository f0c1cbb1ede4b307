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

use adaplace_backbone::kernels::ops;
use adaplace_backbone::{Inputs, TokenMask};
use adaplace_search_space::Connection;
use adaplace_task::{Examples, evaluation_batches};
use candle_core::{Tensor, Var};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluation::{inputs, label_tensor};
use crate::forward::Prefix;
use crate::frozen::Frozen;
use crate::singular_values::singular_values;
use crate::{Model, ScoreError, Statistic};

/// Epsilon of the layer norm that an adapter's input goes through.
const NORM_EPSILON: f32 = 1e-5;

/// Rows (real tokens) that are multiplied at a time: enough for a product at full speed, little memory.
const ROWS_PER_PRODUCT: usize = 2048;

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
        let batches = evaluation_batches(&examples.lengths(), settings.batch_size).into_iter();
        let batches = batches.map(|indices| {
            let batch = examples.batch(&indices);
            Ok((inputs(&batch)?, label_tensor(&batch)?))
        });
        Self::from_batches(model, batches, settings)
    }

    /// As [`Self::compute`], from batches of inputs and labels (u32, one for each row).
    ///
    /// # Errors
    /// As [`Self::compute`], and that of the first batch that is one.
    pub fn from_batches(
        model: &Model<'_>,
        batches: impl IntoIterator<Item = Result<(Inputs, Tensor), ScoreError>>,
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let mut sums: Option<GradientSums> = None;
        let mut examples = 0;
        for batch in batches {
            let (inputs, labels) = batch?;
            let taps = Taps::run(model, &inputs, &labels)?;
            let sums = sums.get_or_insert_with(|| GradientSums::new(taps.states, taps.width));
            sums.push(&taps, inputs.mask().map(TokenMask::values))?;
            examples += labels.elem_count();
        }
        let Some(sums) = sums else {
            return Err(ScoreError::Tensor(candle_core::Error::Msg(
                "a gradient map needs at least one example".to_owned(),
            )));
        };
        Ok(Self {
            hidden_states: sums.states,
            singular_values: sums.singular_values(examples)?,
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

    /// A statistic of one connection.
    ///
    /// # Panics
    /// If the connection is outside the map.
    #[must_use]
    pub fn statistic(&self, statistic: Statistic, connection: Connection) -> f64 {
        let absolute = self.settings.absolute_threshold * self.largest();
        let values = self.singular_values(connection);
        statistic.of(values, absolute, self.settings.relative_threshold)
    }

    /// A statistic of every connection: rows are sources, columns targets.
    #[must_use]
    pub fn table(&self, statistic: Statistic) -> Vec<Vec<f64>> {
        let absolute = self.settings.absolute_threshold * self.largest();
        let relative = self.settings.relative_threshold;
        self.singular_values
            .chunks(self.hidden_states)
            .map(|row| {
                let values = row.iter();
                values
                    .map(|values| statistic.of(values, absolute, relative))
                    .collect()
            })
            .collect()
    }

    /// The largest singular value of the whole map.
    fn largest(&self) -> f64 {
        let values = self.singular_values.iter().flatten();
        values.copied().fold(0.0, f64::max)
    }
}

/// States and gradients of one batch, per pass and state.
struct Taps {
    /// norm(h_i), each (batch x tokens, width)
    normalized: Vec<Vec<Tensor>>,
    /// dL/dh_j, likewise
    gradients: Vec<Vec<Tensor>>,
    states: usize,
    width: usize,
}

impl Taps {
    /// A variable of zeros added to every state catches the gradient there, which candle drops for all other nodes.
    fn run(model: &Model<'_>, inputs: &Inputs, labels: &Tensor) -> Result<Self, ScoreError> {
        let frozen = Frozen::computed(model.backbone(), inputs);
        let mut taps: Vec<Vec<Var>> = Vec::new();
        let (first, last) = model.passes(&frozen, Prefix::Separate, &mut |pass, state| {
            let tap = Var::zeros(state.shape(), state.dtype(), state.device())?;
            let tapped = (state + tap.as_tensor())?;
            taps.resize_with(pass + 1, Vec::new);
            taps[pass].push(tap);
            Ok(tapped)
        })?;
        let end = last.states().last();
        let end = end.ok_or_else(|| candle_core::Error::Msg("a pass has no states".to_owned()))?;
        let features = model.backbone().pool(end, inputs.mask())?;
        let logits = model.head().logits(&features)?;
        let mean = candle_nn::loss::cross_entropy(&logits, labels)?;
        let loss = (mean * labels.elem_count() as f64)?;
        let gradients = loss.backward()?;

        let rows = |tensor: &Tensor| tensor.flatten(0, 1)?.contiguous();
        let mut normalized = Vec::new();
        for pass in first.iter().chain([&last]) {
            let states = pass.states().iter();
            let states = states.map(|h| rows(&ops::normalize(&h.detach(), NORM_EPSILON)?));
            normalized.push(states.collect::<candle_core::Result<Vec<_>>>()?);
        }
        let mut caught = Vec::new();
        for pass in &taps {
            let tensors = pass.iter().map(|tap| match gradients.get(tap) {
                Some(gradient) => rows(gradient),
                // The first pass behind its last recurrent source moves nothing.
                None => rows(tap.as_tensor()),
            });
            caught.push(tensors.collect::<candle_core::Result<Vec<_>>>()?);
        }
        let first = normalized.first().and_then(|states| states.first());
        let width = first.map_or(Ok(0), |state| state.dim(1))?;
        Ok(Self {
            states: normalized.first().map_or(0, Vec::len),
            normalized,
            gradients: caught,
            width,
        })
    }
}

/// Running sums of dL/dh_j norm(h_i)^T for all pairs, as one matrix of (states x width)^2.
struct GradientSums {
    states: usize,
    width: usize,
    /// Block (j, i) is n G_ij.
    sums: Mat<f32>,
    /// The same for connections that read the first pass and add to the second, where there are two.
    across: Option<Mat<f32>>,
    pending: Vec<PendingRows>,
}

/// Rows of one pass that wait to be multiplied, (rows, states x width), row-major.
#[derive(Default)]
struct PendingRows {
    normalized: Vec<f32>,
    gradients: Vec<f32>,
}

impl GradientSums {
    fn new(states: usize, width: usize) -> Self {
        Self {
            states,
            width,
            sums: Mat::zeros(states * width, states * width),
            across: None,
            pending: Vec::new(),
        }
    }

    fn push(&mut self, taps: &Taps, mask: Option<&[u8]>) -> Result<(), ScoreError> {
        self.pending
            .resize_with(taps.normalized.len(), PendingRows::default);
        for (pending, (normalized, gradients)) in self
            .pending
            .iter_mut()
            .zip(taps.normalized.iter().zip(&taps.gradients))
        {
            interleave(normalized, mask, &mut pending.normalized)?;
            interleave(gradients, mask, &mut pending.gradients)?;
        }
        let row = self.states * self.width;
        if self.pending[0].normalized.len() >= ROWS_PER_PRODUCT * row {
            self.multiply();
        }
        Ok(())
    }

    fn multiply(&mut self) {
        let row = self.states * self.width;
        let matrix = |values: &'_ [f32]| -> (usize, usize) { (values.len() / row, row) };
        if let [first, second] = &self.pending[..] {
            let across = self.across.get_or_insert_with(|| Mat::zeros(row, row));
            let (rows, columns) = matrix(&first.normalized);
            let gradients = MatRef::from_row_major_slice(&second.gradients, rows, columns);
            let normalized = MatRef::from_row_major_slice(&first.normalized, rows, columns);
            let par = Par::rayon(0);
            matmul(
                across.as_mut(),
                Accum::Add,
                gradients.transpose(),
                normalized,
                1.0,
                par,
            );
        }
        for pending in &mut self.pending {
            let (rows, columns) = matrix(&pending.normalized);
            let gradients = MatRef::from_row_major_slice(&pending.gradients, rows, columns);
            let normalized = MatRef::from_row_major_slice(&pending.normalized, rows, columns);
            let (sums, par) = (self.sums.as_mut(), Par::rayon(0));
            matmul(
                sums,
                Accum::Add,
                gradients.transpose(),
                normalized,
                1.0,
                par,
            );
            *pending = PendingRows::default();
        }
    }

    /// By source, then target.
    fn singular_values(mut self, examples: usize) -> Result<Vec<Vec<f64>>, ScoreError> {
        self.multiply();
        let (states, width) = (self.states, self.width);
        (0..states * states)
            .into_par_iter()
            .map(|index| {
                let (source, target) = (index / states, index % states);
                let sums = match &self.across {
                    Some(across) if source > target => across,
                    _ => &self.sums,
                };
                let block = sums.submatrix(target * width, source * width, width, width);
                let values =
                    singular_values(block).map_err(|reason| ScoreError::SingularValues {
                        connection: Connection {
                            source: source as u16,
                            target: target as u16,
                        },
                        reason,
                    })?;
                Ok(values.into_iter().map(|s| s / examples as f64).collect())
            })
            .collect()
    }
}

/// Appends the real tokens' rows, the states side by side.
fn interleave(
    states: &[Tensor],
    mask: Option<&[u8]>,
    rows: &mut Vec<f32>,
) -> Result<(), ScoreError> {
    let states = states
        .iter()
        .map(|state| state.to_vec2::<f32>())
        .collect::<candle_core::Result<Vec<_>>>()?;
    for row in 0..states.first().map_or(0, Vec::len) {
        if mask.is_none_or(|mask| mask[row] != 0) {
            for state in &states {
                rows.extend_from_slice(&state[row]);
            }
        }
    }
    Ok(())
}
