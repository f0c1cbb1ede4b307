//! The linear probe: a linear model of the frozen model's pooled features.
//!
//! It minimises (1/n) sum_i L(y_i, W x_i + b) + (l2/2) |W|^2 over W and b, for each strength of [`STRENGTHS`]. With the
//! loss L of a classification this is multinomial logistic regression, with that of several labels one logistic
//! regression for each of them, both by L-BFGS, and with the squared error ridge regression. Here x are the features
//! minus their mean, divided by one number, their root mean square deviation, so a strength means the same on every
//! backbone. The strength with the lowest validation loss wins. From 200,000 logits on (predictions times classes),
//! the weights are fitted in the coordinates of [`Preconditioner`], and strengths are tried until the validation loss has
//! risen twice. The resulting head works on the raw features.

use std::cell::RefCell;

use adaplace_task::Labels;
use argmin::core::{CostFunction, Executor, Gradient, State, TerminationReason, TerminationStatus};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use serde::{Deserialize, Serialize};

use crate::linear_model::{MANY_LOGITS, dot, logits, loss_and_gradient};
use crate::preconditioner::Preconditioner;
use crate::ridge::Ridge;
use crate::{Evaluation, Head, ScoreError, row_loss};

/// The strengths l2 that are tried, the strongest first. Each fit starts from the previous one.
const STRENGTHS: [f64; 13] = [
    1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6,
];

/// The norm of the gradient below which the probe counts as fitted. The loss is then exact to about its square over l2.
const GRADIENT_TOLERANCE: f64 = 1e-5;
const MOST_ITERATIONS: u64 = 2000;

/// The norm of the gradient in the coordinates of [`Preconditioner`], where the loss is exact to about half its square.
const CONDITIONED_TOLERANCE: f64 = 1e-4;

/// The number of strengths in turn with a higher validation loss than the best one after which no weaker ones are tried with
/// many predictions. The loss falls to its minimum and rises again.
const WORSE_STRENGTHS: usize = 2;

/// The pooled features of some examples.
#[derive(Debug, Clone)]
pub struct Features {
    /// The features, (predictions, width), row-major.
    values: Vec<f64>,
    width: usize,
    labels: Labels,
    /// The labels of single predictions.
    of_predictions: Labels,
    weights: Option<Vec<f32>>,
}

/// The fitted probe, from which every training of a study starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearProbe {
    /// The weight W, (outputs, width), row-major: a row for each class, or a single one.
    pub weight: Vec<f32>,
    /// The bias b, (outputs).
    pub bias: Vec<f32>,
    /// The chosen strength of the regularisation.
    pub l2: f64,
    /// The evaluation on the examples to which the probe was fitted.
    pub train: Evaluation,
    /// The evaluation on the validation part.
    pub validation: Evaluation,
}

impl Features {
    /// The features in the order of their examples, all of the same width. There is a row for each prediction, and every one
    /// counts once.
    #[must_use]
    pub fn new(rows: Vec<Vec<f32>>, labels: impl Into<Labels>) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        Self::of_width(width, rows.into_iter().flatten(), labels.into())
    }

    /// The features of this width, row by row.
    pub(crate) fn of_width(
        width: usize,
        values: impl Iterator<Item = f32>,
        labels: Labels,
    ) -> Self {
        Self {
            width,
            values: values.map(f64::from).collect(),
            of_predictions: labels.of_predictions().into_owned(),
            labels,
            weights: None,
        }
    }

    /// The features with a factor of each prediction's loss.
    #[must_use]
    pub fn with_weights(self, weights: Option<Vec<f32>>) -> Self {
        Self { weights, ..self }
    }

    /// Refuses features that are not finite, because the optimiser would never return.
    fn check_finite(&self) -> Result<(), ScoreError> {
        let broken = self.values.iter().position(|value| !value.is_finite());
        broken.map_or(Ok(()), |index| {
            Err(ScoreError::Probe {
                reason: format!(
                    "the features of example {} are not finite",
                    index / self.width
                ),
            })
        })
    }

    fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.values.chunks_exact(self.width) {
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += value;
            }
        }
        let count = self.of_predictions.len() as f64;
        mean.iter_mut().for_each(|sum| *sum /= count);
        mean
    }

    /// The features shifted by -mean and divided by `deviation`.
    fn standardised(&self, mean: &[f64], deviation: f64) -> Self {
        let rows = self.values.chunks_exact(self.width);
        let values = rows
            .flat_map(|row| row.iter().zip(mean).map(|(x, mean)| (x - mean) / deviation))
            .collect();
        Self {
            values,
            width: self.width,
            labels: self.labels.clone(),
            of_predictions: self.of_predictions.clone(),
            weights: self.weights.clone(),
        }
    }

    /// The values, (examples, width), row-major.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The loss of an example with these logits times its weight. The logits are replaced by its gradient.
    pub(crate) fn loss(&self, example: usize, logits: &mut [f64]) -> f64 {
        let weight = self.weight(example);
        let loss = row_loss::loss(&self.of_predictions, example, logits);
        logits.iter_mut().for_each(|slope| *slope *= weight);
        weight * loss
    }

    fn weight(&self, example: usize) -> f64 {
        let weights = self.weights.as_ref();
        weights.map_or(1.0, |weights| f64::from(weights[example]))
    }

    fn total_weight(&self) -> f64 {
        let all = 0..self.of_predictions.len();
        all.map(|one| self.weight(one)).sum()
    }

    fn root_mean_square(&self) -> f64 {
        let squares: f64 = self.values.iter().map(|x| x * x).sum();
        (squares / self.values.len().max(1) as f64).sqrt()
    }

    fn evaluate(&self, parameters: &[f64]) -> Evaluation {
        let logits = logits(&self.values, self.width, parameters);
        Evaluation::of_logits(&logits, &self.labels, self.weights.as_deref())
    }
}

impl LinearProbe {
    /// Fits the probe on `train`, and chooses the strength on `validation`.
    ///
    /// # Errors
    /// If a feature is not finite, or if the optimiser fails.
    pub fn fit(
        train: &Features,
        validation: &Features,
        outputs: usize,
    ) -> Result<Self, ScoreError> {
        Self::best_of(&STRENGTHS, train, validation, outputs, MANY_LOGITS)
    }

    /// The probe of one strength, validated on its own training examples.
    #[cfg(test)]
    pub(crate) fn with_strength(train: &Features, l2: f64) -> Result<Self, ScoreError> {
        Self::best_of(&[l2], train, train, 1, usize::MAX)
    }

    fn best_of(
        strengths: &[f64],
        train: &Features,
        validation: &Features,
        outputs: usize,
        conditioned_from: usize,
    ) -> Result<Self, ScoreError> {
        train.check_finite()?;
        validation.check_finite()?;
        let mean = train.mean();
        let deviation = train.standardised(&mean, 1.0).root_mean_square();
        // If all examples are equal, nothing distinguishes them, whatever the scale.
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        let scaled = train.standardised(&mean, deviation);
        let scaled_validation = validation.standardised(&mean, deviation);

        let ridge = match &train.labels {
            Labels::Numbers { numbers, scale } => {
                let numbers: Vec<f64> = numbers.iter().map(|&x| scale.standardise(x)).collect();
                Some(Ridge::new(&scaled.values, train.width, &numbers)?)
            }
            _ => None,
        };
        let preconditioner = match &train.of_predictions {
            Labels::Classes(classes) if classes.len() * outputs >= conditioned_from => {
                let shares = shares(classes, outputs);
                Some(Preconditioner::new(&scaled.values, train.width, &shares)?)
            }
            _ => None,
        };
        let mut parameters = vec![0.0; outputs * (train.width + 1)];
        let mut best: Option<(Evaluation, f64, Vec<f64>)> = None;
        let mut worse = 0;
        for &l2 in strengths {
            parameters = match &ridge {
                Some(ridge) => ridge.solution(l2),
                None => Objective {
                    features: &scaled,
                    outputs,
                    l2,
                    preconditioner: preconditioner.as_ref(),
                    last: RefCell::new(None),
                }
                .minimum(parameters)?,
            };
            let validation = scaled_validation.evaluate(&parameters);
            let headline = validation.measures.headline();
            tracing::debug!(l2, validation.loss, headline, "linear probe");
            if best
                .as_ref()
                .is_none_or(|(before, ..)| validation.loss < before.loss)
            {
                best = Some((validation, l2, parameters.clone()));
                worse = 0;
            } else {
                worse += 1;
                if preconditioner.is_some() && worse == WORSE_STRENGTHS {
                    break;
                }
            }
        }
        let (validation, l2, parameters) = best.ok_or_else(|| ScoreError::Probe {
            reason: "no strength was tried".to_owned(),
        })?;
        let (weight, bias) = parameters.split_at(outputs * train.width);
        // W (x - mean) / deviation + b = (W / deviation) x + (b - (W / deviation) mean)
        let weight: Vec<f64> = weight.iter().map(|weight| weight / deviation).collect();
        let bias = bias
            .iter()
            .zip(weight.chunks_exact(train.width))
            .map(|(bias, weight)| (bias - dot(weight, &mean)) as f32)
            .collect();
        Ok(Self {
            bias,
            weight: weight.into_iter().map(|weight| weight as f32).collect(),
            l2,
            train: scaled.evaluate(&parameters),
            validation,
        })
    }

    /// The model as it is: for language modelling nothing is fitted, because the model has a head of its own.
    #[must_use]
    pub fn of_frozen(train: Evaluation, validation: Evaluation) -> Self {
        Self {
            weight: Vec::new(),
            bias: Vec::new(),
            l2: 0.0,
            train,
            validation,
        }
    }

    /// The probe as a head.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
        }
    }
}

/// The share of each class.
fn shares(classes: &[u32], outputs: usize) -> Vec<f64> {
    let mut shares = vec![0.0; outputs];
    for &class in classes {
        shares[class as usize] += 1.0 / classes.len() as f64;
    }
    shares
}

/// The regularised loss of some features, at parameters that the preconditioner may have changed. argmin asks for cost and
/// gradient at the same point, one after the other.
struct Objective<'a> {
    features: &'a Features,
    outputs: usize,
    l2: f64,
    preconditioner: Option<&'a Preconditioner>,
    last: RefCell<Option<Point>>,
}

struct Point {
    parameters: Vec<f64>,
    cost: f64,
    gradient: Vec<f64>,
}

impl Objective<'_> {
    fn at(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        if let Some(last) = &*self.last.borrow()
            && last.parameters == parameters
        {
            return (last.cost, last.gradient.clone());
        }
        let (cost, gradient) = self.compute(parameters);
        *self.last.borrow_mut() = Some(Point {
            parameters: parameters.to_vec(),
            cost,
            gradient: gradient.clone(),
        });
        (cost, gradient)
    }

    fn compute(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        match self.preconditioner {
            None => self.compute_plain(parameters),
            Some(one) => {
                let (loss, gradient) = self.compute_plain(&one.plain(self.l2, parameters));
                (loss, one.plain(self.l2, &gradient))
            }
        }
    }

    fn compute_plain(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let weights = self.outputs * self.features.width;
        let (mut loss, mut gradient) = loss_and_gradient(self.features, parameters);
        let count = self.features.total_weight();
        loss /= count;
        for (index, slope) in gradient.iter_mut().enumerate() {
            *slope /= count;
            if index < weights {
                *slope += self.l2 * parameters[index];
                loss += 0.5 * self.l2 * parameters[index] * parameters[index];
            }
        }
        (loss, gradient)
    }
}

impl Objective<'_> {
    /// The parameters with the smallest loss, found from `start`.
    fn minimum(self, start: Vec<f64>) -> Result<Vec<f64>, ScoreError> {
        let failed = |error: argmin::core::Error| ScoreError::Probe {
            reason: error.to_string(),
        };
        let (l2, preconditioner) = (self.l2, self.preconditioner);
        let start = match preconditioner {
            Some(one) => one.changed(l2, &start),
            None => start,
        };
        let tolerance = match preconditioner {
            Some(_) => CONDITIONED_TOLERANCE,
            None => GRADIENT_TOLERANCE,
        };
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), 10)
            .with_tolerance_grad(tolerance)
            .map_err(failed)?
            .with_tolerance_cost(0.0)
            .map_err(failed)?;
        let result = Executor::new(self, solver)
            .configure(|state| state.param(start.clone()).max_iters(MOST_ITERATIONS))
            .ctrlc(false)
            .run()
            .map_err(failed)?;
        let state = result.state();
        if let TerminationStatus::Terminated(TerminationReason::MaxItersReached) =
            state.get_termination_status()
        {
            tracing::warn!(l2, "the linear probe stopped before it converged");
        }
        tracing::debug!(l2, iterations = state.get_iter(), "linear probe");
        let found = state.get_best_param().cloned().unwrap_or(start);
        Ok(match preconditioner {
            Some(one) => one.plain(l2, &found),
            None => found,
        })
    }
}

impl CostFunction for Objective<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, parameters: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        Ok(self.at(parameters).0)
    }
}

impl Gradient for Objective<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, parameters: &Vec<f64>) -> Result<Vec<f64>, argmin::core::Error> {
        Ok(self.at(parameters).1)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The minimum does not depend on the coordinates. The features have scales from 1 to 100.
    #[test]
    fn a_preconditioned_probe_is_the_same() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut rows = Vec::new();
        let mut labels = Vec::new();
        for _ in 0..400 {
            let row: Vec<f32> = (0..6)
                .map(|column| random.random_range(-1.0..1.0_f32) * 2.5_f32.powi(column))
                .collect();
            let score = 2.0 * row[0] + row[3] / 16.0 + random.random_range(-0.5..0.5_f32);
            labels.push(if score > 0.5 {
                0
            } else {
                1 + u32::from(row[1] > 0.0)
            });
            rows.push(row);
        }
        let features = Features::new(rows, labels);
        let fit = |from| LinearProbe::best_of(&[0.01], &features, &features, 3, from).unwrap();
        let (plain, preconditioned) = (fit(usize::MAX), fit(0));
        assert!((plain.train.loss - preconditioned.train.loss).abs() < 1e-4);
        for (x, y) in plain.weight.iter().zip(&preconditioned.weight) {
            assert!((x - y).abs() < 1e-2 * (1.0 + x.abs()), "{x} and {y}");
        }
        assert_eq!(plain.train.measures, preconditioned.train.measures);
    }
}
