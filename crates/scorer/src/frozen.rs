use std::cell::RefCell;

use adaplace_backbone::{Backbone, Inputs, TokenMask};
use candle_core::Tensor;

use crate::{ScoreError, StateCache};

/// The hidden states of the frozen backbone for one batch, without any adapter: made, or looked up in a cache, when
/// they are first asked for.
pub(crate) struct Frozen<'a> {
    backbone: &'a Backbone,
    source: Source<'a>,
    mask: Option<TokenMask>,
    /// Those asked for so far, by their index.
    states: RefCell<Vec<Option<Tensor>>>,
}

enum Source<'a> {
    Inputs(&'a Inputs),
    Cache {
        cache: &'a StateCache,
        rows: &'a [usize],
    },
}

impl<'a> Frozen<'a> {
    /// Computed from the inputs, sublayer by sublayer, as far as they are asked for.
    pub(crate) fn computed(backbone: &'a Backbone, inputs: &'a Inputs) -> Self {
        let mask = inputs.mask().cloned();
        Self::new(backbone, Source::Inputs(inputs), mask)
    }

    /// Taken from a cache, for the examples at `rows`.
    pub(crate) fn cached(backbone: &'a Backbone, cache: &'a StateCache, rows: &'a [usize]) -> Self {
        let mask = cache.mask(rows);
        Self::new(backbone, Source::Cache { cache, rows }, mask)
    }

    fn new(backbone: &'a Backbone, source: Source<'a>, mask: Option<TokenMask>) -> Self {
        let states = vec![None; backbone.sublayers().len() + 1];
        Self {
            backbone,
            source,
            mask,
            states: RefCell::new(states),
        }
    }

    pub(crate) fn mask(&self) -> Option<&TokenMask> {
        self.mask.as_ref()
    }

    /// h_n, (batch, tokens, width).
    pub(crate) fn state(&self, n: usize) -> Result<Tensor, ScoreError> {
        let mut states = self.states.borrow_mut();
        if let Some(state) = &states[n] {
            return Ok(state.clone());
        }
        let state = match &self.source {
            Source::Cache { cache, rows } => cache.gather(n, rows)?,
            Source::Inputs(inputs) => {
                let known = (0..n).rev().find(|&before| states[before].is_some());
                let first = match known {
                    Some(before) => before,
                    None => {
                        states[0] = Some(self.backbone.embed(inputs)?);
                        0
                    }
                };
                for before in first..n {
                    if let Some(state) = &states[before] {
                        let sublayer = &self.backbone.sublayers()[before];
                        states[before + 1] = Some(sublayer.forward(state, inputs.mask())?);
                    }
                }
                return states[n].clone().ok_or_else(|| {
                    candle_core::Error::Msg(format!("state {n} was not computed")).into()
                });
            }
        };
        states[n] = Some(state.clone());
        Ok(state)
    }
}
