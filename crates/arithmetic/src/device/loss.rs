//! The losses of logits. The formulas are in [`crate::kernels`].

use candle_core::{D, Device, Tensor};

use crate::{Result, TargetValues, Targets};

/// The targets of the examples of a batch.
pub struct TensorTargets {
    values: Values,
    /// The weights, (examples, 1).
    weights: Option<Tensor>,
}

enum Values {
    /// The classes, (examples, 1).
    Classes(Tensor),
    /// The numbers, (examples, 1).
    Numbers(Tensor),
    /// The members, (examples, classes).
    Sets(Tensor),
}

impl TensorTargets {
    pub(super) fn new(targets: Targets, device: &Device) -> Result<Self> {
        let count = targets.len();
        let column = |values: Vec<f32>| Tensor::from_vec(values, (count, 1), device);
        let weights = targets.weights.map(column).transpose()?;
        let values = match targets.values {
            TargetValues::Classes(labels) => {
                Values::Classes(Tensor::from_vec(labels, (count, 1), device)?)
            }
            TargetValues::Numbers(numbers) => Values::Numbers(column(numbers)?),
            TargetValues::Sets { classes, members } => {
                Values::Sets(Tensor::from_vec(members, (count, classes), device)?)
            }
        };
        Ok(Self { values, weights })
    }

    /// The sum of the losses for each model, (models), and the gradient of `factor` times these sums with respect to the
    /// logits, (models x examples, outputs).
    pub(super) fn loss(
        &self,
        models: usize,
        factor: f32,
        logits: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let repeated = |of_one: &Tensor| match models {
            1 => Ok(of_one.clone()),
            _ => of_one.repeat((models, 1)),
        };
        let (mut losses, mut slopes) = match &self.values {
            Values::Classes(labels) => cross_entropy(&repeated(labels)?, logits)?,
            Values::Numbers(numbers) => {
                let differences = logits.sub(&repeated(numbers)?)?;
                (differences.sqr()?, (differences * 2.0)?)
            }
            Values::Sets(members) => binary_cross_entropy(&repeated(members)?, logits)?,
        };
        if let Some(weights) = &self.weights {
            let weights = repeated(weights)?;
            losses = losses.mul(&weights)?;
            slopes = slopes.broadcast_mul(&weights)?;
        }
        Ok((
            losses.reshape((models, ()))?.sum(1)?,
            (slopes * f64::from(factor))?,
        ))
    }
}

/// The loss of each example, (examples, 1), and its gradient, (examples, classes).
fn cross_entropy(labels: &Tensor, logits: &Tensor) -> Result<(Tensor, Tensor)> {
    let minus_one = Tensor::full(-1.0_f32, labels.shape(), labels.device())?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
    let shares = shifted.exp()?;
    let sums = shares.sum_keepdim(D::Minus1)?;
    let chosen = shifted.gather(labels, 1)?;
    let losses = (sums.log()? - chosen)?;
    let slopes = shares.broadcast_div(&sums)?;
    Ok((losses, slopes.scatter_add(labels, &minus_one, 1)?))
}

/// The loss of each example, (examples, 1), and its gradient, (examples, classes).
fn binary_cross_entropy(members: &Tensor, logits: &Tensor) -> Result<(Tensor, Tensor)> {
    let classes = members.dim(1)? as f64;
    let below_one = logits.abs()?.neg()?.exp()?;
    let losses = ((logits.relu()? - logits.mul(members)?)? + (&below_one + 1.0)?.log()?)?;
    // The logistic function is 1 / (1 + e) for logits above zero and e / (1 + e) for others, with e = exp(-|x|).
    let above = (&below_one + 1.0)?.recip()?;
    let shares = logits
        .ge(0.0)?
        .where_cond(&above, &above.mul(&below_one)?)?;
    let slopes = (shares.sub(members)? / classes)?;
    Ok(((losses.sum_keepdim(1)? / classes)?, slopes))
}
