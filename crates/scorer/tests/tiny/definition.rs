//! A second definition of the forward pass, as simple as possible: every pass has all its states, the sublayers are
//! candle's own operations, and an adapter is any function.

use adaplace_backbone::{Backbone, Inputs};
use adaplace_scorer::{Adapter, Model};
use adaplace_search_space::Connection;
use candle_core::{D, DType, Device, Result, Tensor, Var};
use faer::Mat;

use crate::support::WIDTH;

/// A function of the source of a connection, whose result is added to its target.
pub type Branch<'a> = (Connection, Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>);

/// Layer norm without weights.
pub fn normalize(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)
}

fn adapt(adapter: &Adapter, x: &Tensor) -> Result<Tensor> {
    let down = normalize(x)?.broadcast_matmul(&adapter.down_weight.t()?)?;
    let hidden = down.broadcast_add(&adapter.down_bias)?.gelu_erf()?;
    let up = hidden.broadcast_matmul(&adapter.up_weight.t()?)?;
    up.broadcast_add(&adapter.up_bias)? * f64::from(adapter.spec.scale)
}

/// One branch for every adapter of `model`.
pub fn branches<'a>(model: &'a Model<'_>) -> Vec<Branch<'a>> {
    let adapters = model.adapters().iter();
    let branches = adapters.map(|adapter| -> Branch<'a> {
        (adapter.connection, Box::new(move |x| adapt(adapter, x)))
    });
    branches.collect()
}

/// The states h_0 .. h_N of the last pass.
pub fn states(backbone: &Backbone, inputs: &Inputs, branches: &[Branch<'_>]) -> Vec<Tensor> {
    let recurrent = branches.iter().any(|(c, _)| c.target < c.source);
    let mut before: Option<Vec<Tensor>> = None;
    for _ in 0..=usize::from(recurrent) {
        let mut states: Vec<Tensor> = Vec::new();
        for n in 0..=backbone.sublayers().len() {
            let mut h = match n.checked_sub(1) {
                None => backbone.embed(inputs).unwrap(),
                Some(m) => backbone.sublayers()[m]
                    .forward(&states[m], inputs.mask())
                    .unwrap(),
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
            for (_, branch) in branches
                .iter()
                .filter(|(c, _)| to_n(c) && c.source == c.target)
            {
                h = (&h + branch(&h).unwrap()).unwrap();
            }
            states.push(h);
        }
        before = Some(states);
    }
    before.unwrap()
}

/// The logits (batch, classes) from the last state.
pub fn logits(backbone: &Backbone, inputs: &Inputs, model: &Model<'_>, last: &Tensor) -> Tensor {
    let features = backbone.pool(last, inputs.mask()).unwrap();
    let scores = features.matmul(&model.head().weight.t().unwrap()).unwrap();
    scores.broadcast_add(&model.head().bias).unwrap()
}

/// The sum of the rows' cross-entropies, computed from `Tensor` operations alone.
pub fn loss(logits: &Tensor, labels: &[u32]) -> Tensor {
    let largest = logits.max_keepdim(1).unwrap().detach();
    let shifted = logits.broadcast_sub(&largest).unwrap();
    let normalizer = shifted
        .exp()
        .unwrap()
        .sum_keepdim(1)
        .unwrap()
        .log()
        .unwrap();
    let labels = Tensor::from_slice(labels, (labels.len(), 1), logits.device()).unwrap();
    let chosen = shifted.gather(&labels, 1).unwrap();
    (normalizer - chosen).unwrap().sum_all().unwrap()
}

/// dL/dM / examples, where norm(h_source) M^T is added to h_target in addition to the adapters of `model`.
pub fn gradient_matrix(
    backbone: &Backbone,
    model: &Model<'_>,
    inputs: &Inputs,
    labels: &[u32],
    connection: Connection,
) -> Mat<f64> {
    let map = Var::zeros((WIDTH, WIDTH), DType::F32, &Device::Cpu).unwrap();
    let mut branches = branches(model);
    let linear: Branch<'_> = (
        connection,
        Box::new(|x| normalize(x)?.broadcast_matmul(&map.t()?)),
    );
    branches.push(linear);
    let states = states(backbone, inputs, &branches);
    let last = states.last().unwrap();
    let gradients = loss(&logits(backbone, inputs, model, last), labels)
        .backward()
        .unwrap();
    let gradient: Vec<Vec<f32>> = gradients.get(&map).unwrap().to_vec2().unwrap();
    let entry = |row: usize, column: usize| f64::from(gradient[row][column]) / labels.len() as f64;
    Mat::from_fn(WIDTH, WIDTH, entry)
}
