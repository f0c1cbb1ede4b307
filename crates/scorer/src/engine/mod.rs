//! Forward and backward pass of a placement, with any arithmetic.
//!
//! There is no autograd graph: the chain, the passes and the adapters of a placement are known, so the gradient is one
//! walk back along them. On the processor a batch is cut into shards of whole examples. One thread carries each shard
//! from its first state to its gradients, in memory of its own. Only the gradients with respect to the trained values
//! are added up across shards, in a fixed order. The cut of a batch depends on the lengths of its examples alone, so
//! results depend neither on the number of threads nor on what is cached.

mod backward;
mod batch;
mod forward;
mod plan;
mod recorded;
mod workspace;

pub(crate) use batch::{Shard, pieces, shards, shards_of};
pub(crate) use plan::{Plan, Reuse};
pub(crate) use workspace::Workspace;

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::{Backbone, Chain, Pooling};
use adaplace_search_space::ConnectionKind;

use crate::parameters::Layout;
use crate::{Model, ScoreError};

/// A backbone, the layout of the values trained on it, and the plan of their placement.
#[derive(Debug)]
pub(crate) struct Engine<'a, A: Arithmetic> {
    backbone: &'a Backbone<A>,
    chain: &'a Chain<A>,
    layout: Layout,
    plan: Plan,
    /// The order in which adapters with the same target are added. The sequential one comes last because it reads the
    /// sum of the others.
    order: Vec<usize>,
    /// Whether only the first row of every example goes through the last sublayer of the last pass.
    only_first_rows: bool,
}

impl<'a, A: Arithmetic> Engine<'a, A> {
    pub(crate) fn new(model: &Model<'a, A>, reuse: Reuse) -> Result<Self, ScoreError> {
        let connections = model.parameters().connections();
        let backbone = model.backbone();
        let chain = backbone.chain()?;
        let last = backbone.sublayers();
        let layout = model.parameters().layout().clone();
        let mut order: Vec<usize> = (0..layout.adapters.len()).collect();
        order.sort_by_key(|&index| match layout.adapters[index].connection.kind() {
            ConnectionKind::Parallel | ConnectionKind::LongRange => 0,
            ConnectionKind::Recurrent => 1,
            ConnectionKind::Sequential => 2,
        });
        let plan = Plan::new(connections.clone(), last, reuse);
        let computed = plan.passes.last().is_some_and(|pass| pass.begin < last);
        let read = connections
            .clone()
            .all(|connection| usize::from(connection.target) < last);
        let only_first_rows = reuse == Reuse::UnchangedStates
            && computed
            && read
            && backbone.description().pooling == Pooling::Cls
            && chain.sublayers()[last - 1].works_on_single_rows();
        Ok(Self {
            backbone,
            chain,
            layout,
            order,
            plan,
            only_first_rows,
        })
    }

    pub(crate) fn backbone(&self) -> &'a Backbone<A> {
        self.backbone
    }

    fn arithmetic(&self) -> &'a A {
        self.backbone.arithmetic()
    }

    /// Hands trained values over to the arithmetic.
    pub(crate) fn write(&self, values: &[f32], to: &mut A::Buffer) -> Result<(), ScoreError> {
        let fill = |to: &mut [f32]| to.copy_from_slice(values);
        Ok(self.arithmetic().write((1, values.len()), fill, to)?)
    }

    /// The values of a model, as the arithmetic reads them.
    pub(crate) fn written(&self, model: &Model<'_, A>) -> Result<A::Buffer, ScoreError> {
        let mut written = A::Buffer::default();
        self.write(model.parameters().values(), &mut written)?;
        Ok(written)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether a pass computes h_n only for the first row of every example.
    fn only_first_rows(&self, pass: usize, n: usize) -> bool {
        self.only_first_rows && n == self.last() && pass + 1 == self.plan.passes.len()
    }

    /// The offsets of the examples in h_n, as a pass computes it.
    fn rows_of<'s>(&self, pass: usize, n: usize, shard: &'s Shard<'_, A>) -> &'s A::Rows {
        match self.only_first_rows(pass, n) {
            true => &shard.singles,
            false => &shard.examples,
        }
    }

    /// The index N of the last state.
    fn last(&self) -> usize {
        self.backbone.sublayers()
    }
}
