//! AdamW over the values of several models. The formulas are in [`crate::kernels`].

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::compound::{AdamWStep, Compound};
use super::rows::indices;
use crate::{OptimiserPlan, Result};

/// AdamW on gradients that are shortened before.
pub struct TensorAdamW {
    plan: OptimiserPlan,
    steps: i32,
    moments: Moments,
    /// The highest learning rate of each value, (1, values).
    rates: Tensor,
    models: Models,
}

/// The running means of the gradients and of their squares, (1, values).
pub(super) struct Moments {
    pub(super) means: Tensor,
    pub(super) squares: Tensor,
}

/// The way from the values to their models and back.
pub(super) struct Models {
    /// The model of each value, (values).
    pub(super) of_value: Tensor,
    /// The values of each model, (models x most values). The places of a model with fewer values name one behind the
    /// last value.
    pub(super) values: Tensor,
    /// The number of models.
    pub(super) count: usize,
}

impl Models {
    pub(super) fn new(plan: &OptimiserPlan, values: usize, device: &Device) -> Result<Self> {
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
}

impl TensorAdamW {
    pub(super) fn new(plan: OptimiserPlan, device: &Device) -> Result<Self> {
        let rates = plan.rates.iter();
        let rates: Vec<f32> = rates
            .flat_map(|&(rate, count)| std::iter::repeat_n(rate as f32, count))
            .collect();
        let shape = (1, rates.len());
        let zeros = || Tensor::zeros(shape, DType::F32, device);
        Ok(Self {
            steps: 0,
            moments: Moments {
                means: zeros()?,
                squares: zeros()?,
            },
            models: Models::new(&plan, rates.len(), device)?,
            rates: Tensor::from_vec(rates, shape, device)?,
            plan,
        })
    }

    /// The values after one step at `factor` times the highest rates, and the norm of each model's gradients, (models).
    pub(super) fn step(
        &mut self,
        compound: &dyn Compound,
        factor: f64,
        values: &Tensor,
        gradients: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        self.steps += 1;
        let norms = compound.norms_of_models(gradients, &self.models)?;
        let step = AdamWStep {
            number: self.steps,
            factor,
            rates: &self.rates,
            weight_decay: self.plan.weight_decay,
            clip: self.plan.clip,
            models: &self.models,
            norms: &norms,
        };
        let values = compound.adamw(&step, values, gradients, &mut self.moments)?;
        Ok((values, norms))
    }
}
