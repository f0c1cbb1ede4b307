//! The forward pass of a backbone with adapters.
//!
//! In one pass, state n is the sublayer of the state before it (or the embedding, n = 0); plus A(h_i) of every
//! connection i -> n with i < n, read in this pass; plus A(h_i) of every connection with i > n, read in the pass
//! before (nothing in the first one); then a sequential connection n -> n adds A(h_n) of the sum so far. A placement
//! with a recurrent connection runs two passes, any other one; the last pass gives the output, and the
//! gradient flows through all of them.

use adaplace_backbone::{Backbone, Inputs};
use adaplace_search_space::ConnectionKind;
use candle_core::Tensor;

use crate::frozen::Frozen;
use crate::{Adapters, Head, ScoreError};

/// A frozen backbone with the adapters of one placement and a head.
#[derive(Debug)]
pub struct Model<'a> {
    backbone: &'a Backbone,
    adapters: Adapters,
    head: Head,
}

/// The states of one pass, from the first one on that an adapter may have changed.
pub(crate) struct Pass {
    /// Index of the first state; those before it are the frozen backbone's.
    begin: usize,
    states: Vec<Tensor>,
    /// Each state before the recurrent and sequential adapters were added.
    sums: Vec<Tensor>,
}

/// Whether a pass may take over states that its adapters do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// From the frozen backbone and from the pass before: fewer sublayers are run, the results are the same.
    Shared,
    /// Every pass has all states of its own, from h_0 to h_N.
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
        let frozen = Frozen::computed(self.backbone, inputs);
        let last = self.last_pass(&frozen)?;
        let all = 0..self.backbone.description().hidden_states;
        all.map(|n| last.state(n, &frozen)).collect()
    }

    /// (batch, width) features, pooled from the last state.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn features(&self, inputs: &Inputs) -> Result<Tensor, ScoreError> {
        self.features_from(&Frozen::computed(self.backbone, inputs))
    }

    /// (batch, classes) logits.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn logits(&self, inputs: &Inputs) -> Result<Tensor, ScoreError> {
        self.logits_from(&Frozen::computed(self.backbone, inputs))
    }

    pub(crate) fn features_from(&self, frozen: &Frozen<'_>) -> Result<Tensor, ScoreError> {
        let last = self.backbone.sublayers().len();
        let state = self.last_pass(frozen)?.state(last, frozen)?;
        Ok(self.backbone.pool(&state, frozen.mask())?)
    }

    pub(crate) fn logits_from(&self, frozen: &Frozen<'_>) -> Result<Tensor, ScoreError> {
        Ok(self.head.logits(&self.features_from(frozen)?)?)
    }

    pub(crate) fn backbone(&self) -> &'a Backbone {
        self.backbone
    }

    fn last_pass(&self, frozen: &Frozen<'_>) -> Result<Pass, ScoreError> {
        let untouched = &mut |_, state: Tensor| Ok(state);
        let (_, last) = self.passes(frozen, Prefix::Shared, untouched)?;
        Ok(last)
    }

    /// The first pass, where there are two, and the last one. `tap(pass, state)` may replace each state before its
    /// sequential adapter is added.
    pub(crate) fn passes(
        &self,
        frozen: &Frozen<'_>,
        prefix: Prefix,
        tap: &mut dyn FnMut(usize, Tensor) -> Result<Tensor, ScoreError>,
    ) -> Result<(Option<Pass>, Pass), ScoreError> {
        let last = self.backbone.sublayers().len();
        let kinds = |recurrent: bool| {
            let connections = self.adapters.iter().map(|adapter| adapter.connection);
            connections.filter(move |connection| connection.is_recurrent() == recurrent)
        };
        let direct = kinds(false)
            .map(|connection| usize::from(connection.target))
            .min();
        let target = kinds(true)
            .map(|connection| usize::from(connection.target))
            .min();
        let source = kinds(true)
            .map(|connection| usize::from(connection.source))
            .max();
        let separate = prefix == Prefix::Separate;
        let Some((target, source)) = target.zip(source) else {
            let begin = if separate { 0 } else { direct.unwrap_or(last) };
            let pass = self.pass(frozen, None, begin, last, &mut |state| tap(0, state))?;
            return Ok((None, pass));
        };
        // Nothing reads the first pass behind the latest recurrent source.
        let (begin, end) = match prefix {
            Prefix::Shared => (direct.unwrap_or(source).min(source), source),
            Prefix::Separate => (0, last),
        };
        let first = self.pass(frozen, None, begin, end, &mut |state| tap(0, state))?;
        let begin = if separate { 0 } else { target };
        let second = self.pass(frozen, Some(&first), begin, last, &mut |state| {
            tap(1, state)
        })?;
        Ok((Some(first), second))
    }

    /// States up to `last`. Those before `begin` are taken over from the pass before and the frozen backbone.
    fn pass(
        &self,
        frozen: &Frozen<'_>,
        previous: Option<&Pass>,
        begin: usize,
        last: usize,
        tap: &mut dyn FnMut(Tensor) -> Result<Tensor, ScoreError>,
    ) -> Result<Pass, ScoreError> {
        let mut pass = match previous {
            Some(previous) if previous.begin < begin => previous.up_to(begin),
            _ => Pass {
                begin,
                states: Vec::new(),
                sums: Vec::new(),
            },
        };
        for n in begin..=last {
            let sum = match previous {
                // The first recurrent target differs from the pass before by its recurrent adapters alone.
                Some(previous) if n == begin => previous.sum(n, frozen)?,
                _ => {
                    let base = if n == pass.begin {
                        frozen.state(n)?
                    } else {
                        let sublayer = &self.backbone.sublayers()[n - 1];
                        sublayer.forward(&pass.state(n - 1, frozen)?, frozen.mask())?
                    };
                    let earlier =
                        |kind| matches!(kind, ConnectionKind::Parallel | ConnectionKind::LongRange);
                    self.add(base, n, earlier, |source| pass.state(source, frozen))?
                }
            };
            let mut state = sum.clone();
            if let Some(previous) = previous {
                let recurrent = |kind| kind == ConnectionKind::Recurrent;
                state = self.add(state, n, recurrent, |source| previous.state(source, frozen))?;
            }
            state = tap(state)?;
            let sequential = |kind| kind == ConnectionKind::Sequential;
            let read = state.clone();
            state = self.add(state, n, sequential, |_| Ok(read.clone()))?;
            pass.sums.push(sum);
            pass.states.push(state);
        }
        Ok(pass)
    }

    /// sum + A(read(i)) over the connections i -> target of the kinds asked for.
    fn add(
        &self,
        sum: Tensor,
        target: usize,
        of_kind: impl Fn(ConnectionKind) -> bool,
        read: impl Fn(usize) -> Result<Tensor, ScoreError>,
    ) -> Result<Tensor, ScoreError> {
        let mut sum = sum;
        for adapter in self.adapters.iter() {
            let connection = adapter.connection;
            if usize::from(connection.target) == target && of_kind(connection.kind()) {
                sum = (sum + adapter.forward(&read(usize::from(connection.source))?)?)?;
            }
        }
        Ok(sum)
    }
}

impl Pass {
    /// h_n of this pass.
    pub(crate) fn state(&self, n: usize, frozen: &Frozen<'_>) -> Result<Tensor, ScoreError> {
        match n.checked_sub(self.begin) {
            None => frozen.state(n),
            Some(index) => Ok(self.states[index].clone()),
        }
    }

    /// The states of its own; with [`Prefix::Separate`] all from h_0 to h_N.
    pub(crate) fn states(&self) -> &[Tensor] {
        &self.states
    }

    /// State n before the recurrent and sequential adapters were added.
    fn sum(&self, n: usize, frozen: &Frozen<'_>) -> Result<Tensor, ScoreError> {
        match n.checked_sub(self.begin) {
            None => frozen.state(n),
            Some(index) => Ok(self.sums[index].clone()),
        }
    }

    /// The states before `end`, as the beginning of another pass.
    fn up_to(&self, end: usize) -> Self {
        Self {
            begin: self.begin,
            states: self.states[..end - self.begin].to_vec(),
            sums: self.sums[..end - self.begin].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests;
