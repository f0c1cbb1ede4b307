use adaplace_arithmetic::Arithmetic;
use adaplace_task::{Examples, training_epoch};
use course::Course;
use rand_chacha::ChaCha8Rng;
use trainer::Trainer;

use crate::{Dataset, Model, Parameters, ScoreError, TrainingSettings, seeds};

/// The result of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The trained values.
    pub parameters: Parameters,
    /// The mean loss of the batches of the last epoch, or of all batches if there was less than one epoch.
    pub train_loss: f64,
}

/// Trains the adapters and the head of `model` for `steps` steps of [`AdamW`](adaplace_arithmetic::AdamW), and returns what
/// it trained.
///
/// The order of the examples follows from `seed` and `repetition` alone.
///
/// # Errors
/// [`ScoreError::Diverged`] if the loss or the gradient is not finite, [`ScoreError::NoGradient`] if an adapter has no
/// influence on the loss, [`ScoreError::FeaturesSayNothing`] if that is because the head is zero.
pub fn fine_tune<'a, A: Arithmetic>(
    model: &Model<'_, A>,
    data: impl Into<Dataset<'a, A>>,
    settings: &TrainingSettings,
    steps: u32,
    seed: u64,
    repetition: u32,
) -> Result<Trained, ScoreError> {
    let trained = fine_tune_together(&[model], data, settings, steps, seed, repetition)?;
    let mut trained = trained.into_iter();
    trained.next().expect("one model was trained")
}

/// Trains several models of the same backbone side by side. The results are those of [`fine_tune`] for each of them, up to
/// rounding. A model that diverges does not disturb the others.
///
/// # Errors
/// If the arithmetic fails, for example for lack of memory, or [`ScoreError::OtherHead`]. The errors of [`fine_tune`] are those of each model.
///
/// # Panics
/// If there are no models, or if several are to be trained with a learned scale.
pub fn fine_tune_together<'a, A: Arithmetic>(
    models: &[&Model<'_, A>],
    data: impl Into<Dataset<'a, A>>,
    settings: &TrainingSettings,
    steps: u32,
    seed: u64,
    repetition: u32,
) -> Result<Vec<Result<Trained, ScoreError>>, ScoreError> {
    let data = data.into();
    for model in models {
        model.check_labels(&data.examples.labels)?;
    }
    let lengths = data.examples.lengths();
    let batches = training_batches(lengths, settings.batch_size.get(), steps, seed, repetition);
    let epoch = data.examples.len().div_ceil(settings.batch_size.get());
    let mut trainer = Trainer::new(models, settings)?;
    let mut course = Course::new(models.len());
    for (step, rows) in (0..steps).zip(&batches) {
        let factor = settings.learning_rate_factor(step, steps);
        trainer.step(data, rows, (step == 0, factor), &mut course)?;
        // A device is not waited for within an epoch.
        if A::ON_PROCESSOR || (step as usize + 1).is_multiple_of(epoch) {
            course.settle(trainer.arithmetic())?;
        }
        if course.is_over() {
            break;
        }
    }
    course.settle(trainer.arithmetic())?;
    let values = trainer.into_values()?.into_iter();
    let outcomes = course.into_outcomes(epoch).into_iter();
    let outcomes = outcomes.zip(values).zip(models);
    Ok(outcomes
        .map(|((outcome, values), model)| match outcome {
            Ok(train_loss) => Ok(Trained {
                parameters: model.parameters().with_values(values),
                train_loss,
            }),
            Err(error) => Err(explained(error, model, data.examples)),
        })
        .collect())
}

/// Explains a missing gradient by a head of zeros, which does not pass gradients on to the adapters.
fn explained<A: Arithmetic>(
    error: ScoreError,
    model: &Model<'_, A>,
    examples: &Examples,
) -> ScoreError {
    let weight = model.parameters().head().weight;
    let zero = !weight.is_empty() && weight.iter().all(|&w| w == 0.0);
    match error {
        ScoreError::NoGradient { .. } if zero => {
            let lengths = examples.lengths();
            let longest = lengths.iter().copied().max().unwrap_or(0);
            ScoreError::FeaturesSayNothing {
                examples: examples.len(),
                distinct: examples.distinct(),
                longest,
                at_longest: lengths.iter().filter(|&&one| one == longest).count(),
            }
        }
        error => error,
    }
}

/// The batches that [`fine_tune`] sees, one for each step, as indices into examples of these `lengths`.
#[must_use]
pub fn training_batches(
    lengths: Vec<usize>,
    batch_size: usize,
    steps: u32,
    seed: u64,
    repetition: u32,
) -> Vec<Vec<usize>> {
    let mut order = ExampleOrder::new(lengths, batch_size, seed, repetition);
    (0..steps).map(|_| order.next_batch()).collect()
}

/// Shuffled batches, epoch after epoch.
struct ExampleOrder {
    lengths: Vec<usize>,
    batch_size: usize,
    generator: ChaCha8Rng,
    epoch: std::vec::IntoIter<Vec<usize>>,
}

impl ExampleOrder {
    /// The order of examples with these lengths.
    fn new(lengths: Vec<usize>, batch_size: usize, seed: u64, repetition: u32) -> Self {
        Self {
            lengths,
            batch_size,
            generator: seeds::example_order(seed, repetition),
            epoch: Vec::new().into_iter(),
        }
    }

    /// The indices of the examples in the next batch.
    fn next_batch(&mut self) -> Vec<usize> {
        self.epoch.next().unwrap_or_else(|| {
            let epoch = training_epoch(&self.lengths, self.batch_size, &mut self.generator);
            self.epoch = epoch.into_iter();
            self.epoch.next().unwrap_or_default()
        })
    }
}

mod course;
mod learned_scale;
#[cfg(test)]
mod tests;
mod trainer;
