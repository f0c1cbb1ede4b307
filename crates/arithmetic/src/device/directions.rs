//! Products behind gradient maps.

use candle_core::{Device, Tensor};

use super::compound::Compound;
use super::rows::ExampleRows;
use super::tensors::Slot;
use crate::{Columns, Directions, MatrixBlock, Result};

/// The directions of pairs of states.
pub struct DirectionTensors {
    sources: usize,
    targets: usize,
    count: usize,
    apart: usize,
    /// The directions v by source, (sources, width, targets x count).
    right: Tensor,
    /// The directions u by target, (targets, width, sources x count).
    left: Tensor,
}

impl DirectionTensors {
    pub(super) fn new(directions: &Directions, device: &Device) -> Result<Self> {
        let Directions {
            sources,
            targets,
            width,
            count,
            apart,
            ..
        } = *directions;
        let tensor = |values: &[f32], states: usize, others: usize| -> Result<Tensor> {
            let shape = (states, others * count, width);
            let by_direction = Tensor::from_slice(values, shape, device)?;
            Ok(by_direction.transpose(1, 2)?.contiguous()?)
        };
        Ok(Self {
            sources,
            targets,
            count,
            apart: apart.min(count),
            right: tensor(&directions.right, sources, targets)?,
            left: tensor(&directions.left, targets, sources)?,
        })
    }

    /// See [`crate::Arithmetic::along_directions`].
    pub(super) fn along(
        &self,
        compound: &dyn Compound,
        x: &Tensor,
        gradients: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Vec<f32>> {
        // Both are (rows, sources, targets, directions).
        let read = projected(x, &self.right, self.count)?.permute((1, 0, 2, 3))?;
        let added = projected(gradients, &self.left, self.count)?.permute((1, 2, 0, 3))?;
        let along = (read.contiguous()? * added.contiguous()?)?;
        let pairs = self.sources * self.targets;
        let by_row = along.reshape(((), pairs * self.count))?;
        let sums = compound.sums(&by_row, rows)?;
        let sums = sums.reshape(((), pairs, self.count))?;
        let apart = sums.narrow(2, 0, self.apart)?;
        let rest = sums.narrow(2, self.apart, self.count - self.apart)?;
        let all = Tensor::cat(&[apart, rest.sum_keepdim(2)?], 2)?;
        Ok(all.flatten_all()?.to_vec1()?)
    }
}

/// The products of the rows of each state and its directions towards the others, (states, rows, others, count).
fn projected(side_by_side: &Tensor, onto: &Tensor, count: usize) -> Result<Tensor> {
    let (states, width, directions) = onto.dims3()?;
    let by_state = side_by_side.reshape(((), states, width))?;
    let by_state = by_state.transpose(0, 1)?.contiguous()?;
    let products = by_state.matmul(onto)?;
    Ok(products.reshape((states, (), directions / count, count))?)
}

/// Adds left^T right to a block of `sums`, whose memory no other tensor shares.
pub(super) fn add_products(
    left: &Columns<'_, Slot>,
    right: &Columns<'_, Slot>,
    sums: &Tensor,
    block: MatrixBlock,
) -> Result<()> {
    let columns = |of: &Columns<'_, Slot>| -> Result<Tensor> {
        let matrix = of.matrix.get()?;
        Ok(match of.range.len() == of.all {
            true => matrix.clone(),
            false => matrix
                .narrow(1, of.range.start, of.range.len())?
                .contiguous()?,
        })
    };
    let product = columns(left)?.t()?.matmul(&columns(right)?)?;
    let (height, width) = product.dims2()?;
    let before = sums.narrow(0, block.row, height)?;
    let after = match width == block.all {
        true => (before + product)?,
        false => {
            let end = block.column + width;
            let own = (before.narrow(1, block.column, width)? + product)?;
            let parts = [
                before.narrow(1, 0, block.column)?,
                own,
                before.narrow(1, end, block.all - end)?,
            ];
            Tensor::cat(&parts, 1)?
        }
    };
    Ok(sums.slice_set(&after, 0, block.row)?)
}
