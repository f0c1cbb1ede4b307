use adaplace_arithmetic::Arithmetic;
use adaplace_task::evaluation_batches;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Reuse, Shard, Workspace, for_all};
use crate::{ByClass, Dataset, Features, Model, ScoreError};

/// The loss and accuracy of a model on one part of a task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The share of the examples whose largest logit is that of their label, between 0 and 1.
    pub accuracy: f64,
    /// The number of examples.
    pub examples: usize,
    /// The metrics that count every class, which earlier versions did not measure.
    // This is never skipped, because a scorer with its probe is pickled in a format that does not contain field names.
    #[serde(default)]
    pub by_class: Option<ByClass>,
}

impl Evaluation {
    /// The evaluation of logits (examples, classes) in row-major order.
    pub(crate) fn of_logits(logits: &[f64], labels: &[u32]) -> Self {
        let classes = logits.len() / labels.len().max(1);
        let (mut loss, mut correct) = (0.0, 0_usize);
        let mut pairs = Vec::with_capacity(labels.len());
        for (row, &label) in logits.chunks_exact(classes.max(1)).zip(labels) {
            let label = label as usize;
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
            loss += largest + sum.ln() - row[label];
            // A tie counts as wrong unless the label comes first, as with argmax.
            let best = row.iter().position(|&logit| logit == largest);
            correct += usize::from(best == Some(label));
            pairs.push((label, best));
        }
        let examples = labels.len();
        Self {
            loss: loss / examples as f64,
            accuracy: correct as f64 / examples as f64,
            examples,
            by_class: Some(ByClass::of(classes, pairs.into_iter())),
        }
    }
}

/// The loss and accuracy of `model` on `data`, in batches of at most `batch_size`.
///
/// # Errors
/// If the inputs are not of the backbone's kind.
pub fn evaluate<'a, A: Arithmetic>(
    model: &Model<'_, A>,
    data: impl Into<Dataset<'a, A>>,
    batch_size: usize,
) -> Result<Evaluation, ScoreError> {
    let mut evaluations = evaluate_together(&[model], data, batch_size)?.into_iter();
    Ok(evaluations.next().expect("one model was evaluated"))
}

/// The loss and accuracy of several models of the same backbone, computed side by side.
///
/// # Errors
/// If the inputs are not of the backbone's kind.
pub fn evaluate_together<'a, A: Arithmetic>(
    models: &[&Model<'_, A>],
    data: impl Into<Dataset<'a, A>>,
    batch_size: usize,
) -> Result<Vec<Evaluation>, ScoreError> {
    let data = data.into();
    let engine = Engine::of_group(models, Reuse::UnchangedStates)?;
    let values = engine.written(models)?;
    let batches = evaluation_batches(&data.examples.lengths(), batch_size);
    let by_batch = for_batches(&engine, data, &batches, |shard, workspace| {
        Ok(engine.logits(&values, shard, workspace)?.into_owned())
    })?;
    let rows = batches.iter().flatten();
    let labels: Vec<u32> = rows.map(|&row| data.examples.labels[row]).collect();
    let of_model = |model: usize| {
        let own = |logits: &Vec<f32>| {
            let size = logits.len() / models.len();
            logits[model * size..(model + 1) * size].to_vec()
        };
        let logits = by_batch.iter().flat_map(own).map(f64::from);
        Evaluation::of_logits(&logits.collect::<Vec<_>>(), &labels)
    };
    Ok((0..models.len()).map(of_model).collect())
}

/// The pooled features of all of `data`, in its own order.
///
/// # Errors
/// If the inputs are not of the backbone's kind.
pub fn features<'a, A: Arithmetic>(
    model: &Model<'_, A>,
    data: impl Into<Dataset<'a, A>>,
    batch_size: usize,
) -> Result<Features, ScoreError> {
    let data = data.into();
    let engine = Engine::new(model, Reuse::UnchangedStates)?;
    let values = engine.written(&[model])?;
    let batches = evaluation_batches(&data.examples.lengths(), batch_size);
    let by_batch = for_batches(&engine, data, &batches, |shard, workspace| {
        Ok(engine.features(&values, shard, workspace)?.into_owned())
    })?;
    let mut features: Vec<Vec<f32>> = vec![Vec::new(); data.examples.len()];
    for (rows, values) in batches.iter().zip(by_batch) {
        for (&row, values) in rows
            .iter()
            .zip(values.chunks_exact(model.parameters().width()))
        {
            features[row] = values.to_vec();
        }
    }
    Ok(Features::new(features, data.examples.labels.clone()))
}

/// The results of `work` for all batches.
fn for_batches<A: Arithmetic>(
    engine: &Engine<'_, A>,
    data: Dataset<'_, A>,
    batches: &[Vec<usize>],
    work: impl Fn(&Shard<'_, A>, &mut Workspace<A>) -> Result<Vec<f32>, ScoreError> + Sync,
) -> Result<Vec<Vec<f32>>, ScoreError> {
    for_all(batches, |rows: &Vec<usize>, workspace| {
        let models = engine.group().models();
        let shard = Shard::of_dataset(engine.backbone(), data, rows, models)?;
        work(&shard, workspace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_accuracy_by_hand() {
        // The shares are 1/4 and 3/4, then 1/2 and 1/2.
        let logits = [0.0, 3.0_f64.ln(), 1.0, 1.0];
        let result = Evaluation::of_logits(&logits, &[1, 1]);
        let expected = ((4.0_f64 / 3.0).ln() + 2.0_f64.ln()) / 2.0;
        assert!((result.loss - expected).abs() < 1e-12);
        assert_eq!((result.accuracy, result.examples), (0.5, 2));
    }

    #[test]
    fn not_a_number_is_never_correct() {
        let result = Evaluation::of_logits(&[f64::NAN, 0.0], &[0]);
        assert!(result.loss.is_nan());
        assert_eq!(result.accuracy, 0.0);
    }
}
