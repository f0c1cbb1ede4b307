//! The learned scale per channel of Adapter+ (Steitz and Roth 2024, "Adapters Strike Back", arXiv 2406.06820).

use adaplace_arithmetic::{Arithmetic, Cpu, OptimiserPlan};

use crate::parameters::{Layout, PlacedAdapter};
use crate::{Parameters, ScoreError, TrainingSettings};

/// The training of a model with a learned scale, on the processor.
pub(super) struct ScaledUpdate {
    pub(super) layout: Layout,
    pub(super) scale: LearnedScale,
    optimiser: <Cpu as Arithmetic>::Optimiser,
    /// The values that the engine computes with.
    values: Vec<f32>,
    /// The gradients with respect to what is trained instead.
    gradients: Vec<f32>,
}

impl ScaledUpdate {
    /// Starts with scales of one.
    pub(super) fn new(
        parameters: &Parameters,
        settings: &TrainingSettings,
    ) -> Result<Self, ScoreError> {
        let (layout, values) = (parameters.layout().clone(), parameters.values().to_vec());
        let adapter_rate = settings.adapter_learning_rate.get();
        let scales = LearnedScale::count(&layout);
        let trained = layout.len() + scales;
        let optimiser = Cpu::default().optimiser(OptimiserPlan {
            rates: vec![
                (adapter_rate, layout.head.begin),
                (settings.head_learning_rate.get(), layout.head.size()),
                (adapter_rate, scales),
            ],
            models: vec![std::iter::once(0..trained).collect()],
            weight_decay: settings.weight_decay.get(),
            clip: settings.gradient_clip.get(),
        })?;
        Ok(Self {
            scale: LearnedScale::new(&layout, &values),
            gradients: vec![0.0; trained],
            optimiser,
            values,
            layout,
        })
    }

    /// The values that the engine computes with.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Makes one step along the gradients with respect to the engine's values, and returns the norm of those with respect
    /// to what is trained.
    pub(super) fn step(&mut self, factor: f64, gradients: &[f32]) -> Result<f64, ScoreError> {
        self.gradients[..gradients.len()].copy_from_slice(gradients);
        self.scale.pull_back(&self.layout, &mut self.gradients);
        let trained = &mut self.scale.trained;
        let cpu = Cpu::default();
        let norms = cpu.optimise(&mut self.optimiser, factor, trained, &mut self.gradients)?;
        self.scale.merge(&self.layout, &mut self.values);
        Ok(norms.into_iter().next().unwrap_or_default())
    }
}

/// A learned scale: each adapter's output is multiplied by a trained vector s of the model's width, which starts as
/// ones.
///
/// diag(s) W_up and s b_up have the form of W_up and b_up. The engine computes with these products, and s remains part
/// of them when the training ends. The scale affects only the course of the training, in which W_up and s are learned
/// separately.
pub(super) struct LearnedScale {
    /// The values of a [`Layout`] in which every W_up and b_up is the one before scaling, followed by the scales s of
    /// all adapters.
    trained: Vec<f32>,
}

impl LearnedScale {
    /// Starts with ones, for values in `layout`.
    pub(super) fn new(layout: &Layout, values: &[f32]) -> Self {
        let mut trained = values.to_vec();
        trained.resize(values.len() + Self::count(layout), 1.0);
        Self { trained }
    }

    /// The number of scales of all adapters together.
    pub(super) fn count(layout: &Layout) -> usize {
        layout.adapters.len() * layout.head.width
    }

    /// The values that the optimiser changes.
    #[cfg(test)]
    pub(super) fn trained(&mut self) -> &mut [f32] {
        &mut self.trained
    }

    /// Converts gradients with respect to the engine's values into those with respect to the trained ones. The latter
    /// are longer, so there must be room for those of the scales at the end.
    ///
    /// With W = diag(s) U and the gradient G with respect to W, the gradient with respect to U is diag(s) G, and that
    /// with respect to s_c the dot product of the rows U_c and G_c. b_up is treated as one more column.
    pub(super) fn pull_back(&self, layout: &Layout, gradients: &mut [f32]) {
        let (values, scales) = self.trained.split_at(layout.len());
        let (towards_values, towards_scales) = gradients.split_at_mut(layout.len());
        let scales = scales.chunks_exact(layout.head.width);
        let towards_scales = towards_scales.chunks_exact_mut(layout.head.width);
        let adapters = layout.adapters.iter().zip(scales).zip(towards_scales);
        for ((PlacedAdapter { place, .. }, scale), towards_scale) in adapters {
            let (own, towards) = (place.of(values), place.of_mut(towards_values));
            towards_scale.fill(0.0);
            let rows = own.up_weight.chunks_exact(layout.head.width);
            let rows = rows.chain([own.up_bias]);
            let towards_rows = towards.up_weight.chunks_exact_mut(layout.head.width);
            let towards_rows = towards_rows.chain([towards.up_bias]);
            for (row, towards_row) in rows.zip(towards_rows) {
                let channels = row.iter().zip(scale);
                let towards = towards_row.iter_mut().zip(&mut *towards_scale);
                for ((&value, &scale), (gradient, towards_scale)) in channels.zip(towards) {
                    *towards_scale += value * *gradient;
                    *gradient *= scale;
                }
            }
        }
    }

    /// Writes the values with which the engine computes.
    pub(super) fn merge(&self, layout: &Layout, values: &mut [f32]) {
        let (own, scales) = self.trained.split_at(layout.len());
        values.copy_from_slice(own);
        let scales = scales.chunks_exact(layout.head.width);
        for (PlacedAdapter { place, .. }, scale) in layout.adapters.iter().zip(scales) {
            let merged = place.of_mut(values);
            let rows = merged.up_weight.chunks_exact_mut(layout.head.width);
            for row in rows.chain([merged.up_bias]) {
                row.iter_mut().zip(scale).for_each(|(w, s)| *w *= s);
            }
        }
    }
}
