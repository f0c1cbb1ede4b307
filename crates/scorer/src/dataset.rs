use adaplace_backbone::{Backbone, Inputs};
use adaplace_task::Examples;
use candle_core::{Device, Tensor};

use crate::evaluation::inputs;
use crate::frozen::Frozen;
use crate::{ScoreError, StateCache};

/// Examples to train or evaluate on, with the frozen states where they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Dataset<'a> {
    /// The examples.
    pub examples: &'a Examples,
    /// Their frozen states; without them every batch starts at the embedding.
    pub cache: Option<&'a StateCache>,
}

impl<'a> From<&'a Examples> for Dataset<'a> {
    fn from(examples: &'a Examples) -> Self {
        Self {
            examples,
            cache: None,
        }
    }
}

impl Dataset<'_> {
    /// Calls `work` with the frozen states and the labels (u32, one for each row) of the examples at `rows`.
    pub(crate) fn with_batch<T>(
        &self,
        backbone: &Backbone,
        rows: &[usize],
        work: impl FnOnce(&Frozen<'_>, &Tensor) -> Result<T, ScoreError>,
    ) -> Result<T, ScoreError> {
        let labels: Vec<u32> = rows.iter().map(|&row| self.examples.labels[row]).collect();
        let labels = Tensor::from_vec(labels, rows.len(), &Device::Cpu)?;
        if let Some(cache) = self.cache {
            return work(&Frozen::cached(backbone, cache, rows), &labels);
        }
        let inputs: Inputs = inputs(&self.examples.batch(rows))?;
        work(&Frozen::computed(backbone, &inputs), &labels)
    }
}
