//! The heads behind the features: trained ones, or the frozen one over a vocabulary.

use std::ops::Range;

use adaplace_arithmetic::Arithmetic;

use super::Engine;
use super::batch::{Shard, TargetBlock};
use super::forward::Backward;
use super::workspace::Workspace;
use crate::ScoreError;
use crate::row_loss::log_loss;

/// The sums over some predictions of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    /// The sum of the losses in nats.
    pub(crate) loss: f64,
    /// The number of tokens whose logit is the largest.
    pub(crate) right: usize,
    /// The number of tokens.
    pub(crate) tokens: usize,
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.right += other.right;
        self.tokens += other.tokens;
    }
}

impl<A: Arithmetic> Engine<'_, A> {
    /// Computes the logits by the trained heads.
    pub(super) fn trained_heads(
        &self,
        values: &A::Buffer,
        workspace: &mut Workspace<A>,
    ) -> Result<(), ScoreError> {
        let (heads, features) = (&self.group.heads, &workspace.features);
        let arithmetic = self.arithmetic();
        Ok(arithmetic.heads_forward(values, heads, features, &mut workspace.logits)?)
    }

    /// Sums of the losses for each model, and the gradients of `factor` times all of them with respect to features and
    /// trained heads.
    pub(super) fn losses_back(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        factor: f32,
        workspace: &mut Workspace<A>,
    ) -> Result<Vec<A::Numbers>, ScoreError> {
        let (arithmetic, models) = (self.arithmetic(), self.group.models());
        let Some(vocabulary) = self.vocabulary else {
            self.trained_heads(values, workspace)?;
            let Workspace {
                features,
                logits,
                towards_features,
                towards_values,
                ..
            } = workspace;
            let losses = shard.targets.iter();
            let losses = losses
                .map(|block| arithmetic.loss(&block.targets, models, factor, logits))
                .collect::<Result<_, _>>()?;
            arithmetic.heads_backward(
                values,
                &self.group.heads,
                features,
                logits,
                towards_features,
                towards_values,
            )?;
            return Ok(losses);
        };
        let width = self.width();
        let shape = (models * shard.predictions, width);
        arithmetic.zero(shape, &mut workspace.towards_features)?;
        let mut losses = Vec::with_capacity(shard.targets.len());
        for block in &shard.targets {
            let rows = self.vocabulary_forward(vocabulary, shard, block, workspace)?;
            let Workspace {
                logits,
                towards_features,
                end_rows,
                adapter: scratch,
                ..
            } = &mut *workspace;
            losses.push(arithmetic.loss(&block.targets, models, factor, logits)?);
            arithmetic.linear_backward(vocabulary, logits, end_rows, false, scratch)?;
            arithmetic.add_blocks(end_rows, width, &rows, towards_features)?;
        }
        Ok(losses)
    }

    /// The sums over the tokens that a shard predicts, for each model.
    pub(crate) fn counted(
        &self,
        values: &A::Buffer,
        shard: &Shard<'_, A>,
        classes: &[u32],
        workspace: &mut Workspace<A>,
    ) -> Result<Vec<Counted>, ScoreError> {
        self.forward(values, shard, workspace, Backward::Not)?;
        let models = self.group.models();
        let mut sums = vec![Counted::default(); models];
        let vocabulary = self.vocabulary.ok_or(ScoreError::OtherHead)?;
        for block in &shard.targets {
            self.vocabulary_forward(vocabulary, shard, block, workspace)?;
            let logits = self.arithmetic().read(&workspace.logits)?;
            let classes = &classes[block.predictions.clone()];
            let of_models = logits.chunks_exact(logits.len() / models);
            for (sum, logits) in sums.iter_mut().zip(of_models) {
                let rows = logits.chunks_exact(logits.len() / classes.len());
                for (logits, &class) in rows.zip(classes) {
                    *sum += counted(logits, class as usize);
                }
            }
        }
        Ok(sums)
    }

    /// Computes the logits of a block of predictions over the vocabulary, and returns its rows among the features.
    fn vocabulary_forward(
        &self,
        vocabulary: &A::Linear,
        shard: &Shard<'_, A>,
        block: &TargetBlock<A>,
        workspace: &mut Workspace<A>,
    ) -> Result<Vec<Range<usize>>, ScoreError> {
        let (arithmetic, width) = (self.arithmetic(), self.width());
        let Range { start, end } = block.predictions;
        let firsts = (0..self.group.models()).map(|model| model * shard.predictions);
        let rows: Vec<Range<usize>> = firsts.map(|first| first + start..first + end).collect();
        let Workspace {
            features,
            logits,
            end_rows,
            adapter: scratch,
            ..
        } = workspace;
        arithmetic.gather(features, width, rows.iter().cloned(), end_rows)?;
        arithmetic.linear_forward(vocabulary, end_rows, logits, false, scratch)?;
        Ok(rows)
    }
}

fn counted(logits: &[f32], class: usize) -> Counted {
    let best = logits
        .iter()
        .enumerate()
        .reduce(|best, one| if one.1 > best.1 { one } else { best });
    Counted {
        loss: log_loss(logits, class),
        right: usize::from(best.is_some_and(|(at, _)| at == class)),
        tokens: 1,
    }
}
