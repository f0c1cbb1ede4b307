use adaplace_search_space::{Connection, ConnectionKind};

use super::adapter;
use super::batch::Shard;
use super::workspace::{Pass, Workspace};
use super::{Engine, first_rows, head};
use crate::ScoreError;
use crate::parameters::AdapterPlace;

/// Whether a backward pass will follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backward {
    Follows,
    Not,
}

impl Engine<'_> {
    /// The logits (examples, classes) of a shard.
    pub(crate) fn logits<'w>(
        &self,
        values: &[f32],
        shard: &Shard<'_>,
        workspace: &'w mut Workspace,
    ) -> Result<&'w [f32], ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        Ok(&workspace.logits)
    }

    /// The pooled features (examples, width) of a shard.
    pub(crate) fn features<'w>(
        &self,
        values: &[f32],
        shard: &Shard<'_>,
        workspace: &'w mut Workspace,
    ) -> Result<&'w [f32], ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        Ok(&workspace.features)
    }

    /// The states h_0 .. h_N of the last pass, each (rows, width).
    pub(crate) fn states(
        &self,
        values: &[f32],
        shard: &Shard<'_>,
        workspace: &mut Workspace,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        let last = self.plan.passes.len() - 1;
        (0..=self.last())
            .map(|n| {
                self.prepare(last, n, shard, workspace)?;
                Ok(self.state(last, n, workspace).to_vec())
            })
            .collect()
    }

    /// Runs all passes, pools the last state and computes the logits.
    pub(super) fn forward(
        &self,
        values: &[f32],
        shard: &Shard<'_>,
        workspace: &mut Workspace,
        backward: Backward,
    ) -> Result<(), ScoreError> {
        let passes = self.plan.passes.len();
        workspace.prepare(passes, self.last() + 1, self.layout.adapters.len());
        for pass in 0..passes {
            let span = self.plan.passes[pass];
            for n in span.begin..=span.end {
                self.compute(values, pass, n, shard, workspace, backward)?;
            }
        }
        let Workspace {
            passes,
            features,
            logits,
            pooling,
            ..
        } = workspace;
        let state = passes
            .last()
            .and_then(|pass| pass.states[self.last()].get());
        let state = state.expect("the last pass ends at the last state");
        features.resize(shard.labels.len() * self.layout.width, 0.0);
        let rows = self.rows_of(passes.len() - 1, self.last(), shard);
        self.backbone.pool_rows(state, rows, features, pooling);
        head::forward(&self.layout, values, features, logits);
        Ok(())
    }

    /// Computes h_n of a pass: the sum from before or from its sublayer, plus the adapters that end there.
    fn compute(
        &self,
        values: &[f32],
        pass: usize,
        n: usize,
        shard: &Shard<'_>,
        workspace: &mut Workspace,
        backward: Backward,
    ) -> Result<(), ScoreError> {
        let set = self.backbone.instruction_set();
        let rows = self.rows_of(pass, n, shard);
        let length = rows.last().copied().unwrap_or_default() * self.layout.width;
        let begins = n == self.plan.passes[pass].begin;
        // Adapters read states that have been computed, or frozen ones.
        for (_, place) in self.adapters_at(pass, n) {
            let (read_in, source) = reads(pass, place.connection);
            if place.connection.kind() != ConnectionKind::Sequential {
                self.prepare(read_in, source, shard, workspace)?;
            }
        }
        let mut state = std::mem::take(&mut workspace.passes[pass].states[n]);
        let sum = state.write(length);
        if begins {
            sum.copy_from_slice(self.sum_before(pass, n, shard, workspace)?);
        } else {
            let Workspace {
                passes,
                sublayer: scratch,
                first_rows,
                ..
            } = &mut *workspace;
            let Pass {
                states, sublayers, ..
            } = &mut passes[pass];
            let mut before = states[n - 1].get().expect("states are computed in order");
            if self.narrows(pass, n) {
                first_rows::gather(before, &shard.examples, self.layout.width, first_rows);
                before = first_rows;
            }
            let saves = backward == Backward::Follows && self.plan.needs_gradient(pass, n - 1);
            let saved = saves.then_some(&mut sublayers[n - 1]);
            let sublayer = &self.backbone.packed()[n - 1];
            sublayer.forward(before, rows, sum, saved, scratch);
        }
        let mut scratch = std::mem::take(&mut workspace.adapter);
        for (index, place) in self.adapters_at(pass, n) {
            let mut saved = std::mem::take(&mut workspace.passes[pass].adapters[index]);
            let adapter = self.layout.adapter(place, values);
            let x = if place.connection.kind() == ConnectionKind::Sequential {
                let before = &mut workspace.passes[pass].before_sequential[n];
                before.clear();
                before.extend_from_slice(sum);
                before
            } else {
                let (read_in, source) = reads(pass, place.connection);
                self.state(read_in, source, workspace)
            };
            adapter::forward(set, &adapter, x, sum, &mut saved, &mut scratch);
            workspace.passes[pass].adapters[index] = saved;
        }
        workspace.adapter = scratch;
        workspace.passes[pass].states[n] = state;
        Ok(())
    }

    /// The adapters that a pass adds to h_n, in the order in which they are added. The first state of a second pass
    /// already contains those of the first pass.
    pub(super) fn adapters_at(
        &self,
        pass: usize,
        n: usize,
    ) -> impl Iterator<Item = (usize, &AdapterPlace)> {
        let carried = pass == 1 && n == self.plan.passes[1].begin;
        let places = self
            .order
            .iter()
            .map(|&index| (index, &self.layout.adapters[index]));
        places.filter(move |(_, place)| {
            usize::from(place.connection.target) == n
                && match place.connection.kind() {
                    ConnectionKind::Parallel | ConnectionKind::LongRange => !carried,
                    ConnectionKind::Recurrent => pass == 1,
                    ConnectionKind::Sequential => true,
                }
        })
    }

    /// The state from which a pass starts: the frozen state, or that of the first pass before its sequential adapter.
    fn sum_before<'w>(
        &self,
        pass: usize,
        n: usize,
        shard: &Shard<'_>,
        workspace: &'w mut Workspace,
    ) -> Result<&'w [f32], ScoreError> {
        if pass == 1 && n >= self.plan.passes[0].begin {
            let first = &workspace.passes[0];
            return Ok(if self.is_sequential(n) {
                &first.before_sequential[n]
            } else {
                first.states[n].get().expect("the first pass was computed")
            });
        }
        self.prepare_frozen(n, shard, workspace)?;
        Ok(workspace.frozen[n].get().expect("it was just prepared"))
    }

    fn is_sequential(&self, n: usize) -> bool {
        let sequential = |place: &AdapterPlace| {
            let Connection { source, target } = place.connection;
            source == target && usize::from(target) == n
        };
        self.layout.adapters.iter().any(sequential)
    }

    /// Makes sure that [`Self::state`] can return what a pass reads as h_n.
    fn prepare(
        &self,
        pass: usize,
        n: usize,
        shard: &Shard<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), ScoreError> {
        match self.plan.computed_in(pass, n) {
            Some(_) => Ok(()),
            None => self.prepare_frozen(n, shard, workspace),
        }
    }

    /// The state that a pass reads as h_n.
    pub(super) fn state<'w>(&self, pass: usize, n: usize, workspace: &'w Workspace) -> &'w [f32] {
        let state = match self.plan.computed_in(pass, n) {
            Some(pass) => &workspace.passes[pass].states[n],
            None => &workspace.frozen[n],
        };
        state
            .get()
            .expect("states are prepared before they are read")
    }

    /// Prepares h_n of the frozen backbone, by looking it up or computing it from the highest known state below.
    fn prepare_frozen(
        &self,
        n: usize,
        shard: &Shard<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), ScoreError> {
        let Workspace {
            frozen, sublayer, ..
        } = workspace;
        if frozen[n].is_known() {
            return Ok(());
        }
        let computed = (0..n).rev().find(|&below| frozen[below].is_known());
        let start = shard.fetch(self.backbone, n, computed, frozen)?;
        let length = shard.rows() * self.layout.width;
        for below in start..n {
            let (known, next) = frozen.split_at_mut(below + 1);
            let before = known[below].get().expect("it was found or just computed");
            let result = next[0].write(length);
            let chain = self.backbone.packed();
            chain[below].forward(before, &shard.examples, result, None, sublayer);
        }
        Ok(())
    }
}

/// The pass and the state that an adapter reads when `pass` adds it.
pub(super) fn reads(pass: usize, connection: Connection) -> (usize, usize) {
    let source = usize::from(connection.source);
    match connection.kind() {
        ConnectionKind::Recurrent => (0, source),
        _ => (pass, source),
    }
}
