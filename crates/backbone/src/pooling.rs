use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::kernels::instruction_set::InstructionSet;
use crate::kernels::layer_norm::{self, SavedNorm};
use crate::layers::LayerNorm;

/// The pooling that turns the last hidden state into one vector per example.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the real tokens.
    Mean,
    /// The first token.
    Cls,
}

/// A pooling, including the last layer norm of architectures that have one (pre-norm models).
#[derive(Debug)]
pub(crate) struct Pooler {
    pub(crate) pooling: Pooling,
    pub(crate) last_norm: Option<LayerNorm>,
}

/// The part of a pooling's forward pass that its gradient needs. The memory is reused.
#[derive(Debug, Default)]
pub struct SavedPooling {
    norm: SavedNorm,
    /// The rows that are pooled, or their gradient.
    rows: Vec<f32>,
}

impl Pooler {
    /// Computes `features` (examples, width) from the rows of the last state in the layout of
    /// [`crate::PackedSublayer`].
    pub(crate) fn forward_rows(
        &self,
        set: InstructionSet,
        state: &[f32],
        examples: &[usize],
        features: &mut [f32],
        saved: &mut SavedPooling,
    ) {
        let width = features.len() / (examples.len() - 1);
        let SavedPooling { norm, rows } = saved;
        rows.clear();
        match self.pooling {
            Pooling::Mean => rows.extend_from_slice(state),
            Pooling::Cls => {
                let first = examples[..examples.len() - 1].iter();
                rows.extend(first.flat_map(|&row| &state[row * width..(row + 1) * width]));
            }
        }
        if let Some(last_norm) = &self.last_norm {
            layer_norm::forward(set, last_norm, rows, Some(norm));
        }
        match self.pooling {
            Pooling::Cls => features.copy_from_slice(rows),
            Pooling::Mean => {
                for (ends, feature) in examples.windows(2).zip(features.chunks_exact_mut(width)) {
                    feature.fill(0.0);
                    for row in rows[ends[0] * width..ends[1] * width].chunks_exact(width) {
                        feature.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
                    }
                    let count = (ends[1] - ends[0]) as f32;
                    feature.iter_mut().for_each(|sum| *sum /= count);
                }
            }
        }
    }

    /// Computes `result`, the gradient with respect to the rows of the last state, from that with respect to the
    /// features.
    pub(crate) fn backward_rows(
        &self,
        set: InstructionSet,
        gradient: &[f32],
        examples: &[usize],
        result: &mut [f32],
        saved: &mut SavedPooling,
    ) {
        let width = gradient.len() / (examples.len() - 1);
        let SavedPooling { norm, rows } = saved;
        match self.pooling {
            Pooling::Cls => rows.copy_from_slice(gradient),
            Pooling::Mean => {
                for (ends, gradient) in examples.windows(2).zip(gradient.chunks_exact(width)) {
                    let count = (ends[1] - ends[0]) as f32;
                    for row in rows[ends[0] * width..ends[1] * width].chunks_exact_mut(width) {
                        row.iter_mut()
                            .zip(gradient)
                            .for_each(|(to, &g)| *to = g / count);
                    }
                }
            }
        }
        if let Some(last_norm) = &self.last_norm {
            layer_norm::backward(set, last_norm, norm, rows);
        }
        match self.pooling {
            Pooling::Mean => result.copy_from_slice(rows),
            Pooling::Cls => {
                result.fill(0.0);
                for (&row, gradient) in examples.iter().zip(rows.chunks_exact(width)) {
                    result[row * width..(row + 1) * width].copy_from_slice(gradient);
                }
            }
        }
    }
}
