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
mod group;
mod heads;
mod plan;
mod recorded;
mod workspace;

pub(crate) use batch::{
    LOGITS_ON_PROCESSOR, Shard, TOKENS_ON_DEVICE, TOKENS_PER_SHARD, for_all, pieces, shards,
    shards_of,
};
pub(crate) use heads::Counted;
pub(crate) use plan::{Plan, Reuse};
pub(crate) use workspace::Workspace;

use adaplace_arithmetic::{Arithmetic, End};
use adaplace_backbone::{Backbone, Chain};
use group::{Group, Stage};

use crate::parameters::Layout;
use crate::{Model, ScoreError};

/// A backbone, the models that are computed on it side by side, and the plan of their placements.
#[derive(Debug)]
pub(crate) struct Engine<'a, A: Arithmetic> {
    backbone: &'a Backbone<A>,
    chain: &'a Chain<A>,
    group: Group,
    plan: Plan,
    /// The adapters by pass and target.
    stages: Vec<Vec<Vec<Stage>>>,
    /// The row of every example that alone goes through the last sublayer of the last pass, if not all do.
    only_end: Option<End>,
    /// The head over the vocabulary, if the models have none that is trained.
    vocabulary: Option<&'a A::Linear>,
}

impl<'a, A: Arithmetic> Engine<'a, A> {
    /// The engine of a single model.
    pub(crate) fn new(model: &Model<'a, A>, reuse: Reuse) -> Result<Self, ScoreError> {
        Self::of_group(&[model], reuse)
    }

    /// The engine of several models of the same backbone and task. It computes what one engine for each would compute,
    /// with the states and passes that any of them needs.
    ///
    /// # Panics
    /// If there are no models.
    pub(crate) fn of_group(models: &[&Model<'a, A>], reuse: Reuse) -> Result<Self, ScoreError> {
        let backbone = models[0].backbone();
        let chain = backbone.chain()?;
        let last = backbone.sublayers();
        let layouts: Vec<&Layout> = models.iter().map(|one| one.parameters().layout()).collect();
        let group = Group::new(&layouts);
        let connections = group.adapters.iter().map(|adapter| adapter.connection);
        let plan = Plan::new(connections.clone(), last, reuse);
        let computed = plan.passes.last().is_some_and(|pass| pass.begin < last);
        let read = connections
            .clone()
            .all(|connection| usize::from(connection.target) < last);
        let pooled = backbone.description().pooling.end();
        let only_end = pooled.filter(|_| {
            reuse == Reuse::UnchangedStates
                && computed
                && read
                && chain.sublayers()[last - 1].works_on_single_rows()
        });
        let vocabulary = match group.heads.first.classes {
            0 => Some(backbone.vocabulary_head()?),
            _ => None,
        };
        let mut saved = 0;
        let mut of_state = |pass: usize, n: usize| {
            let carried = pass == 1 && n == plan.passes[1].begin;
            let stages = group.stages(pass, n, carried, saved);
            saved += stages.len();
            stages
        };
        let passes = 0..plan.passes.len();
        let stages = passes
            .map(|pass| (0..=last).map(|n| of_state(pass, n)).collect())
            .collect();
        Ok(Self {
            backbone,
            chain,
            group,
            stages,
            plan,
            only_end,
            vocabulary,
        })
    }

    pub(crate) fn backbone(&self) -> &'a Backbone<A> {
        self.backbone
    }

    pub(crate) fn arithmetic(&self) -> &'a A {
        self.backbone.arithmetic()
    }

    /// Hands trained values over to the arithmetic.
    pub(crate) fn write(&self, values: &[f32], to: &mut A::Buffer) -> Result<(), ScoreError> {
        let fill = |to: &mut [f32]| to.copy_from_slice(values);
        Ok(self.arithmetic().write((1, values.len()), fill, to)?)
    }

    /// The values of the models, as the arithmetic reads them.
    pub(crate) fn written(&self, models: &[&Model<'_, A>]) -> Result<A::Buffer, ScoreError> {
        let values: Vec<&[f32]> = models.iter().map(|one| one.parameters().values()).collect();
        let mut written = A::Buffer::default();
        self.write(&self.group.join(&values), &mut written)?;
        Ok(written)
    }

    /// The models that are computed side by side.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// The width of the states.
    fn width(&self) -> usize {
        self.group.heads.first.width
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The row of every example for which alone a pass computes h_n, if it does not for all.
    fn only_end(&self, pass: usize, n: usize, shard: &Shard<'_, A>) -> Option<End> {
        let is_last = n == self.last() && pass + 1 == self.plan.passes.len();
        self.only_end.filter(|_| is_last && !shard.reads_tokens())
    }

    /// The offsets of the examples in h_n, as a pass computes it.
    fn rows_of<'s>(&self, pass: usize, n: usize, shard: &'s Shard<'_, A>) -> &'s A::Rows {
        match self.only_end(pass, n, shard) {
            Some(_) => &shard.singles,
            None => &shard.examples,
        }
    }

    /// The index N of the last state.
    fn last(&self) -> usize {
        self.backbone.sublayers()
    }
}
