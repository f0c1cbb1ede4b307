//! The course of a training: the losses of its steps, and what went wrong.

use adaplace_arithmetic::Arithmetic;

use crate::ScoreError;
use crate::error::finite;

/// The losses of several models that are trained side by side. A device may still compute the latest ones.
pub(super) struct Course<A: Arithmetic> {
    pending: Vec<Pending<A>>,
    /// The mean loss of each step so far, for each model.
    losses: Vec<Vec<f64>>,
    /// The first error of each model.
    errors: Vec<Option<ScoreError>>,
}

/// Numbers in the order in which they are checked.
enum Pending<A: Arithmetic> {
    /// The sums of the losses of each shard of a step, and the weight of its examples.
    Losses(Vec<A::Numbers>, f64),
    /// The norms of the gradients of the step whose losses come before.
    Norms(Norms<A>),
}

/// The norm of each model's gradients.
pub(super) enum Norms<A: Arithmetic> {
    /// The arithmetic knows them.
    Computed(A::Numbers),
    /// They are known already.
    Known(Vec<f64>),
}

impl<A: Arithmetic> Course<A> {
    pub(super) fn new(models: usize) -> Self {
        Self {
            pending: Vec::new(),
            losses: vec![Vec::new(); models],
            errors: std::iter::repeat_with(|| None).take(models).collect(),
        }
    }

    /// Adds the losses of a step, the sums of each shard over examples that weigh `total` together.
    pub(super) fn add_losses(&mut self, sums: Vec<A::Numbers>, total: f64) {
        self.pending.push(Pending::Losses(sums, total));
    }

    /// Adds the norms of the gradients of the last step.
    pub(super) fn add_norms(&mut self, norms: Norms<A>) {
        self.pending.push(Pending::Norms(norms));
    }

    /// Keeps an error, unless the model has an earlier one.
    pub(super) fn fail(&mut self, model: usize, error: ScoreError) {
        self.errors[model].get_or_insert(error);
    }

    /// Whether no model is left.
    pub(super) fn is_over(&self) -> bool {
        self.errors.iter().all(Option::is_some)
    }

    /// Waits for all numbers. A model with one that is not finite has diverged.
    pub(super) fn settle(&mut self, arithmetic: &A) -> Result<(), ScoreError> {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Losses(sums, total) => {
                    let of_shards = arithmetic.numbers(&sums)?;
                    let models = 0..self.losses.len();
                    let losses = models.map(|model| {
                        let sum: f64 = of_shards.iter().map(|losses| losses[model]).sum();
                        sum / total
                    });
                    let losses: Vec<f64> = losses.collect();
                    self.check("training loss", self.losses[0].len(), &losses);
                    for (course, loss) in self.losses.iter_mut().zip(losses) {
                        course.push(loss);
                    }
                }
                Pending::Norms(norms) => {
                    let norms = match norms {
                        Norms::Known(norms) => norms,
                        Norms::Computed(norms) => {
                            arithmetic.numbers(&[norms])?.pop().unwrap_or_default()
                        }
                    };
                    self.check("gradient's norm", self.losses[0].len() - 1, &norms);
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, quantity: &'static str, step: usize, numbers: &[f64]) {
        for (model, &number) in numbers.iter().enumerate() {
            if let Err(error) = finite(step as u32, quantity, number) {
                self.fail(model, error);
            }
        }
    }

    /// The mean loss of each model over the last `epoch` steps, or its error.
    pub(super) fn into_outcomes(self, epoch: usize) -> Vec<Result<f64, ScoreError>> {
        let outcomes = self.losses.into_iter().zip(self.errors);
        let outcome = |(losses, error): (Vec<f64>, Option<ScoreError>)| match error {
            Some(error) => Err(error),
            None => {
                let last = &losses[losses.len().saturating_sub(epoch)..];
                Ok(last.iter().sum::<f64>() / last.len() as f64)
            }
        };
        outcomes.map(outcome).collect()
    }
}
