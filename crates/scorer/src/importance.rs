use adaplace_arithmetic::Arithmetic;
use adaplace_task::evaluation_batches;

use crate::engine::{Engine, Reuse, Shard, for_all};
use crate::parameters::PlacedAdapter;
use crate::{Dataset, Model, ScoreError};

/// The importance of each adapter of `model` for its loss on `data`, in nats, in canonical order: the mean over batches
/// of at most `batch_size` of `|sum over W_up and b_up of w dL/dw|`, where L is the mean loss of the batch.
///
/// To first order the loss changes by this if the adapter's output, which is linear in these values, is removed
/// (Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", arXiv 1906.10771). It is 0 for an
/// adapter that was not trained.
///
/// # Errors
/// If the inputs are not of the backbone's kind.
pub fn importances<'a, A: Arithmetic>(
    model: &Model<'_, A>,
    data: impl Into<Dataset<'a, A>>,
    batch_size: usize,
) -> Result<Vec<f64>, ScoreError> {
    let data = data.into();
    let engine = Engine::new(model, Reuse::UnchangedStates)?;
    let layout = model.parameters().layout();
    let values = model.parameters().values();
    let written = engine.written(&[model])?;
    let batches = evaluation_batches(&data.examples.lengths(), batch_size);
    let by_batch: Vec<Vec<f64>> = for_all(&batches, |rows: &Vec<usize>, workspace| {
        let shard = Shard::of_dataset(engine.backbone(), data, rows, 1)?;
        let factor = 1.0 / data.examples.total_weight(rows) as f32;
        engine.loss_and_gradients(&written, &shard, factor, workspace)?;
        let gradients = engine.towards_values(workspace)?;
        let of_adapter = |PlacedAdapter { place, .. }: &PlacedAdapter| {
            let (own, towards) = (place.of(values), place.of(&gradients));
            let sum =
                product(own.up_weight, towards.up_weight) + product(own.up_bias, towards.up_bias);
            sum.abs()
        };
        Ok(layout.adapters.iter().map(of_adapter).collect())
    })?;
    let mean = |adapter: usize| {
        let sum: f64 = by_batch.iter().map(|of_batch| of_batch[adapter]).sum();
        sum / by_batch.len() as f64
    };
    Ok((0..layout.adapters.len()).map(mean).collect())
}

fn product(values: &[f32], gradients: &[f32]) -> f64 {
    let products = values
        .iter()
        .zip(gradients)
        .map(|(&w, &g)| f64::from(w) * f64::from(g));
    products.sum()
}
