use std::borrow::Cow;
use std::collections::BTreeSet;

use adaplace_arithmetic::Arithmetic;

use super::Engine;
use super::batch::Shard;
use super::forward::{Backward, reads};
use super::group::{GroupedAdapter, Stage};
use super::workspace::{Pass, State, Workspace};
use crate::ScoreError;

impl<A: Arithmetic> Engine<'_, A> {
    /// Sums of the losses for each model, which add up to that of all predictions. The workspace receives the gradients of
    /// `factor` times these sums with respect to the trained values, and with [`super::Reuse::Nothing`] also with respect to
    /// every state.
    pub(crate) fn loss_and_gradients(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        factor: f32,
        workspace: &mut Workspace<A>,
    ) -> Result<Vec<A::Numbers>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Follows)?;
        let arithmetic = self.arithmetic();
        arithmetic.zero((1, self.group.len()), &mut workspace.towards_values)?;
        let losses = self.losses_back(values, shard, factor, workspace)?;
        let Workspace {
            towards_features,
            pooling,
            passes,
            ..
        } = workspace;
        let last = self.plan.passes.len() - 1;
        if self.plan.needs_gradient(last, self.last()) {
            let rows = self.rows_of(last, self.last(), shard);
            let gradient = passes[last].gradients[self.last()].write();
            let pooler = self.chain.pooler();
            let rows = shard.feature_rows(rows);
            pooler.backward(towards_features, rows, gradient, pooling)?;
        }
        for pass in (0..=last).rev() {
            let span = self.plan.passes[pass];
            for n in (span.begin..=span.end).rev() {
                self.step_back(values, pass, n, shard, workspace)?;
            }
        }
        Ok(losses)
    }

    /// The gradients with respect to the trained values, in the layout of the group.
    pub(crate) fn towards_values<'w>(
        &self,
        workspace: &'w Workspace<A>,
    ) -> Result<Cow<'w, [f32]>, ScoreError> {
        Ok(self.arithmetic().read(&workspace.towards_values)?)
    }

    /// Copies the gradients with respect to the trained values.
    pub(crate) fn copy_towards_values(
        &self,
        workspace: &Workspace<A>,
        to: &mut A::Buffer,
    ) -> Result<(), ScoreError> {
        Ok(self.arithmetic().copy(&workspace.towards_values, to)?)
    }

    /// The buffer of a gradient to be added to: its values, or zeros.
    fn add_to<'s>(
        &self,
        gradient: &'s mut State<A>,
        rows: &A::Rows,
    ) -> Result<&'s mut A::Buffer, ScoreError> {
        let known = gradient.is_known();
        let values = gradient.write();
        if !known {
            let count = rows.last().copied().unwrap_or_default();
            let shape = (count, self.width());
            self.arithmetic().zero(shape, values)?;
        }
        Ok(values)
    }

    /// Propagates dL/dh_n of a pass to everything from which h_n was computed.
    fn step_back(
        &self,
        values: &A::Buffer,
        pass: usize,
        n: usize,
        shard: &Shard<'_, A>,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        let arithmetic = self.arithmetic();
        let rows = self.rows_of(pass, n, shard);
        let carried = workspace.passes[pass].carried.take_if(|(to, _)| *to == n);
        let mut state = std::mem::take(&mut workspace.passes[pass].gradients[n]);
        if state.is_known() || carried.is_some() || self.plan.keeps_all() {
            let gradient = self.add_to(&mut state, rows)?;
            let stages = &self.stages[pass][n];
            for stage in stages.iter().filter(|stage| stage.sequential) {
                // These adapters read what they add to.
                let mut read = std::mem::take(&mut workspace.towards_read);
                let towards = Some(&mut read);
                self.stage_back(values, (pass, stage), shard, gradient, towards, workspace)?;
                let blocks: Vec<_> = stage
                    .adapters
                    .iter()
                    .map(|one| one.rows(shard.rows()))
                    .collect();
                arithmetic.add_blocks(&read, self.width(), &blocks, gradient)?;
                workspace.towards_read = read;
            }
            if self.plan.keeps_all() {
                arithmetic.copy(gradient, &mut workspace.passes[pass].recorded[n])?;
            }
            if let Some((_, carried)) = carried {
                arithmetic.add(&carried, gradient)?;
            }
            for stage in stages.iter().filter(|stage| !stage.sequential) {
                self.reading_stage_back(values, (pass, stage), shard, gradient, workspace)?;
            }
            if n > self.plan.passes[pass].begin {
                self.sublayer_back(pass, n, shard, gradient, workspace)?;
            } else if pass == 1 && n >= self.plan.passes[0].begin && self.plan.needs_gradient(0, n)
            {
                // The second pass started from a sum of the first one.
                let mut carried = A::Buffer::default();
                arithmetic.copy(gradient, &mut carried)?;
                workspace.passes[0].carried = Some((n, carried));
            }
        }
        workspace.passes[pass].gradients[n] = state;
        Ok(())
    }

    /// Propagates the gradients of adapters that read other states than they add to.
    fn reading_stage_back(
        &self,
        values: &A::Buffer,
        (pass, stage): (usize, &Stage),
        shard: &Shard<'_, A>,
        gradient: &A::Buffer,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        let trained = |adapter: &GroupedAdapter| {
            let (read_in, source) = reads(pass, adapter.connection);
            let computed_in = self.plan.computed_in(read_in, source)?;
            let needed = self.plan.needs_gradient(computed_in, source);
            needed.then_some((computed_in, source))
        };
        let sources: Vec<_> = stage.adapters.iter().map(trained).collect();
        if sources.iter().all(Option::is_none) {
            return self.stage_back(values, (pass, stage), shard, gradient, None, workspace);
        }
        let (arithmetic, rows) = (self.arithmetic(), shard.rows());
        let mut read = std::mem::take(&mut workspace.towards_read);
        let towards = Some(&mut read);
        self.stage_back(values, (pass, stage), shard, gradient, towards, workspace)?;
        let distinct: BTreeSet<_> = sources.iter().flatten().copied().collect();
        for (computed_in, source) in distinct {
            let own = (0..sources.len()).filter(|&at| sources[at] == Some((computed_in, source)));
            let own: Vec<usize> = own.collect();
            let mut towards = std::mem::take(&mut workspace.passes[computed_in].gradients[source]);
            let added_to = self.add_to(&mut towards, &shard.examples)?;
            let blocks: Vec<_> = own
                .iter()
                .map(|&at| stage.adapters[at].rows(rows))
                .collect();
            if own.len() == sources.len() {
                arithmetic.add_blocks(&read, self.width(), &blocks, added_to)?;
            } else {
                let parts = own.iter().map(|at| at * rows..(at + 1) * rows);
                let mut some = A::Buffer::default();
                arithmetic.gather(&read, self.width(), parts, &mut some)?;
                arithmetic.add_blocks(&some, self.width(), &blocks, added_to)?;
            }
            workspace.passes[computed_in].gradients[source] = towards;
        }
        workspace.towards_read = read;
        Ok(())
    }

    /// Propagates the gradients of the adapters of a stage from the one with respect to the sum.
    fn stage_back(
        &self,
        values: &A::Buffer,
        (pass, stage): (usize, &Stage),
        shard: &Shard<'_, A>,
        gradient: &A::Buffer,
        towards_x: Option<&mut A::Buffer>,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        let Workspace {
            passes,
            towards_values,
            adapter: scratch,
            ..
        } = workspace;
        Ok(self.arithmetic().adapters_backward(
            values,
            &stage.blocks(shard.rows()),
            &passes[pass].adapters[stage.saved],
            gradient,
            towards_values,
            towards_x,
            scratch,
        )?)
    }

    /// Computes dL/dh_{n-1} from `gradient` = dL/dh_n, which is used up, if anything below is trained.
    fn sublayer_back(
        &self,
        pass: usize,
        n: usize,
        shard: &Shard<'_, A>,
        gradient: &mut A::Buffer,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        if !self.plan.needs_gradient(pass, n - 1) {
            return Ok(());
        }
        let Workspace {
            passes,
            sublayer,
            end_rows,
            ..
        } = workspace;
        let Pass {
            gradients,
            sublayers,
            ..
        } = &mut passes[pass];
        let (chain, saved) = (self.chain.sublayers(), &sublayers[n - 1]);
        if let Some(end) = self.only_end(pass, n, shard) {
            chain[n - 1].backward(saved, &shard.singles, gradient, end_rows, false, sublayer)?;
            let all = self.add_to(&mut gradients[n - 1], &shard.examples)?;
            let arithmetic = self.arithmetic();
            return Ok(arithmetic.add_to_end_rows(end_rows, (&shard.examples, end), all)?);
        }
        let add = gradients[n - 1].is_known();
        let result = gradients[n - 1].write();
        Ok(chain[n - 1].backward(saved, &shard.examples, gradient, result, add, sublayer)?)
    }
}
