//! The forward pass of a backbone with adapters, composed of candle's operations.
//!
//! In one pass, state n is the output of the sublayer on the state before it (or the embedding if n = 0), plus A(h_i)
//! of every connection i -> n with i < n, read in this pass, plus A(h_i) of every connection with i > n, read in the
//! previous pass (nothing in the first one). Then a sequential connection n -> n adds A(h_n) of the sum so far. A
//! placement with a recurrent connection runs two passes, any other placement one. The last pass is the output, and the
//! gradient flows through all of them.
//!
//! This is the definition, differentiable and without shortcuts. Training and evaluation use the engine, which has the
//! same results.

use adaplace_backbone::{Backbone, Inputs};
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

impl<'a> Model<'a> {
    /// Combines the three parts.
    ///
    /// # Errors
    /// If a connection is outside the backbone's hidden states.
    pub fn new(backbone: &'a Backbone, adapters: Adapters, head: Head) -> Result<Self, ScoreError> {
        adapters.check_range(backbone.description().hidden_states)?;
        Ok(Self {
            backbone,
            adapters,
            head,
        })
    }

    /// The frozen backbone.
    #[must_use]
    pub fn backbone(&self) -> &'a Backbone {
        self.backbone
    }

    /// The adapters of the placement.
    #[must_use]
    pub fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// The head on the pooled features.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The trained parts, without the backbone.
    #[must_use]
    pub fn into_parts(self) -> (Adapters, Head) {
        (self.adapters, self.head)
    }

    /// The hidden states h_0 .. h_N of the last pass, each (batch, tokens, width).
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn states(&self, inputs: &Inputs) -> Result<Vec<Tensor>, ScoreError> {
        let first = self.pass(inputs, None)?;
        let mut connections = self.adapters.iter().map(|adapter| adapter.connection);
        if connections.any(|connection| connection.is_recurrent()) {
            return self.pass(inputs, Some(&first));
        }
        Ok(first)
    }

    /// The features (batch, width), pooled from the last state.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn features(&self, inputs: &Inputs) -> Result<Tensor, ScoreError> {
        let states = self.states(inputs)?;
        let last = &states[states.len() - 1];
        Ok(self.backbone.pool(last, inputs.mask())?)
    }

    /// The logits (batch, classes).
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn logits(&self, inputs: &Inputs) -> Result<Tensor, ScoreError> {
        Ok(self.head.logits(&self.features(inputs)?)?)
    }

    fn pass(
        &self,
        inputs: &Inputs,
        previous: Option<&[Tensor]>,
    ) -> Result<Vec<Tensor>, ScoreError> {
        let mut states: Vec<Tensor> = Vec::new();
        for n in 0..=self.backbone.sublayers().len() {
            let mut state = match states.last() {
                None => self.backbone.embed(inputs)?,
                Some(before) => self.backbone.sublayers()[n - 1].forward(before, inputs.mask())?,
            };
            let mut sequential = None;
            for adapter in self.adapters.iter() {
                let connection = adapter.connection;
                if usize::from(connection.target) != n {
                    continue;
                }
                let source = usize::from(connection.source);
                state = match (connection.kind(), previous) {
                    (ConnectionKind::Sequential, _) => {
                        sequential = Some(adapter);
                        continue;
                    }
                    (ConnectionKind::Recurrent, None) => continue,
                    (ConnectionKind::Recurrent, Some(previous)) => {
                        (state + adapter.forward(&previous[source])?)?
                    }
                    (ConnectionKind::Parallel | ConnectionKind::LongRange, _) => {
                        (state + adapter.forward(&states[source])?)?
                    }
                };
            }
            if let Some(adapter) = sequential {
                state = (&state + adapter.forward(&state)?)?;
            }
            states.push(state);
        }
        Ok(states)
    }
}
