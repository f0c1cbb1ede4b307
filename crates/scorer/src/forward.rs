//! The forward pass of a backbone with adapters.
//!
//! In one pass, state n is the sublayer of the state before it (or the embedding, n = 0); plus A(h_i) of every
//! connection i -> n with i < n, read in this pass; plus A(h_i) of every connection with i > n, read in the pass
//! before (nothing in the first one); then a sequential connection n -> n adds A(h_n) of the sum so far. A placement
//! with a recurrent connection runs two passes, any other one; the last pass gives the output, and the
//! gradient flows through all of them.

use adaplace_backbone::{Backbone, Inputs, TokenMask};
use adaplace_search_space::ConnectionKind;
use candle_core::Tensor;

use crate::{Adapters, Head, ScoreError};

/// A frozen backbone with the adapters of one placement and a head.
#[derive(Debug)]
pub struct Model<'a> {
    backbone: &'a Backbone,
    adapters: Adapters,
    head: Head,
}

/// The states of one pass, from h_0 on.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) states: Vec<Tensor>,
    /// Each state before the recurrent and sequential adapters were added.
    sums: Vec<Tensor>,
}

/// Whether the second pass may take over the states of the first that no recurrent adapter changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Fewer sublayers are run; the results are the same.
    Shared,
    /// Every pass has all states of its own.
    Separate,
}

impl<'a> Model<'a> {
    /// Joins the three.
    ///
    /// # Errors
    /// If a connection lies outside the backbone's hidden states.
    pub fn new(backbone: &'a Backbone, adapters: Adapters, head: Head) -> Result<Self, ScoreError> {
        adapters.check_range(backbone.description().hidden_states)?;
        Ok(Self {
            backbone,
            adapters,
            head,
        })
    }

    /// The adapters.
    #[must_use]
    pub fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the trained parts out again.
    #[must_use]
    pub fn into_parts(self) -> (Adapters, Head) {
        (self.adapters, self.head)
    }

    /// Hidden states h_0 .. h_N of the last pass, each (batch, tokens, width).
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn states(&self, inputs: &Inputs) -> Result<Vec<Tensor>, ScoreError> {
        let untouched = &mut |_, state: Tensor| Ok(state);
        let mut passes = self.passes(inputs, Prefix::Shared, untouched)?;
        Ok(passes.pop().map(|pass| pass.states).unwrap_or_default())
    }

    /// (batch, width) features, pooled from the last state.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn features(&self, inputs: &Inputs) -> Result<Tensor, ScoreError> {
        let states = self.states(inputs)?;
        self.pool(&states, inputs.mask())
    }

    /// (batch, classes) logits.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn logits(&self, inputs: &Inputs) -> Result<Tensor, ScoreError> {
        Ok(self.head.logits(&self.features(inputs)?)?)
    }

    pub(crate) fn pool(
        &self,
        states: &[Tensor],
        mask: Option<&TokenMask>,
    ) -> Result<Tensor, ScoreError> {
        let last = states
            .last()
            .ok_or_else(|| candle_core::Error::Msg("a pass has no states".to_owned()))?;
        Ok(self.backbone.pool(last, mask)?)
    }

    /// All passes. `tap(pass, state)` may replace each state before its sequential adapter is added.
    pub(crate) fn passes(
        &self,
        inputs: &Inputs,
        prefix: Prefix,
        tap: &mut dyn FnMut(usize, Tensor) -> Result<Tensor, ScoreError>,
    ) -> Result<Vec<Pass>, ScoreError> {
        let embedded = self.backbone.embed(inputs)?;
        let placement = self.adapters.placement();
        let recurrent = placement
            .earliest_recurrent_target()
            .zip(placement.latest_recurrent_source());
        let last = self.backbone.sublayers().len();
        let Some((target, source)) = recurrent else {
            let pass = self.pass(&embedded, inputs.mask(), None, 0, last, &mut |state| {
                tap(0, state)
            })?;
            return Ok(vec![pass]);
        };
        // Nothing reads the first pass behind the latest recurrent source.
        let (begin, end) = match prefix {
            Prefix::Shared => (usize::from(target), usize::from(source)),
            Prefix::Separate => (0, last),
        };
        let mask = inputs.mask();
        let first = self.pass(&embedded, mask, None, 0, end, &mut |state| tap(0, state))?;
        let second = self.pass(&embedded, mask, Some(&first), begin, last, &mut |state| {
            tap(1, state)
        })?;
        Ok(vec![first, second])
    }

    /// States up to `last`; those before `begin` are taken over from the pass before.
    fn pass(
        &self,
        embedded: &Tensor,
        mask: Option<&TokenMask>,
        previous: Option<&Pass>,
        begin: usize,
        last: usize,
        tap: &mut dyn FnMut(Tensor) -> Result<Tensor, ScoreError>,
    ) -> Result<Pass, ScoreError> {
        let mut states: Vec<Tensor> = Vec::with_capacity(last + 1);
        let mut sums: Vec<Tensor> = Vec::with_capacity(last + 1);
        if let Some(previous) = previous {
            states.extend_from_slice(&previous.states[..begin]);
            // The first recurrent target differs by its recurrent adapters alone.
            sums.extend_from_slice(&previous.sums[..=begin]);
        }
        for n in begin..=last {
            if sums.len() == n {
                let base = match n.checked_sub(1) {
                    None => embedded.clone(),
                    Some(before) => {
                        self.backbone.sublayers()[before].forward(&states[before], mask)?
                    }
                };
                let earlier =
                    |kind| matches!(kind, ConnectionKind::Parallel | ConnectionKind::LongRange);
                sums.push(self.add(base, n, earlier, &states)?);
            }
            let mut state = sums[n].clone();
            if let Some(previous) = previous {
                let recurrent = |kind| kind == ConnectionKind::Recurrent;
                state = self.add(state, n, recurrent, &previous.states)?;
            }
            state = tap(state)?;
            let reads = [&states[..], std::slice::from_ref(&state)].concat();
            let sequential = |kind| kind == ConnectionKind::Sequential;
            states.push(self.add(state, n, sequential, &reads)?);
        }
        Ok(Pass { states, sums })
    }

    /// sum + A(read[i]) over the connections i -> target of the kinds asked for.
    fn add(
        &self,
        sum: Tensor,
        target: usize,
        of_kind: impl Fn(ConnectionKind) -> bool,
        read: &[Tensor],
    ) -> Result<Tensor, ScoreError> {
        let mut sum = sum;
        for adapter in self.adapters.iter() {
            let connection = adapter.connection;
            if usize::from(connection.target) == target && of_kind(connection.kind()) {
                sum = (sum + adapter.forward(&read[usize::from(connection.source)])?)?;
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests;
