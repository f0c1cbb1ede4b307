use adaplace_backbone::Inputs;

use crate::engine::{Engine, Prefix, Shard, Workspace};
use crate::{Model, Parameters, ScoreError};

/// The mean loss of a batch and its gradients, as computed by a training.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The gradients with respect to the model's parameters.
    pub parameters: Parameters,
}

/// Runs one forward and backward pass of `model` on the processor, with one label for each row of `inputs`.
///
/// # Errors
/// If the inputs are not of the backbone's kind.
pub fn loss_and_gradients(
    model: &Model<'_>,
    inputs: &Inputs,
    labels: &[u32],
) -> Result<Gradients, ScoreError> {
    let engine = Engine::new(model, Prefix::Shared);
    let values = model.parameters().values();
    let shard = Shard::of_inputs(model.backbone(), inputs.clone(), labels.to_vec());
    let factor = 1.0 / labels.len() as f32;
    Workspace::with(|workspace| {
        let loss = engine.loss_and_gradients(values, &shard, factor, workspace)?;
        Ok(Gradients {
            loss: loss / labels.len() as f64,
            parameters: model
                .parameters()
                .with_values(workspace.towards_values().to_vec()),
        })
    })
}

/// The hidden states h_0 .. h_N of the last pass, each (rows, width) in row-major order. The rows are the real tokens
/// of all examples, one example after the other.
///
/// # Errors
/// If the inputs are not of the backbone's kind.
pub fn states(model: &Model<'_>, inputs: &Inputs) -> Result<Vec<Vec<f32>>, ScoreError> {
    // A training leaves out rows that nothing reads.
    let engine = Engine::new(model, Prefix::Separate);
    let values = model.parameters().values();
    let examples = inputs.examples()?;
    let shard = Shard::of_inputs(model.backbone(), inputs.clone(), vec![0; examples]);
    Workspace::with(|workspace| engine.states(values, &shard, workspace))
}
