//! The trained values of a model in one vector, so that the optimiser and sums of gradients are plain loops.

use adaplace_search_space::Connection;
use candle_core::{Device, Tensor, Var};

use crate::{Adapter, Model, ScoreError};

/// The positions of the values of adapters and head: for each adapter W_down (rank, width), b_down, W_up^T (rank,
/// width) and b_up, and after all of them the head's W (classes, width) and b.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) adapters: Vec<AdapterPlace>,
    pub(crate) width: usize,
    pub(crate) classes: usize,
    /// The position of the head.
    pub(crate) head: usize,
}

/// One adapter of a layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdapterPlace {
    pub(crate) connection: Connection,
    rank: usize,
    scale: f32,
    begin: usize,
}

/// The values of one adapter, or the gradients with respect to them.
pub(crate) struct AdapterValues<T> {
    pub(crate) down_weight: T,
    pub(crate) down_bias: T,
    /// The transposed matrix W_up^T, (rank, width).
    pub(crate) up_weight: T,
    pub(crate) up_bias: T,
    pub(crate) scale: f32,
}

impl Layout {
    pub(crate) fn of(model: &Model<'_>) -> Self {
        let width = model.backbone().description().width;
        let mut begin = 0;
        let adapters = model.adapters().iter().map(|adapter| {
            let place = AdapterPlace {
                connection: adapter.connection,
                rank: usize::from(adapter.spec.rank),
                scale: adapter.spec.scale,
                begin,
            };
            begin += place.len(width);
            place
        });
        let adapters = adapters.collect();
        Self {
            adapters,
            width,
            classes: model.head().bias.elem_count(),
            head: begin,
        }
    }

    /// The number of trained values.
    pub(crate) fn len(&self) -> usize {
        self.head + self.classes * (self.width + 1)
    }

    /// The values of the adapter at `place`.
    pub(crate) fn adapter<'a>(
        &self,
        place: &AdapterPlace,
        values: &'a [f32],
    ) -> AdapterValues<&'a [f32]> {
        let weight = place.rank * self.width;
        let (down_weight, rest) = values[place.begin..].split_at(weight);
        let (down_bias, rest) = rest.split_at(place.rank);
        let (up_weight, rest) = rest.split_at(weight);
        AdapterValues {
            down_weight,
            down_bias,
            up_weight,
            up_bias: &rest[..self.width],
            scale: place.scale,
        }
    }

    /// The mutable values of the adapter at `place`.
    pub(crate) fn adapter_mut<'a>(
        &self,
        place: &AdapterPlace,
        values: &'a mut [f32],
    ) -> AdapterValues<&'a mut [f32]> {
        let weight = place.rank * self.width;
        let (down_weight, rest) = values[place.begin..].split_at_mut(weight);
        let (down_bias, rest) = rest.split_at_mut(place.rank);
        let (up_weight, rest) = rest.split_at_mut(weight);
        AdapterValues {
            down_weight,
            down_bias,
            up_weight,
            up_bias: &mut rest[..self.width],
            scale: place.scale,
        }
    }

    /// Reads the values of `model`.
    pub(crate) fn read(&self, model: &Model<'_>) -> Result<Vec<f32>, ScoreError> {
        let mut values = Vec::with_capacity(self.len());
        for adapter in model.adapters().iter() {
            for (var, transposed) in vars(adapter) {
                let tensor = if transposed {
                    var.t()?
                } else {
                    var.as_tensor().clone()
                };
                values.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        for var in [&model.head().weight, &model.head().bias] {
            values.extend(var.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(values)
    }

    /// Writes `values` to `model`.
    pub(crate) fn write(&self, values: &[f32], model: &Model<'_>) -> Result<(), ScoreError> {
        let tensors = self.tensors(values, model)?;
        let adapters = model.adapters().iter().flat_map(Adapter::vars);
        let head = [&model.head().weight, &model.head().bias];
        for (var, tensor) in adapters.chain(head).zip(&tensors) {
            var.set(tensor)?;
        }
        Ok(())
    }

    /// The `values`, or gradients with respect to them, in the shapes and order of the model's trained tensors: those
    /// of the adapters in canonical order, then the head's.
    pub(crate) fn tensors(
        &self,
        values: &[f32],
        model: &Model<'_>,
    ) -> Result<Vec<Tensor>, ScoreError> {
        let mut rest = values;
        let mut take = |var: &Var, transposed: bool| -> candle_core::Result<Tensor> {
            let (own, behind) = rest.split_at(var.elem_count());
            rest = behind;
            if !transposed {
                return Tensor::from_slice(own, var.shape(), &Device::Cpu);
            }
            let (rows, columns) = var.dims2()?;
            Tensor::from_slice(own, (columns, rows), &Device::Cpu)?
                .t()?
                .contiguous()
        };
        let mut tensors = Vec::new();
        for adapter in model.adapters().iter() {
            for (var, transposed) in vars(adapter) {
                tensors.push(take(var, transposed)?);
            }
        }
        tensors.push(take(&model.head().weight, false)?);
        tensors.push(take(&model.head().bias, false)?);
        Ok(tensors)
    }
}

impl AdapterPlace {
    fn len(&self, width: usize) -> usize {
        2 * self.rank * width + self.rank + width
    }
}

/// The tensors of an adapter, and whether they are stored transposed.
fn vars(adapter: &Adapter) -> [(&Var, bool); 4] {
    [
        (&adapter.down_weight, false),
        (&adapter.down_bias, false),
        (&adapter.up_weight, true),
        (&adapter.up_bias, false),
    ]
}
