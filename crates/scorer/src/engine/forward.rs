use std::borrow::Cow;

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::{Connection, ConnectionKind};

use super::Engine;
use super::batch::Shard;
use super::group::GroupedAdapter;
use super::workspace::{Pass, Workspace};
use crate::ScoreError;

/// Whether a backward pass will follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backward {
    Follows,
    Not,
}

/// The state from which a pass starts.
enum Before<'w, A: Arithmetic> {
    /// A frozen one, with the rows of a single model.
    Frozen(&'w A::Buffer),
    /// One of the first pass, with the rows of all models.
    Computed(&'w A::Buffer),
}

impl<A: Arithmetic> Engine<'_, A> {
    /// The logits (predictions, outputs) of a shard by the trained heads.
    pub(crate) fn logits<'w>(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        workspace: &'w mut Workspace<A>,
    ) -> Result<Cow<'w, [f32]>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        self.trained_heads(values, workspace)?;
        Ok(self.arithmetic().read(&workspace.logits)?)
    }

    /// The features (predictions, width) of a shard.
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

    /// Runs all passes, and takes the features from the last state.
    pub(super) fn forward(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
        backward: Backward,
    ) -> Result<(), ScoreError> {
        let passes = self.plan.passes.len();
        let stages = self.stages.iter().flatten().map(Vec::len).sum();
        workspace.prepare(passes, self.last() + 1, stages);
        for pass in 0..passes {
            let span = self.plan.passes[pass];
            for n in span.begin..=span.end {
                self.compute(values, pass, n, shard, workspace, backward)?;
            }
        }
        let Workspace {
            passes,
            features,
            pooling,
            ..
        } = workspace;
        let state = passes
            .last()
            .and_then(|pass| pass.states[self.last()].get());
        let state = state.expect("the last pass ends at the last state");
        let rows = self.rows_of(passes.len() - 1, self.last(), shard);
        let pooler = self.chain.pooler();
        Ok(pooler.forward(state, shard.feature_rows(rows), features, pooling)?)
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
        let stages = &self.stages[pass][n];
        // Adapters read states that have been computed, or frozen ones.
        for stage in stages.iter().filter(|stage| !stage.sequential) {
            for adapter in &stage.adapters {
                let (read_in, source) = reads(pass, adapter.connection);
                self.prepare(read_in, source, shard, workspace)?;
            }
        }
        let mut state = std::mem::take(&mut workspace.passes[pass].states[n]);
        let sum = state.write();
        if begins {
            match self.sum_before(pass, n, shard, workspace)? {
                Before::Frozen(state) => arithmetic.tile(state, self.group.models(), sum)?,
                Before::Computed(state) => arithmetic.copy(state, sum)?,
            }
        } else {
            let Workspace {
                passes,
                sublayer: scratch,
                end_rows,
                ..
            } = &mut *workspace;
            let Pass {
                states, sublayers, ..
            } = &mut passes[pass];
            let mut before = states[n - 1].get().expect("states are computed in order");
            if let Some(end) = self.only_end(pass, n, shard) {
                arithmetic.end_rows(before, (&shard.examples, end), end_rows)?;
                before = end_rows;
            }
            let saves = backward == Backward::Follows && self.plan.needs_gradient(pass, n - 1);
            let saved = saves.then_some(&mut sublayers[n - 1]);
            let sublayer = &self.chain.sublayers()[n - 1];
            sublayer.forward(before, rows, sum, saved, scratch)?;
        }
        let mut scratch = std::mem::take(&mut workspace.adapter);
        for stage in stages {
            let mut saved = std::mem::take(&mut workspace.passes[pass].adapters[stage.saved]);
            if stage.sequential {
                arithmetic.copy(sum, &mut workspace.passes[pass].before_sequential[n])?;
            }
            let read = |adapter: &GroupedAdapter| {
                if stage.sequential {
                    let before = &workspace.passes[pass].before_sequential[n];
                    return (before, adapter.rows(shard.rows()));
                }
                let (read_in, source) = reads(pass, adapter.connection);
                let rows = match self.plan.computed_in(read_in, source) {
                    Some(_) => adapter.rows(shard.rows()),
                    None => 0..shard.rows(),
                };
                (self.state(read_in, source, workspace), rows)
            };
            let x: Vec<_> = stage.adapters.iter().map(read).collect();
            let blocks = stage.blocks(shard.rows());
            arithmetic.adapters_forward(values, &blocks, &x, sum, &mut saved, &mut scratch)?;
            workspace.passes[pass].adapters[stage.saved] = saved;
        }
        workspace.adapter = scratch;
        workspace.passes[pass].states[n] = state;
        Ok(())
    }

    /// The state from which a pass starts: the frozen state, or that of the first pass before its sequential adapter.
    fn sum_before<'w>(
        &self,
        pass: usize,
        n: usize,
        shard: &Shard<'_, A>,
        workspace: &'w mut Workspace<A>,
    ) -> Result<Before<'w, A>, ScoreError> {
        if pass == 1 && n >= self.plan.passes[0].begin {
            let first = &workspace.passes[0];
            let sequential = self.stages[0][n].iter().any(|stage| stage.sequential);
            return Ok(Before::Computed(if sequential {
                &first.before_sequential[n]
            } else {
                first.states[n].get().expect("the first pass was computed")
            }));
        }
        self.prepare_frozen(n, shard, workspace)?;
        let state = workspace.frozen[n].get();
        Ok(Before::Frozen(state.expect("it was just prepared")))
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

    /// The state that a pass reads as h_n. A frozen state has the rows of a single model.
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
            chain[below].forward(before, shard.of_one(), next[0].write(), None, sublayer)?;
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
