use std::borrow::Cow;

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::{Connection, ConnectionKind};

use super::Engine;
use super::batch::Shard;
use super::workspace::{Pass, Workspace};
use crate::ScoreError;
use crate::parameters::PlacedAdapter;

/// Whether a backward pass will follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backward {
    Follows,
    Not,
}

impl<A: Arithmetic> Engine<'_, A> {
    /// The logits (examples, classes) of a shard.
    pub(crate) fn logits<'w>(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        workspace: &'w mut Workspace<A>,
    ) -> Result<Cow<'w, [f32]>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        Ok(self.arithmetic().read(&workspace.logits)?)
    }

    /// The pooled features (examples, width) of a shard.
    pub(crate) fn features<'w>(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        workspace: &'w mut Workspace<A>,
    ) -> Result<Cow<'w, [f32]>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        Ok(self.arithmetic().read(&workspace.features)?)
    }

    /// The states h_0 .. h_N of the last pass, each (rows, width).
    #[cfg(test)]
    pub(crate) fn states(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        let last = self.plan.passes.len() - 1;
        (0..=self.last())
            .map(|n| {
                self.prepare(last, n, shard, workspace)?;
                let state = self.state(last, n, workspace);
                Ok(self.arithmetic().read(state)?.into_owned())
            })
            .collect()
    }

    /// Runs all passes, pools the last state and computes the logits.
    pub(super) fn forward(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
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
        let rows = self.rows_of(passes.len() - 1, self.last(), shard);
        let pooler = self.chain.pooler();
        pooler.forward(state, rows, features, pooling)?;
        let head = (&self.layout.head, values);
        Ok(self.arithmetic().head_forward(head, features, logits)?)
    }

    /// Computes h_n of a pass: the sum from before or from its sublayer, plus the adapters that end there.
    fn compute(
        &self,
        values: &A::Buffer,
        pass: usize,
        n: usize,
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
        backward: Backward,
    ) -> Result<(), ScoreError> {
        let arithmetic = self.arithmetic();
        let rows = self.rows_of(pass, n, shard);
        let begins = n == self.plan.passes[pass].begin;
        // Adapters read states that have been computed, or frozen ones.
        for (_, adapter) in self.adapters_at(pass, n) {
            let (read_in, source) = reads(pass, adapter.connection);
            if adapter.connection.kind() != ConnectionKind::Sequential {
                self.prepare(read_in, source, shard, workspace)?;
            }
        }
        let mut state = std::mem::take(&mut workspace.passes[pass].states[n]);
        let sum = state.write();
        if begins {
            arithmetic.copy(self.sum_before(pass, n, shard, workspace)?, sum)?;
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
            if self.only_first_rows(pass, n) {
                arithmetic.first_rows(before, &shard.examples, first_rows)?;
                before = first_rows;
            }
            let saves = backward == Backward::Follows && self.plan.needs_gradient(pass, n - 1);
            let saved = saves.then_some(&mut sublayers[n - 1]);
            let sublayer = &self.chain.sublayers()[n - 1];
            sublayer.forward(before, rows, sum, saved, scratch)?;
        }
        let mut scratch = std::mem::take(&mut workspace.adapter);
        for (index, &PlacedAdapter { connection, place }) in self.adapters_at(pass, n) {
            let mut saved = std::mem::take(&mut workspace.passes[pass].adapters[index]);
            let x = if connection.kind() == ConnectionKind::Sequential {
                let before = &mut workspace.passes[pass].before_sequential[n];
                arithmetic.copy(sum, before)?;
                before
            } else {
                let (read_in, source) = reads(pass, connection);
                self.state(read_in, source, workspace)
            };
            let trained = (&place, values);
            arithmetic.adapter_forward(trained, x, sum, &mut saved, &mut scratch)?;
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
    ) -> impl Iterator<Item = (usize, &PlacedAdapter)> {
        let carried = pass == 1 && n == self.plan.passes[1].begin;
        let adapters = self.order.iter();
        let adapters = adapters.map(|&index| (index, &self.layout.adapters[index]));
        adapters.filter(move |(_, adapter)| {
            usize::from(adapter.connection.target) == n
                && match adapter.connection.kind() {
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
        shard: &Shard<'_, A>,
        workspace: &'w mut Workspace<A>,
    ) -> Result<&'w A::Buffer, ScoreError> {
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
        let sequential = |adapter: &PlacedAdapter| {
            let Connection { source, target } = adapter.connection;
            source == target && usize::from(target) == n
        };
        self.layout.adapters.iter().any(sequential)
    }

    /// Makes sure that [`Self::state`] can return what a pass reads as h_n.
    fn prepare(
        &self,
        pass: usize,
        n: usize,
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        match self.plan.computed_in(pass, n) {
            Some(_) => Ok(()),
            None => self.prepare_frozen(n, shard, workspace),
        }
    }

    /// The state that a pass reads as h_n.
    pub(super) fn state<'w>(
        &self,
        pass: usize,
        n: usize,
        workspace: &'w Workspace<A>,
    ) -> &'w A::Buffer {
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
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        let Workspace {
            frozen, sublayer, ..
        } = workspace;
        if frozen[n].is_known() {
            return Ok(());
        }
        let computed = (0..n).rev().find(|&below| frozen[below].is_known());
        let start = shard.fetch(self.backbone, n, computed, frozen)?;
        for below in start..n {
            let (known, next) = frozen.split_at_mut(below + 1);
            let before = known[below].get().expect("it was found or just computed");
            let chain = self.chain.sublayers();
            chain[below].forward(before, &shard.examples, next[0].write(), None, sublayer)?;
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
