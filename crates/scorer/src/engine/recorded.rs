//! The values that a gradient map reads from a workspace after a backward pass with [`super::Reuse::Nothing`].

use std::ops::Range;

use adaplace_arithmetic::Arithmetic;

use super::Engine;
use super::workspace::Workspace;
use crate::ScoreError;

impl<A: Arithmetic> Engine<'_, A> {
    /// The values norm(h_n) of some states of a pass side by side, (rows, states x width).
    pub(crate) fn normalized(
        &self,
        pass: usize,
        sources: Range<usize>,
        workspace: &Workspace<A>,
    ) -> Result<A::Buffer, ScoreError> {
        let of_state = |n: usize| -> Result<A::Buffer, ScoreError> {
            let mut normalized = A::Buffer::default();
            self.arithmetic()
                .copy(self.state(pass, n, workspace), &mut normalized)?;
            self.arithmetic().normalize(self.width(), &mut normalized)?;
            Ok(normalized)
        };
        let each = sources
            .map(of_state)
            .collect::<Result<Vec<_>, ScoreError>>()?;
        self.side_by_side(&each.iter().collect::<Vec<_>>())
    }

    /// The gradients with respect to some states h_n side by side, (rows, states x width), each before its sequential
    /// adapter.
    pub(crate) fn gradients(
        &self,
        pass: usize,
        targets: Range<usize>,
        workspace: &Workspace<A>,
    ) -> Result<A::Buffer, ScoreError> {
        let recorded = &workspace.passes[pass].recorded[targets];
        self.side_by_side(&recorded.iter().collect::<Vec<_>>())
    }

    fn side_by_side(&self, parts: &[&A::Buffer]) -> Result<A::Buffer, ScoreError> {
        let mut joined = A::Buffer::default();
        self.arithmetic()
            .side_by_side(parts, self.width(), &mut joined)?;
        Ok(joined)
    }
}
