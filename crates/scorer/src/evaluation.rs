use adaplace_arithmetic::Arithmetic;
use adaplace_task::{Labels, evaluation_batches};
use serde::{Deserialize, Serialize};

use crate::engine::{Counted, Engine, Reuse, Shard, Workspace, for_all};
use crate::measures::{OfLanguage, OfNumbers, OfSets, Parts};
use crate::{ByClass, Dataset, Features, Measures, Model, OfTags, ScoreError, row_loss};

/// The loss and the measures of a model on one part of a task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Evaluation {
    /// The mean loss of the predictions, weighted if their classes are: the cross-entropy in nats, the squared error in units
    /// of the variance of the training labels, or the mean over the classes of the binary cross-entropy in nats.
    pub loss: f64,
    /// How good the predictions are. Every example counts once.
    pub measures: Measures,
    /// The number of examples.
    pub examples: usize,
}

/// An [`Evaluation`] in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    loss: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    examples: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_class: Option<ByClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<OfNumbers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sets: Option<OfSets>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<OfTags>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<OfLanguage>,
}

impl From<Evaluation> for Written {
    fn from(evaluation: Evaluation) -> Self {
        let Parts {
            accuracy,
            by_class,
            numbers,
            sets,
            tags,
            language,
        } = evaluation.measures.parts();
        Self {
            loss: evaluation.loss,
            accuracy,
            examples: evaluation.examples,
            by_class,
            numbers,
            sets,
            tags,
            language,
        }
    }
}

impl TryFrom<Written> for Evaluation {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let parts = Parts {
            accuracy: written.accuracy,
            by_class: written.by_class,
            numbers: written.numbers,
            sets: written.sets,
            tags: written.tags,
            language: written.language,
        };
        Ok(Self {
            loss: written.loss,
            measures: Measures::of_parts(parts)?,
            examples: written.examples,
        })
    }
}

impl Evaluation {
    /// The evaluation of logits (predictions, outputs) in row-major order.
    pub(crate) fn of_logits(logits: &[f64], labels: &Labels, weights: Option<&[f32]>) -> Self {
        let of_predictions = labels.of_predictions();
        let outputs = (logits.len() / of_predictions.len().max(1)).max(1);
        let (mut sum, mut total) = (0.0, 0.0);
        let mut slopes = vec![0.0; outputs];
        for (index, row) in logits.chunks_exact(outputs).enumerate() {
            let weight = weights.map_or(1.0, |weights| f64::from(weights[index]));
            slopes.copy_from_slice(row);
            sum += weight * row_loss::loss(&of_predictions, index, &mut slopes);
            total += weight;
        }
        Self {
            loss: sum / total,
            measures: Measures::of(logits, labels),
            examples: labels.len(),
        }
    }

    /// The evaluation of counted tokens of some examples.
    fn of_counted(counted: Counted, examples: usize) -> Self {
        let tokens = counted.tokens as f64;
        let loss = counted.loss / tokens;
        Self {
            loss,
            measures: Measures::Language(OfLanguage {
                token_accuracy: counted.right as f64 / tokens,
                perplexity: loss.exp(),
            }),
            examples,
        }
    }
}

/// The loss and the measures of `model` on `data`, in batches of at most `batch_size`.
///
/// # Errors
/// If the inputs are not of the backbone's kind, or [`ScoreError::OtherHead`].
pub fn evaluate<'a, A: Arithmetic>(
    model: &Model<'_, A>,
    data: impl Into<Dataset<'a, A>>,
    batch_size: usize,
) -> Result<Evaluation, ScoreError> {
    let mut evaluations = evaluate_together(&[model], data, batch_size)?.into_iter();
    Ok(evaluations.next().expect("one model was evaluated"))
}

/// The loss and the measures of several models of the same backbone, computed side by side.
///
/// # Errors
/// If the inputs are not of the backbone's kind, or [`ScoreError::OtherHead`].
pub fn evaluate_together<'a, A: Arithmetic>(
    models: &[&Model<'_, A>],
    data: impl Into<Dataset<'a, A>>,
    batch_size: usize,
) -> Result<Vec<Evaluation>, ScoreError> {
    let data = data.into();
    for model in models {
        model.check_labels(&data.examples.labels)?;
    }
    let engine = Engine::of_group(models, Reuse::UnchangedStates)?;
    let values = engine.written(models)?;
    let batches = evaluation_batches(&data.examples.lengths(), batch_size);
    if let Labels::Completions(_) = data.examples.labels {
        let by_batch = for_batches(&engine, data, &batches, |rows, shard, workspace| {
            let labels = data.examples.labels.select(rows);
            let labels = labels.of_predictions();
            let classes = labels.classes().unwrap_or_default();
            engine.counted(&values, shard, classes, workspace)
        })?;
        let of_model = |model: usize| {
            let mut all = Counted::default();
            by_batch.iter().for_each(|batch| all += batch[model]);
            Evaluation::of_counted(all, data.examples.len())
        };
        return Ok((0..models.len()).map(of_model).collect());
    }
    let by_batch = for_batches(&engine, data, &batches, |_, shard, workspace| {
        Ok(engine.logits(&values, shard, workspace)?.into_owned())
    })?;
    let rows: Vec<usize> = batches.iter().flatten().copied().collect();
    let labels = data.examples.labels.select(&rows);
    let weights = data.examples.weights_at(&rows);
    let of_model = |model: usize| {
        let own = |logits: &Vec<f32>| {
            let size = logits.len() / models.len();
            logits[model * size..(model + 1) * size].to_vec()
        };
        let logits = by_batch.iter().flat_map(own).map(f64::from);
        Evaluation::of_logits(&logits.collect::<Vec<_>>(), &labels, weights.as_deref())
    };
    Ok((0..models.len()).map(of_model).collect())
}

/// The features of all predictions for `data`, in its own order.
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
    let by_batch = for_batches(&engine, data, &batches, |_, shard, workspace| {
        Ok(engine.features(&values, shard, workspace)?.into_owned())
    })?;
    let width = model.parameters().width();
    let mut of_examples: Vec<&[f32]> = vec![&[]; data.examples.len()];
    for (rows, values) in batches.iter().zip(&by_batch) {
        let mut rest = &values[..];
        for &row in rows {
            let size = data.examples.labels.predictions(row) * width;
            (of_examples[row], rest) = rest.split_at(size);
        }
    }
    let all: Vec<usize> = (0..data.examples.len()).collect();
    let values = of_examples.into_iter().flatten().copied();
    let features = Features::of_width(width, values, data.examples.labels.clone());
    Ok(features.with_weights(data.examples.weights_at(&all)))
}

/// The results of `work` for all batches, from their rows and shards.
fn for_batches<A: Arithmetic, T: Send>(
    engine: &Engine<'_, A>,
    data: Dataset<'_, A>,
    batches: &[Vec<usize>],
    work: impl Fn(&[usize], &Shard<'_, A>, &mut Workspace<A>) -> Result<T, ScoreError> + Sync,
) -> Result<Vec<T>, ScoreError> {
    for_all(batches, |rows: &Vec<usize>, workspace| {
        let models = engine.group().models();
        let shard = Shard::of_dataset(engine.backbone(), data, rows, models)?;
        work(rows, &shard, workspace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_accuracy_by_hand() {
        // The shares are 1/4 and 3/4, then 1/2 and 1/2.
        let logits = [0.0, 3.0_f64.ln(), 1.0, 1.0];
        let labels = Labels::Classes(vec![1, 1]);
        let result = Evaluation::of_logits(&logits, &labels, None);
        let (first, second) = ((4.0_f64 / 3.0).ln(), 2.0_f64.ln());
        assert!((result.loss - f64::midpoint(first, second)).abs() < 1e-12);
        assert_eq!(
            (result.measures.accuracy(), result.examples),
            (Some(0.5), 2)
        );
        // The first example counts like three.
        let weighted = Evaluation::of_logits(&logits, &labels, Some(&[1.5, 0.5]));
        assert!((weighted.loss - (3.0 * first + second) / 4.0).abs() < 1e-12);
        assert_eq!(weighted.measures, result.measures);
    }

    #[test]
    fn not_a_number_is_never_correct() {
        let labels = Labels::Classes(vec![0]);
        let result = Evaluation::of_logits(&[f64::NAN, 0.0], &labels, None);
        assert!(result.loss.is_nan());
        assert_eq!(result.measures.accuracy(), Some(0.0));
    }

    /// Files of earlier versions have no measures of classes, and other kinds of problems have their own.
    #[test]
    fn evaluations_in_files() {
        let read = |json: &str| serde_json::from_str::<Evaluation>(json);
        let old = read(r#"{"loss": 0.5, "accuracy": 0.75, "examples": 4, "by_class": null}"#);
        let old = old.unwrap();
        assert_eq!(old.measures, Measures::of_accuracy(0.75));
        let numbers = r#"{"loss":0.5,"examples":4,"numbers":{"pearson":0.5,"spearman":0.25,"r2":0.5,"root_mean_squared_error":2.0}}"#;
        let found = read(numbers).unwrap();
        assert_eq!(found.measures.headline(), 0.5);
        assert_eq!(serde_json::to_string(&found).unwrap(), numbers);
        for wrong in [
            r#"{"loss": 0.5, "examples": 4}"#,
            r#"{"loss": 0.5, "accuracy": 0.5, "examples": 4, "extra": 1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
