//! What a placement computes, by definition: every pass has all its states, and the gradients are autograd's. The frozen
//! model is read from its folder and written with candle-nn. Only h_0 is the engine's: nothing is trained before it, and
//! the tests of the crate `backbone` compare it with transformers. Tests compare the engine with this definition; nothing
//! else uses it.
//!
//! In one pass state n is the sublayer of the state before it (or the embedding, n = 0); plus A(h_i) of every connection
//! i -> n with i < n, read in this pass; plus A(h_i) of every connection with i > n, read in the pass before (nothing in
//! the first one); then a sequential connection n -> n adds A(h_n) of the sum so far. A placement with a recurrent
//! connection runs two passes, any other one. The last pass gives the output, and the gradient flows through all of them.
#![allow(clippy::unwrap_used, reason = "tests use it, and may panic")]

mod padded;
mod transformer;

use std::collections::BTreeMap;

use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_backbone::{Backbone, Inputs};
use adaplace_search_space::{Connection, Placement};
use candle_core::{D, DType, Device, Result, Tensor, Var};

pub use padded::{embedded, mask, padded, real_rows};
pub use transformer::Transformer;

/// A function of the source of a connection, whose result is added to its target.
pub type Branch<'a> = (Connection, Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>);

/// A backbone with the adapters of a placement and a head, whose values are variables.
pub struct Reference<'a, A: Arithmetic = Cpu> {
    backbone: &'a Backbone<A>,
    transformer: Transformer,
    placement: Placement,
    vars: BTreeMap<String, Var>,
}

/// Layer norm without weights.
///
/// # Errors
/// If candle refuses an operation.
pub fn normalize(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)
}

/// The sum of the rows' cross-entropies of logits (batch, classes), in nats.
///
/// # Errors
/// If candle refuses an operation.
pub fn loss(logits: &Tensor, labels: &[u32]) -> Result<Tensor> {
    let largest = logits.max_keepdim(1)?.detach();
    let shifted = logits.broadcast_sub(&largest)?;
    let normalizer = shifted.exp()?.sum_keepdim(1)?.log()?;
    let labels = Tensor::from_slice(labels, (labels.len(), 1), logits.device())?;
    let chosen = shifted.gather(&labels, 1)?;
    (normalizer - chosen)?.sum_all()
}

impl<'a, A: Arithmetic> Reference<'a, A> {
    /// The model of a placement whose tensors, the head's among them, are these: name, shape, values in row-major order.
    /// `backbone` and `transformer` are of the same folder.
    #[must_use]
    pub fn new(
        backbone: &'a Backbone<A>,
        transformer: Transformer,
        placement: &Placement,
        tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    ) -> Self {
        let var = |(name, shape, values): (String, Vec<usize>, Vec<f32>)| {
            let var = Var::from_vec(values, shape, &Device::Cpu).unwrap();
            (name, var)
        };
        Self {
            backbone,
            transformer,
            placement: placement.clone(),
            vars: tensors.into_iter().map(var).collect(),
        }
    }

    /// One branch for every adapter.
    #[must_use]
    pub fn branches(&self) -> Vec<Branch<'_>> {
        let adapters = self.placement.iter();
        adapters
            .map(|(connection, spec)| -> Branch<'_> {
                let adapt = move |x: &Tensor| self.adapt(connection, f64::from(spec.scale), x);
                (connection, Box::new(adapt))
            })
            .collect()
    }

    fn adapt(&self, connection: Connection, scale: f64, x: &Tensor) -> Result<Tensor> {
        let Connection { source, target } = connection;
        let var = |part: &str| &self.vars[&format!("{source}-{target}.{part}")];
        let down = normalize(x)?.broadcast_matmul(&var("down.weight").t()?)?;
        let hidden = down.broadcast_add(var("down.bias"))?.gelu_erf()?;
        let up = hidden.broadcast_matmul(&var("up.weight").t()?)?;
        up.broadcast_add(var("up.bias"))? * scale
    }

    /// The states h_0 .. h_N of the last pass, each (batch, tokens, width) with padding, with these branches.
    #[must_use]
    pub fn states(&self, inputs: &Inputs, branches: &[Branch<'_>]) -> Vec<Tensor> {
        let mask = mask(inputs);
        let recurrent = branches.iter().any(|(c, _)| c.target < c.source);
        let mut before: Option<Vec<Tensor>> = None;
        for _ in 0..=usize::from(recurrent) {
            let mut states: Vec<Tensor> = Vec::new();
            for n in 0..=self.transformer.sublayers() {
                let mut h = match n.checked_sub(1) {
                    None => embedded(self.backbone, inputs),
                    Some(m) => {
                        let transformer = &self.transformer;
                        transformer.sublayer(m, &states[m], mask.as_ref()).unwrap()
                    }
                };
                let to_n = |c: &Connection| usize::from(c.target) == n;
                for (connection, branch) in branches.iter().filter(|(c, _)| to_n(c)) {
                    let source = usize::from(connection.source);
                    let read = match &before {
                        _ if source < n => &states[source],
                        Some(before) if source > n => &before[source],
                        _ => continue,
                    };
                    h = (h + branch(read).unwrap()).unwrap();
                }
                let sequential = branches
                    .iter()
                    .filter(|(c, _)| to_n(c) && c.source == c.target);
                for (_, branch) in sequential {
                    h = (&h + branch(&h).unwrap()).unwrap();
                }
                states.push(h);
            }
            before = Some(states);
        }
        before.unwrap()
    }

    /// The logits (batch, classes) with these branches.
    #[must_use]
    pub fn logits(&self, inputs: &Inputs, branches: &[Branch<'_>]) -> Tensor {
        let states = self.states(inputs, branches);
        let last = states.last().unwrap();
        let pooling = self.backbone.description().pooling;
        let mask = mask(inputs);
        let features = self.transformer.pool(last, mask.as_ref(), pooling);
        self.head(&features.unwrap())
    }

    /// The logits (tokens, classes) at single tokens, each given by its row of the batch and its place there.
    #[must_use]
    pub fn token_logits(
        &self,
        inputs: &Inputs,
        tokens: &[(usize, usize)],
        branches: &[Branch<'_>],
    ) -> Tensor {
        let states = self.states(inputs, branches);
        let last = self.transformer.normed(states.last().unwrap()).unwrap();
        let longest = last.dim(1).unwrap();
        let rows = tokens
            .iter()
            .map(|(row, place)| (row * longest + place) as u32);
        let rows = Tensor::from_iter(rows, &Device::Cpu).unwrap();
        let features = last.flatten_to(1).unwrap().index_select(&rows, 0);
        self.head(&features.unwrap())
    }

    fn head(&self, features: &Tensor) -> Tensor {
        let weight = self.vars["head.weight"].t().unwrap();
        let scores = features.matmul(&weight).unwrap();
        scores.broadcast_add(&self.vars["head.bias"]).unwrap()
    }

    /// The mean loss of a batch, and its gradient with respect to every tensor by name.
    #[must_use]
    pub fn gradients(&self, inputs: &Inputs, labels: &[u32]) -> (f64, BTreeMap<String, Tensor>) {
        self.gradients_of(&self.logits(inputs, &self.branches()), labels)
    }

    /// The mean loss of logits of [`Self::logits`] or [`Self::token_logits`], and its gradient with respect to every tensor.
    #[must_use]
    pub fn gradients_of(&self, logits: &Tensor, labels: &[u32]) -> (f64, BTreeMap<String, Tensor>) {
        let sum = loss(logits, labels).unwrap();
        let mean = (sum / labels.len() as f64).unwrap();
        let gradients = mean.backward().unwrap();
        let of = |(name, var): (&String, &Var)| (name.clone(), gradients.get(var).unwrap().clone());
        let value = f64::from(mean.to_scalar::<f32>().unwrap());
        (value, self.vars.iter().map(of).collect())
    }

    /// dL/dM / examples, (width, width) by rows, where norm(h_source) M^T is added to h_target in addition to the adapters.
    #[must_use]
    pub fn gradient_matrix(
        &self,
        inputs: &Inputs,
        labels: &[u32],
        connection: Connection,
    ) -> Vec<Vec<f64>> {
        let width = self.backbone.description().width;
        let map = Var::zeros((width, width), DType::F32, &Device::Cpu).unwrap();
        let mut branches = self.branches();
        branches.push((
            connection,
            Box::new(|x| normalize(x)?.broadcast_matmul(&map.t()?)),
        ));
        let loss = loss(&self.logits(inputs, &branches), labels).unwrap();
        let gradients = loss.backward().unwrap();
        let gradient: Vec<Vec<f32>> = gradients.get(&map).unwrap().to_vec2().unwrap();
        let mean = |value: f32| f64::from(value) / labels.len() as f64;
        let rows = gradient.into_iter();
        rows.map(|row| row.into_iter().map(mean).collect())
            .collect()
    }
}
