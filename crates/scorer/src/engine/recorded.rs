//! The values that a gradient map reads from a workspace after a backward pass with [`super::Reuse::Nothing`].

use std::ops::Range;

use adaplace_arithmetic::Arithmetic;

use super::Engine;
use super::workspace::Workspace;
use crate::ScoreError;

impl<A: Arithmetic> Engine<'_, A> {
    /// Writes norm(h_n) of all states of a pass side by side, (rows, states x width).
    pub(crate) fn write_normalized(
        &self,
        pass: usize,
        workspace: &Workspace<A>,
        to: &mut [f32],
    ) -> Result<(), ScoreError> {
        let (states, arithmetic) = (self.last() + 1, self.arithmetic());
        let mut normalized = A::Buffer::default();
        for n in 0..states {
            arithmetic.copy(self.state(pass, n, workspace), &mut normalized)?;
            arithmetic.normalize(self.width(), &mut normalized)?;
            self.interleave(&normalized, (n, states), to)?;
        }
        Ok(())
    }

    /// Writes the gradients with respect to some states h_n side by side, (rows, states x width), each before its
    /// sequential adapter.
    pub(crate) fn write_gradients(
        &self,
        pass: usize,
        workspace: &Workspace<A>,
        targets: Range<usize>,
        to: &mut [f32],
    ) -> Result<(), ScoreError> {
        let recorded = &workspace.passes[pass].recorded[targets];
        for (index, gradient) in recorded.iter().enumerate() {
            self.interleave(gradient, (index, recorded.len()), to)?;
        }
        Ok(())
    }

    /// Writes the rows of a matrix of the model's width as number `index` of `count` that are side by side.
    fn interleave(
        &self,
        matrix: &A::Buffer,
        (index, count): (usize, usize),
        to: &mut [f32],
    ) -> Result<(), ScoreError> {
        let width = self.width();
        let matrix = self.arithmetic().read(matrix)?;
        let rows = to.chunks_exact_mut(count * width);
        for (to, row) in rows.zip(matrix.chunks_exact(width)) {
            to[index * width..][..width].copy_from_slice(row);
        }
        Ok(())
    }
}
