use std::borrow::Cow;

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::ConnectionKind;

use super::Engine;
use super::batch::Shard;
use super::forward::{Backward, reads};
use super::workspace::{Pass, State, Workspace};
use crate::ScoreError;
use crate::parameters::PlacedAdapter;

impl<A: Arithmetic> Engine<'_, A> {
    /// The sum of the examples' losses. The workspace receives the gradients of `factor` times this sum with respect to
    /// the trained values, and with [`super::Reuse::Nothing`] also with respect to every state.
    pub(crate) fn loss_and_gradients(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        factor: f32,
        workspace: &mut Workspace<A>,
    ) -> Result<f64, ScoreError> {
        self.forward(values, shard, workspace, Backward::Follows)?;
        let Workspace {
            features,
            logits,
            towards_features,
            towards_values,
            pooling,
            passes,
            ..
        } = workspace;
        let arithmetic = self.arithmetic();
        arithmetic.zero((1, self.layout.len()), towards_values)?;
        let loss = arithmetic.loss(&shard.labels, factor, logits)?;
        let head = (&self.layout.head, values);
        arithmetic.head_backward(head, features, logits, towards_features, towards_values)?;
        let last = self.plan.passes.len() - 1;
        if self.plan.needs_gradient(last, self.last()) {
            let rows = self.rows_of(last, self.last(), shard);
            let gradient = passes[last].gradients[self.last()].write();
            let pooler = self.chain.pooler();
            pooler.backward(towards_features, rows, gradient, pooling)?;
        }
        for pass in (0..=last).rev() {
            let span = self.plan.passes[pass];
            for n in (span.begin..=span.end).rev() {
                self.step_back(values, pass, n, shard, workspace)?;
            }
        }
        Ok(loss)
    }

    /// The gradients with respect to the trained values, in their layout.
    pub(crate) fn towards_values<'w>(
        &self,
        workspace: &'w Workspace<A>,
    ) -> Result<Cow<'w, [f32]>, ScoreError> {
        Ok(self.arithmetic().read(&workspace.towards_values)?)
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
            let shape = (count, self.layout.head.width);
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
            for (index, adapter) in self.adapters_at(pass, n) {
                if adapter.connection.kind() == ConnectionKind::Sequential {
                    // The adapter reads what it adds to.
                    let mut read = std::mem::take(&mut workspace.gradient_copy);
                    arithmetic.copy(gradient, &mut read)?;
                    let adapter = (pass, index, adapter);
                    self.adapter_back(values, adapter, &read, Some(gradient), workspace)?;
                    workspace.gradient_copy = read;
                }
            }
            if self.plan.keeps_all() {
                arithmetic.copy(gradient, &mut workspace.passes[pass].recorded[n])?;
            }
            if let Some((_, carried)) = carried {
                arithmetic.add(&carried, gradient)?;
            }
            for (index, adapter) in self.adapters_at(pass, n) {
                if adapter.connection.kind() != ConnectionKind::Sequential {
                    let adapter = (pass, index, adapter);
                    self.reading_adapter_back(values, adapter, shard, gradient, workspace)?;
                }
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

    /// Propagates the gradient of an adapter that reads another state than it adds to.
    fn reading_adapter_back(
        &self,
        values: &A::Buffer,
        adapter: (usize, usize, &PlacedAdapter),
        shard: &Shard<'_, A>,
        gradient: &A::Buffer,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        let (read_in, source) = reads(adapter.0, adapter.2.connection);
        let trained = |&pass: &usize| self.plan.needs_gradient(pass, source);
        let Some(computed_in) = self.plan.computed_in(read_in, source).filter(trained) else {
            return self.adapter_back(values, adapter, gradient, None, workspace);
        };
        let mut towards = std::mem::take(&mut workspace.passes[computed_in].gradients[source]);
        let added_to = self.add_to(&mut towards, &shard.examples)?;
        self.adapter_back(values, adapter, gradient, Some(added_to), workspace)?;
        workspace.passes[computed_in].gradients[source] = towards;
        Ok(())
    }

    /// Propagates the gradient of one adapter from the one with respect to its output.
    fn adapter_back(
        &self,
        values: &A::Buffer,
        (pass, index, adapter): (usize, usize, &PlacedAdapter),
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
        Ok(self.arithmetic().adapter_backward(
            (&adapter.place, values),
            &passes[pass].adapters[index],
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
            first_rows,
            ..
        } = workspace;
        let Pass {
            gradients,
            sublayers,
            ..
        } = &mut passes[pass];
        let (chain, saved) = (self.chain.sublayers(), &sublayers[n - 1]);
        if self.only_first_rows(pass, n) {
            chain[n - 1].backward(saved, &shard.singles, gradient, first_rows, false, sublayer)?;
            let all = self.add_to(&mut gradients[n - 1], &shard.examples)?;
            let arithmetic = self.arithmetic();
            return Ok(arithmetic.add_to_first_rows(first_rows, &shard.examples, all)?);
        }
        let add = gradients[n - 1].is_known();
        let result = gradients[n - 1].write();
        Ok(chain[n - 1].backward(saved, &shard.examples, gradient, result, add, sublayer)?)
    }
}
