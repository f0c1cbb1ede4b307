//! Adapters and heads of several models, whose values are slices of one tensor, (1, values). The formulas are in
//! [`crate::kernels`].
//!
//! Adapters of the same shape are computed together, as batched products (models, rows, width).

use std::ops::Range;

use candle_core::Tensor;

use super::compound::{Compound, NormKind, Normalized};
use super::tensors::Slot;
use crate::{ADAPTER_NORM_EPSILON, AdapterBlock, AdapterPlace, HeadPlaces, Result};

/// The part of some adapters' forward pass that their gradients need, by groups of the same shape.
#[derive(Default)]
pub struct SavedAdapters(Vec<SavedGroup>);

/// Adapters of the same shape on the same number of rows, n of them.
struct SavedGroup {
    /// Their indices among the blocks.
    members: Vec<usize>,
    /// The normalised rows X', (n x rows, width).
    normalized: Normalized,
    /// The slopes gelu'(Z), (n, rows, rank).
    slope: Tensor,
    /// The activations A, (n, rows, rank).
    activation: Tensor,
}

/// The values of n adapters of the same shape.
struct Values {
    /// W_down, (n, rank, width).
    down_weight: Tensor,
    /// b_down, (n, 1, rank).
    down_bias: Tensor,
    /// W_up^T, (n, rank, width).
    up_weight: Tensor,
    /// b_up, (n, 1, width).
    up_bias: Tensor,
}

impl Values {
    fn of(places: &[AdapterPlace], all: &Tensor) -> Result<Self> {
        let AdapterPlace { width, rank, .. } = places[0];
        let (count, weight) = (places.len(), rank * width);
        let stacked = stacked(places, all)?;
        let part = |begin, rows, columns| -> Result<Tensor> {
            let part = stacked.narrow(1, begin, rows * columns)?.contiguous()?;
            Ok(part.reshape((count, rows, columns))?)
        };
        Ok(Self {
            down_weight: part(0, rank, width)?,
            down_bias: part(weight, 1, rank)?,
            up_weight: part(weight + rank, rank, width)?,
            up_bias: part(2 * weight + rank, 1, width)?,
        })
    }
}

/// The values of each adapter, (adapters, values).
fn stacked(places: &[AdapterPlace], all: &Tensor) -> Result<Tensor> {
    let length = places[0].size();
    if follow_each_other(places) {
        let all = all.narrow(1, places[0].begin, places.len() * length)?;
        return Ok(all.reshape((places.len(), length))?);
    }
    let each = places
        .iter()
        .map(|place| all.narrow(1, place.begin, length));
    Ok(Tensor::cat(
        &each.collect::<candle_core::Result<Vec<_>>>()?,
        0,
    )?)
}

fn follow_each_other(places: &[AdapterPlace]) -> bool {
    let mut pairs = places.windows(2);
    pairs.all(|pair| pair[1].begin == pair[0].begin + pair[0].size())
}

/// The indices of the blocks, those with the same shape together.
fn groups(blocks: &[AdapterBlock]) -> Vec<Vec<usize>> {
    let shape = |block: &AdapterBlock| {
        let AdapterPlace {
            width, rank, scale, ..
        } = block.place;
        (width, rank, scale.to_bits(), block.rows.len())
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let same = |group: &&mut Vec<usize>| shape(&blocks[group[0]]) == shape(block);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

fn places_of(members: &[usize], blocks: &[AdapterBlock]) -> Vec<AdapterPlace> {
    members.iter().map(|&index| blocks[index].place).collect()
}

impl SavedAdapters {
    /// Adds the adapters to their blocks of `sum`.
    pub(super) fn forward(
        &mut self,
        compound: &dyn Compound,
        blocks: &[AdapterBlock],
        values: &Tensor,
        x: &[(&Slot, Range<usize>)],
        sum: &mut Slot,
    ) -> Result<()> {
        self.0.clear();
        for members in groups(blocks) {
            let places = places_of(&members, blocks);
            let AdapterPlace { width, scale, .. } = places[0];
            let adapters = Values::of(&places, values)?;
            let read = members.iter().map(|&index| {
                let (x, rows) = &x[index];
                Ok((x.get()?, rows.clone()))
            });
            let x = taken(&read.collect::<Result<Vec<_>>>()?)?;
            let epsilon = f64::from(ADAPTER_NORM_EPSILON);
            let normalized = compound.normalize(&x, NormKind::layer_norm(epsilon))?;
            let by_adapter = normalized.rows.reshape((members.len(), (), width))?;
            let down = by_adapter.matmul(&adapters.down_weight.transpose(1, 2)?)?;
            let [activation, slope] = compound.gelu_and_slope(&down, &adapters.down_bias)?;
            let up = activation.matmul(&adapters.up_weight)?;
            let result = scaled(compound.add_bias(&up, &adapters.up_bias, None)?, scale)?;
            let added = members.iter().map(|&index| blocks[index].rows.clone());
            let added: Vec<_> = added.collect();
            let result = result.reshape(((), width))?;
            sum.set(compound.add_blocks(sum.get()?, &result, &added)?)?;
            self.0.push(SavedGroup {
                members,
                normalized,
                slope,
                activation,
            });
        }
        Ok(())
    }

    /// Adds the gradients with respect to the adapters' values to `towards`, and returns those with respect to x, one
    /// after the other, if they are asked for.
    pub(super) fn backward(
        &self,
        compound: &dyn Compound,
        blocks: &[AdapterBlock],
        values: &Tensor,
        gradient: &Tensor,
        towards: &Tensor,
        towards_x: bool,
    ) -> Result<Option<Tensor>> {
        let mut towards_each = vec![None; blocks.len()];
        for group in &self.0 {
            let places = places_of(&group.members, blocks);
            let AdapterPlace { width, scale, .. } = places[0];
            let count = places.len();
            let adapters = Values::of(&places, values)?;
            let rows = group
                .members
                .iter()
                .map(|&index| (gradient, blocks[index].rows.clone()));
            let gradient = scaled(taken(&rows.collect::<Vec<_>>())?, scale)?;
            let gradient = gradient.reshape((count, (), width))?;
            let through = gradient.matmul(&adapters.up_weight.transpose(1, 2)?)?;
            let hidden = (through * &group.slope)?;
            let normalized = group.normalized.rows.reshape((count, (), width))?;
            let parts = [
                hidden.transpose(1, 2)?.matmul(&normalized)?,
                hidden.sum(1)?,
                group.activation.transpose(1, 2)?.matmul(&gradient)?,
                gradient.sum(1)?,
            ];
            let parts = parts.iter().map(|part| part.flatten_from(1));
            let all = Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 1)?;
            if follow_each_other(&places) {
                add_at(towards, places[0].begin, &all)?;
            } else {
                for (index, place) in places.iter().enumerate() {
                    add_at(towards, place.begin, &all.narrow(0, index, 1)?)?;
                }
            }
            if towards_x {
                let towards = hidden.matmul(&adapters.down_weight)?.reshape(((), width))?;
                let all = compound.norm_backward(&towards, None, &group.normalized, None)?;
                if count == blocks.len() {
                    return Ok(Some(all));
                }
                let rows = all.dim(0)? / count;
                for (place, &index) in group.members.iter().enumerate() {
                    towards_each[index] = Some(all.narrow(0, place * rows, rows)?);
                }
            }
        }
        match towards_x {
            false => Ok(None),
            true => {
                let each: Vec<Tensor> = towards_each.into_iter().flatten().collect();
                Ok(Some(Tensor::cat(&each, 0)?))
            }
        }
    }
}

fn scaled(values: Tensor, scale: f32) -> Result<Tensor> {
    Ok(if scale == 1.0 {
        values
    } else {
        (values * f64::from(scale))?
    })
}

/// Some rows of each tensor, one after the other.
fn taken(from: &[(&Tensor, Range<usize>)]) -> Result<Tensor> {
    let part = |(tensor, rows): &(&Tensor, Range<usize>)| match rows.len() == tensor.dim(0)? {
        true => Ok((*tensor).clone()),
        false => tensor.narrow(0, rows.start, rows.len()),
    };
    let parts: Vec<Tensor> = from.iter().map(part).collect::<candle_core::Result<_>>()?;
    Ok(match &parts[..] {
        [one] => one.clone(),
        many => Tensor::cat(many, 0)?,
    })
}

/// The weights (models, classes, width) and the biases (models, 1, classes) of the heads.
pub(super) fn head_values(heads: &HeadPlaces, all: &Tensor) -> Result<(Tensor, Tensor)> {
    let (first, models) = (heads.first, heads.models);
    let all = all.narrow(1, first.begin, models * first.size())?;
    let all = all.reshape((models, first.size()))?;
    let weight = all
        .narrow(1, 0, first.classes * first.width)?
        .contiguous()?;
    let bias = all.narrow(1, first.classes * first.width, first.classes)?;
    Ok((
        weight.reshape((models, first.classes, first.width))?,
        bias.contiguous()?.reshape((models, 1, first.classes))?,
    ))
}

/// Adds values to those of `all`, (1, values), from `begin` on. No other tensor shares the memory of `all`.
pub(super) fn add_at(all: &Tensor, begin: usize, values: &Tensor) -> Result<()> {
    let values = values.flatten_all()?.unsqueeze(0)?;
    let sum = (all.narrow(1, begin, values.elem_count())? + values)?;
    Ok(all.slice_set(&sum, 1, begin)?)
}
