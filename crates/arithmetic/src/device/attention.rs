//! Multi-head self-attention and its gradient. The formulas are in [`crate::kernels`].

use std::sync::Mutex;

use candle_core::{D, DType, Tensor};

use super::compound::{Kept, Normalized};
use super::of_length::OfLength;
use super::products::Transposed;
use super::rows::ExampleRows;
use super::tensors::{Slot, unset};
use super::{NormTensors, OnDevice};
use crate::{Arithmetic, Attention, Result};

/// An attention, and what its examples' length decides.
pub struct AttentionTensors {
    layer: Attention,
    norms: Option<[NormTensors; 2]>,
    /// Computed for the longest example of a batch, and kept until that changes.
    lengths: Mutex<Option<OfLength>>,
}

/// Query, key and value, and the attention weights, each with a place for every token of the longest example.
#[derive(Default)]
pub struct SavedAttention {
    /// What is multiplied: (examples, heads, tokens, width of a head), with as many heads of the key and the value as the
    /// attention has for these.
    query: Slot,
    key: Slot,
    value: Slot,
    /// The weights P, (examples, heads, tokens, tokens).
    weights: Slot,
    /// The capped scores, shaped like the weights.
    capped: Slot,
    /// What the norms of queries and of keys keep.
    norms: [Option<Normalized>; 2],
}

impl AttentionTensors {
    pub(super) fn new(device: &OnDevice, layer: &Attention) -> Result<Self> {
        let norms = match &layer.norms {
            None => None,
            Some([query, key]) => {
                let prepared = |norm| Arithmetic::norm(device, norm);
                Some([prepared(query)?, prepared(key)?])
            }
        };
        Ok(Self {
            layer: layer.clone(),
            norms,
            lengths: Mutex::new(None),
        })
    }

    /// The number of heads of queries that share a head of keys and values.
    fn group(&self) -> usize {
        self.layer.heads / self.layer.key_heads
    }

    fn of_length(&self, device: &OnDevice, tokens: usize) -> Result<OfLength> {
        let mut kept = self
            .lengths
            .lock()
            .unwrap_or_else(|error| error.into_inner());
        if let Some(kept) = &*kept
            && kept.tokens == tokens
        {
            return Ok(kept.clone());
        }
        let new = OfLength::new(&self.layer, tokens, device)?;
        *kept = Some(new.clone());
        Ok(new)
    }

    /// The queries, keys and values of rows, arranged by heads.
    fn split(
        &self,
        device: &OnDevice,
        projected: &Tensor,
        bias: &Tensor,
        rows: &ExampleRows,
    ) -> Result<[Tensor; 3]> {
        let Attention {
            heads, key_heads, ..
        } = self.layer;
        let compound = &device.compound;
        if heads == key_heads {
            let parts = compound.split_heads(projected, Some(bias), 3, heads, rows)?;
            return Ok([parts.get(0)?, parts.get(1)?, parts.get(2)?]);
        }
        let all = heads + 2 * key_heads;
        let all = compound.split_heads(projected, Some(bias), 1, all, rows)?;
        let all = all.get(0)?;
        let part =
            |begin, count| -> Result<Tensor> { Ok(all.narrow(1, begin, count)?.contiguous()?) };
        Ok([
            part(0, heads)?,
            part(heads, key_heads)?,
            part(heads + key_heads, key_heads)?,
        ])
    }

    /// The same heads as rows of the heads that their queries share: (examples, key heads, group x .., ..).
    fn grouped(&self, by_head: &Tensor) -> Result<Tensor> {
        match self.group() {
            1 => Ok(by_head.clone()),
            group => {
                let (examples, _, tokens, width) = by_head.dims4()?;
                let shape = (examples, self.layer.key_heads, group * tokens, width);
                Ok(by_head.reshape(shape)?)
            }
        }
    }

    /// The way back, to (examples, heads, .., ..).
    fn by_head(&self, grouped: &Tensor) -> Result<Tensor> {
        match self.group() {
            1 => Ok(grouped.clone()),
            group => {
                let (examples, _, rows, width) = grouped.dims4()?;
                let shape = (examples, self.layer.heads, rows / group, width);
                Ok(grouped.reshape(shape)?)
            }
        }
    }
}

impl SavedAttention {
    /// `bias` is what `projected` still lacks.
    pub(super) fn forward(
        &mut self,
        device: &OnDevice,
        attention: &AttentionTensors,
        projected: &Tensor,
        bias: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let compound = &device.compound;
        let layer = &attention.layer;
        let of_length = attention.of_length(device, rows.table().1)?;
        let [query, key, value] = attention.split(device, projected, bias, rows)?;
        let [query, key] = self.prepare(device, attention, [query, key])?;
        let [query, key] = match &of_length.turns {
            None => [query, key],
            Some(turns) => [turned(&query, turns)?, turned(&key, turns)?],
        };
        let query = attention.grouped(&query)?;
        let scores = attention.by_head(&device.of_heads(&query, &key, Transposed::Right)?)?;
        let scale = f64::from(layer.scale);
        let scores = match &of_length.buckets {
            None => scores,
            Some(buckets) => buckets.add([&query, &key], scores)?,
        };
        let (scores, scale) = match layer.cap {
            None => (scores, scale),
            Some(bound) => {
                let bound = f64::from(bound);
                let capped = ((scores * (scale / bound))?.tanh()? * bound)?;
                self.capped.set(capped.clone())?;
                (capped, 1.0)
            }
        };
        let (scores, scale) = match &of_length.added {
            None => (scores, scale),
            Some(added) => ((scores * scale)?.broadcast_add(added)?, 1.0),
        };
        let weights = compound.softmax_forward(&scores, scale, rows)?;
        let mixed = device.of_heads(&attention.grouped(&weights)?, &value, Transposed::Neither)?;
        self.query.set(query)?;
        self.key.set(key)?;
        self.value.set(value)?;
        self.weights.set(weights)?;
        compound.merge_heads(&[attention.by_head(&mixed)?], rows, device.operands())
    }

    pub(super) fn backward(
        &self,
        device: &OnDevice,
        attention: &AttentionTensors,
        gradient: &Tensor,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let compound = &device.compound;
        let layer = &attention.layer;
        let (query, key, value) = (self.query.get()?, self.key.get()?, self.value.get()?);
        let weights = self.weights.get()?;
        let gradient = compound
            .split_heads(gradient, None, 1, layer.heads, rows)?
            .get(0)?;
        let gradient = attention.grouped(&gradient)?;
        let grouped = attention.grouped(weights)?;
        let towards_value = device.of_heads(&grouped, &gradient, Transposed::Left)?;
        let towards_weights = device.of_heads(&gradient, value, Transposed::Right)?;
        let towards_weights = attention.by_head(&towards_weights)?;
        let scale = f64::from(layer.scale);
        let towards_scores = compound.softmax_backward(&towards_weights, weights, scale)?;
        let towards_scores = match layer.cap {
            None => towards_scores,
            Some(bound) => {
                let share = (self.capped.get()? * f64::from(bound).recip())?;
                (towards_scores * share.sqr()?.affine(-1.0, 1.0)?)?
            }
        };
        let towards_scores = attention.grouped(&towards_scores)?;
        let towards_query = device.of_heads(&towards_scores, key, Transposed::Neither)?;
        let towards_query = attention.by_head(&towards_query)?;
        let towards_key = device.of_heads(&towards_scores, query, Transposed::Left)?;
        let of_length = attention.of_length(device, rows.table().1)?;
        let [towards_query, towards_key] = match &of_length.buckets {
            None => [towards_query, towards_key],
            Some(buckets) => buckets.backward(&towards_scores, [towards_query, towards_key])?,
        };
        let [towards_query, towards_key] = match &of_length.turns {
            None => [towards_query, towards_key],
            Some(turns) => {
                let back = [turns[0].clone(), turns[1].neg()?];
                [turned(&towards_query, &back)?, turned(&towards_key, &back)?]
            }
        };
        let [towards_query, towards_key] =
            self.prepare_backward(device, attention, [towards_query, towards_key])?;
        let parts = [towards_query, towards_key, towards_value];
        if layer.heads == layer.key_heads {
            return compound.merge_heads(&parts, rows, device.operands());
        }
        let all = Tensor::cat(&parts, 1)?;
        compound.merge_heads(&[all], rows, device.operands())
    }

    /// The norms of each head of the queries and keys.
    fn prepare(
        &mut self,
        device: &OnDevice,
        attention: &AttentionTensors,
        [query, key]: [Tensor; 2],
    ) -> Result<[Tensor; 2]> {
        let Some([of_query, of_key]) = &attention.norms else {
            return Ok([query, key]);
        };
        let mut normed = |norm: &NormTensors, heads: &Tensor, place: usize| -> Result<Tensor> {
            let rows = heads.reshape(((), heads.dim(D::Minus1)?))?;
            let (result, kept) = device.norm(norm, &rows, Kept::Rows, DType::F32)?;
            self.norms[place] = kept;
            Ok(result.reshape(heads.dims())?)
        };
        Ok([normed(of_query, &query, 0)?, normed(of_key, &key, 1)?])
    }

    fn prepare_backward(
        &self,
        device: &OnDevice,
        attention: &AttentionTensors,
        [query, key]: [Tensor; 2],
    ) -> Result<[Tensor; 2]> {
        let Some([of_query, of_key]) = &attention.norms else {
            return Ok([query, key]);
        };
        let towards = |norm: &NormTensors, gradient: &Tensor, place: usize| -> Result<Tensor> {
            let saved: &Normalized = self.norms[place].as_ref().ok_or_else(unset)?;
            let rows = gradient.reshape(((), gradient.dim(D::Minus1)?))?;
            let weight = Some(&norm.weight);
            let result = device.compound.norm_backward(&rows, weight, saved, None)?;
            Ok(result.reshape(gradient.dims())?)
        };
        Ok([towards(of_query, &query, 0)?, towards(of_key, &key, 1)?])
    }
}

/// Turns heads (.., tokens, width) by angles with these cosines and sines, (tokens, pairs).
fn turned(heads: &Tensor, [cosines, sines]: &[Tensor; 2]) -> Result<Tensor> {
    let (width, pairs) = (heads.dim(D::Minus1)?, cosines.dim(D::Minus1)?);
    let part = |begin, count| heads.narrow(D::Minus1, begin, count);
    let (x, y) = (part(0, pairs)?, part(pairs, pairs)?);
    let turned_x = (x.broadcast_mul(cosines)? - y.broadcast_mul(sines)?)?;
    let turned_y = (y.broadcast_mul(cosines)? + x.broadcast_mul(sines)?)?;
    let mut parts = vec![turned_x, turned_y];
    if width > 2 * pairs {
        parts.push(part(2 * pairs, width - 2 * pairs)?);
    }
    Ok(Tensor::cat(&parts, D::Minus1)?)
}
