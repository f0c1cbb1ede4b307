use adaplace_search_space::ConnectionKind;

use super::batch::Shard;
use super::forward::{Backward, reads};
use super::workspace::{Pass, Workspace};
use super::{Engine, adapter, first_rows, head};
use crate::ScoreError;
use crate::parameters::AdapterPlace;

impl Engine<'_> {
    /// The sum of the examples' losses. The workspace receives the gradients of `factor` times this sum with respect to
    /// the trained values, and with [`super::Prefix::Separate`] also with respect to every state.
    pub(crate) fn loss_and_gradients(
        &self,
        values: &[f32],
        shard: &Shard<'_>,
        factor: f32,
        workspace: &mut Workspace,
    ) -> Result<f64, ScoreError> {
        self.forward(values, shard, workspace, Backward::Follows)?;
        workspace.towards_values.clear();
        workspace.towards_values.resize(self.layout.len(), 0.0);
        let Workspace {
            features,
            logits,
            towards_features,
            towards_values,
            pooling,
            passes,
            ..
        } = workspace;
        let loss = head::loss(&shard.labels, factor, logits);
        head::backward(
            &self.layout,
            values,
            features,
            logits,
            towards_features,
            towards_values,
        );
        let last = self.plan.passes.len() - 1;
        if self.plan.needs_gradient(last, self.last()) {
            let rows = self.rows_of(last, self.last(), shard);
            let length = rows.last().copied().unwrap_or_default() * self.layout.width;
            let gradient = passes[last].gradients[self.last()].write(length);
            self.backbone
                .pool_rows_backward(towards_features, rows, gradient, pooling);
        }
        for pass in (0..=last).rev() {
            let span = self.plan.passes[pass];
            for n in (span.begin..=span.end).rev() {
                self.step_back(values, pass, n, shard, workspace);
            }
        }
        Ok(loss)
    }

    /// Propagates dL/dh_n of a pass to everything from which h_n was computed.
    fn step_back(
        &self,
        values: &[f32],
        pass: usize,
        n: usize,
        shard: &Shard<'_>,
        workspace: &mut Workspace,
    ) {
        let rows = self.rows_of(pass, n, shard);
        let length = rows.last().copied().unwrap_or_default() * self.layout.width;
        let carried = workspace.passes[pass].carried.take_if(|(to, _)| *to == n);
        let mut state = std::mem::take(&mut workspace.passes[pass].gradients[n]);
        if state.is_known() || carried.is_some() || self.plan.keeps_all() {
            let gradient = state.add_to(length);
            for (index, place) in self.adapters_at(pass, n) {
                if place.connection.kind() == ConnectionKind::Sequential {
                    // The adapter reads what it adds to.
                    let mut read = std::mem::take(&mut workspace.gradient_copy);
                    read.clear();
                    read.extend_from_slice(gradient);
                    let adapter = (pass, index, place);
                    self.adapter_back(values, adapter, &read, Some(gradient), workspace);
                    workspace.gradient_copy = read;
                }
            }
            if self.plan.keeps_all() {
                let tapped = &mut workspace.passes[pass].tapped[n];
                tapped.clear();
                tapped.extend_from_slice(gradient);
            }
            if let Some((_, carried)) = carried {
                gradient
                    .iter_mut()
                    .zip(&carried)
                    .for_each(|(to, &from)| *to += from);
            }
            for (index, place) in self.adapters_at(pass, n) {
                if place.connection.kind() != ConnectionKind::Sequential {
                    self.reading_adapter_back(values, (pass, index, place), gradient, workspace);
                }
            }
            if n > self.plan.passes[pass].begin {
                self.sublayer_back(pass, n, shard, gradient, workspace);
            } else if pass == 1 && n >= self.plan.passes[0].begin && self.plan.needs_gradient(0, n)
            {
                // The second pass started from a sum of the first one.
                workspace.passes[0].carried = Some((n, gradient.to_vec()));
            }
        }
        workspace.passes[pass].gradients[n] = state;
    }

    /// Propagates the gradient of an adapter that reads another state than it adds to.
    fn reading_adapter_back(
        &self,
        values: &[f32],
        adapter: (usize, usize, &AdapterPlace),
        gradient: &[f32],
        workspace: &mut Workspace,
    ) {
        let (read_in, source) = reads(adapter.0, adapter.2.connection);
        let trained = |&pass: &usize| self.plan.needs_gradient(pass, source);
        let Some(computed_in) = self.plan.computed_in(read_in, source).filter(trained) else {
            return self.adapter_back(values, adapter, gradient, None, workspace);
        };
        let mut towards = std::mem::take(&mut workspace.passes[computed_in].gradients[source]);
        let added_to = Some(towards.add_to(gradient.len()));
        self.adapter_back(values, adapter, gradient, added_to, workspace);
        workspace.passes[computed_in].gradients[source] = towards;
    }

    /// Propagates the gradient of one adapter from the one with respect to its output.
    fn adapter_back(
        &self,
        values: &[f32],
        (pass, index, place): (usize, usize, &AdapterPlace),
        gradient: &[f32],
        towards_x: Option<&mut [f32]>,
        workspace: &mut Workspace,
    ) {
        let Workspace {
            passes,
            towards_values,
            adapter: scratch,
            ..
        } = workspace;
        adapter::backward(
            self.backbone.instruction_set(),
            &self.layout.adapter(place, values),
            &passes[pass].adapters[index],
            gradient,
            &mut self.layout.adapter_mut(place, towards_values),
            towards_x,
            scratch,
        );
    }

    /// Computes dL/dh_{n-1} from `gradient` = dL/dh_n, which is used up, if anything below is trained.
    fn sublayer_back(
        &self,
        pass: usize,
        n: usize,
        shard: &Shard<'_>,
        gradient: &mut [f32],
        workspace: &mut Workspace,
    ) {
        if !self.plan.needs_gradient(pass, n - 1) {
            return;
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
        if self.narrows(pass, n) {
            first_rows.resize(gradient.len(), 0.0);
            let (chain, saved) = (self.backbone.packed(), &sublayers[n - 1]);
            chain[n - 1].backward(saved, &shard.singles, gradient, first_rows, false, sublayer);
            let width = self.layout.width;
            let all = gradients[n - 1].add_to(shard.rows() * width);
            first_rows::scatter_add(first_rows, &shard.examples, width, all);
            return;
        }
        let add = gradients[n - 1].is_known();
        let result = gradients[n - 1].write(gradient.len());
        let (chain, saved) = (self.backbone.packed(), &sublayers[n - 1]);
        chain[n - 1].backward(saved, &shard.examples, gradient, result, add, sublayer);
    }
}
