//! The values that a gradient map reads from a workspace after a backward pass with [`super::Prefix::Separate`].

use std::ops::Range;

use adaplace_backbone::kernels::normalize_row;

use super::workspace::Workspace;
use super::{Engine, NORM_EPSILON};

impl Engine<'_> {
    /// Writes norm(h_n) of all states of a pass side by side, (rows, states x width).
    pub(crate) fn write_normalized(&self, pass: usize, workspace: &Workspace, to: &mut [f32]) {
        let states = (0..self.last() + 1).map(|n| self.state(pass, n, workspace));
        self.interleave(states, to);
        self.backbone.instruction_set().run(
            #[inline(always)]
            || {
                for row in to.chunks_exact_mut(self.layout.width) {
                    normalize_row(row, NORM_EPSILON);
                }
            },
        );
    }

    /// Writes the gradients with respect to some states h_n side by side, (rows, states x width), each before its
    /// sequential adapter.
    pub(crate) fn write_gradients(
        &self,
        pass: usize,
        workspace: &Workspace,
        targets: Range<usize>,
        to: &mut [f32],
    ) {
        let tapped = workspace.passes[pass].tapped[targets].iter();
        self.interleave(tapped.map(Vec::as_slice), to);
    }

    /// Writes the rows of several matrices of the model's width side by side.
    fn interleave<'s>(&self, matrices: impl ExactSizeIterator<Item = &'s [f32]>, to: &mut [f32]) {
        let width = self.layout.width;
        let stride = matrices.len() * width;
        for (index, matrix) in matrices.enumerate() {
            for (row, values) in matrix.chunks_exact(width).enumerate() {
                to[row * stride + index * width..][..width].copy_from_slice(values);
            }
        }
    }
}
