//! The loss, and AdamW over the values of several models. The formulas are in [`crate::kernels`].

use std::ops::Range;

use candle_core::{D, DType, Device, Tensor};

use super::rows::indices;
use crate::kernels::adamw::{EPSILON, MEAN_DECAY, SQUARE_DECAY};
use crate::{OptimiserPlan, Result};

/// The classes of the examples of a batch.
pub struct Labels {
    /// The classes, (examples, 1).
    classes: Tensor,
    /// Minus one for each, (examples, 1).
    minus_one: Tensor,
}

impl Labels {
    pub(super) fn new(labels: Vec<u32>, device: &Device) -> Result<Self> {
        let shape = (labels.len(), 1);
        Ok(Self {
            minus_one: Tensor::full(-1.0_f32, shape, device)?,
            classes: Tensor::from_vec(labels, shape, device)?,
        })
    }

    /// The sum of the cross-entropies of each model, (models), and the gradient of `factor` times these sums with
    /// respect to the logits, (models x examples, classes).
    pub(super) fn loss(
        &self,
        models: usize,
        factor: f32,
        logits: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (classes, minus_one) = match models {
            1 => (self.classes.clone(), self.minus_one.clone()),
            _ => (
                self.classes.repeat((models, 1))?,
                self.minus_one.repeat((models, 1))?,
            ),
        };
        let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
        let shares = shifted.exp()?;
        let sums = shares.sum_keepdim(D::Minus1)?;
        let chosen = shifted.gather(&classes, 1)?;
        let losses = (sums.log()? - chosen)?;
        let slopes = shares.broadcast_div(&sums)?;
        let slopes = slopes.scatter_add(&classes, &minus_one, 1)?;
        Ok((
            losses.reshape((models, ()))?.sum(1)?,
            (slopes * f64::from(factor))?,
        ))
    }
}

/// AdamW on gradients that are shortened before.
pub struct TensorAdamW {
    plan: OptimiserPlan,
    steps: i32,
    means: Tensor,
    squares: Tensor,
    /// The highest learning rate of each value, (1, values).
    rates: Tensor,
    /// The way from values to models, if there are several.
    models: Option<Models>,
}

/// The way from the values to their models and back.
struct Models {
    /// The model of each value, (values).
    of_value: Tensor,
    /// The values of each model, (models x most values). The places of a model with fewer values name one behind the
    /// last value.
    values: Tensor,
    count: usize,
}

impl Models {
    fn new(plan: &OptimiserPlan, values: usize, device: &Device) -> Result<Self> {
        let own = |ranges: &Vec<Range<usize>>| -> Vec<usize> {
            ranges.iter().flat_map(Clone::clone).collect()
        };
        let each: Vec<Vec<usize>> = plan.models.iter().map(own).collect();
        let most = each.iter().map(Vec::len).max().unwrap_or(0);
        let mut of_value = vec![0; values];
        let mut table = vec![values as u32; each.len() * most];
        for (model, own) in each.iter().enumerate() {
            for (place, &value) in own.iter().enumerate() {
                of_value[value] = model as u32;
                table[model * most + place] = value as u32;
            }
        }
        Ok(Self {
            of_value: indices(of_value.into_iter(), device)?,
            values: indices(table.into_iter(), device)?,
            count: each.len(),
        })
    }

    /// The sum of each model's values, (models).
    fn sums(&self, of: &Tensor) -> Result<Tensor> {
        let zero = Tensor::zeros(1, DType::F32, of.device())?;
        let all = Tensor::cat(&[of.flatten_all()?, zero], 0)?;
        let table = all.index_select(&self.values, 0)?;
        Ok(table.reshape((self.count, ()))?.sum(1)?)
    }
}

impl TensorAdamW {
    pub(super) fn new(plan: OptimiserPlan, device: &Device) -> Result<Self> {
        let rates = plan.rates.iter();
        let rates: Vec<f32> = rates
            .flat_map(|&(rate, count)| std::iter::repeat_n(rate as f32, count))
            .collect();
        let shape = (1, rates.len());
        let models = match plan.models.len() {
            1 => None,
            _ => Some(Models::new(&plan, rates.len(), device)?),
        };
        Ok(Self {
            plan,
            steps: 0,
            means: Tensor::zeros(shape, DType::F32, device)?,
            squares: Tensor::zeros(shape, DType::F32, device)?,
            rates: Tensor::from_vec(rates, shape, device)?,
            models,
        })
    }

    /// The values after one step at `factor` times the highest rates, and the norm of each model's gradients, (models).
    pub(super) fn step(
        &mut self,
        factor: f64,
        values: &Tensor,
        gradients: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        self.steps += 1;
        let squares = gradients.sqr()?;
        let norms = match &self.models {
            None => squares.sum(1)?,
            Some(models) => models.sums(&squares)?,
        };
        let norms = norms.sqrt()?;
        let shares = (norms.recip()? * self.plan.clip)?.minimum(1.0)?;
        let shares = match &self.models {
            None => shares,
            Some(models) => shares.index_select(&models.of_value, 0)?,
        };
        let gradients = gradients.broadcast_mul(&shares.unsqueeze(0)?)?;
        let moved = |moments: &Tensor, decay: f64, towards: &Tensor| -> Result<Tensor> {
            Ok(((moments * decay)? + (towards * (1.0 - decay))?)?)
        };
        self.means = moved(&self.means, MEAN_DECAY, &gradients)?;
        self.squares = moved(&self.squares, SQUARE_DECAY, &gradients.sqr()?)?;
        let mean_scale = 1.0 / (1.0 - MEAN_DECAY.powi(self.steps));
        let square_scale = 1.0 / (1.0 - SQUARE_DECAY.powi(self.steps));
        let deviation = ((&self.squares * square_scale)?.sqrt()? + f64::from(EPSILON))?;
        let update = ((&self.means * mean_scale)? / deviation)?;
        let rates = (&self.rates * factor)?;
        let kept = rates.affine(-self.plan.weight_decay, 1.0)?;
        Ok((((values * kept)? - (rates * update)?)?, norms))
    }
}
