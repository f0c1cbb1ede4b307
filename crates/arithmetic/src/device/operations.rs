//! The operations, each in terms of tensors.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{DType, Tensor};

use super::attention::{AttentionTensors, SavedAttention};
use super::compound::{Kept, NormKind};
use super::directions::{DirectionTensors, add_products};
use super::loss::TensorTargets;
use super::optimiser::TensorAdamW;
use super::products::Operand;
use super::rows::{ExampleRows, indices};
use super::tensors::{Slot, unset};
use super::trained::{SavedAdapters, add_at, head_values};
use super::{LinearTensors, NormTensors, OnDevice, SavedNorm};
use crate::{
    ADAPTER_NORM_EPSILON, Activation, AdapterBlock, Arithmetic, Attention, Columns, Directions,
    End, HeadPlace, HeadPlaces, Linear, MatrixBlock, Norm, OptimiserPlan, Result, Targets,
};

impl Arithmetic for OnDevice {
    type Buffer = Slot;
    type Rows = ExampleRows;
    type Linear = LinearTensors;
    type Norm = NormTensors;
    type SavedNorm = SavedNorm;
    type Attention = AttentionTensors;
    type SavedAttention = SavedAttention;
    type SavedAdapters = SavedAdapters;
    type Targets = TensorTargets;
    type Optimiser = TensorAdamW;
    type Directions = DirectionTensors;
    type Numbers = Tensor;
    type Scratch = ();

    const ON_PROCESSOR: bool = false;

    fn free_memory(&self) -> Option<usize> {
        #[cfg(feature = "cuda")]
        if let Some(card) = &self.card {
            return card.free_memory();
        }
        None
    }

    fn linear(&self, layer: &Linear) -> Result<LinearTensors> {
        let shape = (layer.outputs, layer.inputs);
        let weight = Tensor::from_slice(&layer.weight.read()?.to_f32(), shape, &self.device)?;
        Ok(LinearTensors {
            weight: self.products.frozen(weight, self.precision)?,
            bias: self.vector(&layer.bias)?,
            precision: self.precision,
        })
    }

    fn norm(&self, norm: &Norm) -> Result<NormTensors> {
        Ok(NormTensors {
            weight: self.vector(&norm.weight)?,
            bias: self.vector(&norm.bias)?,
            kind: NormKind {
                centred: norm.centred,
                epsilon: f64::from(norm.epsilon),
            },
        })
    }

    fn attention(&self, attention: &Attention) -> Result<AttentionTensors> {
        AttentionTensors::new(self, attention)
    }

    fn rows(&self, offsets: Vec<usize>) -> Result<ExampleRows> {
        Ok(ExampleRows::new(offsets, &self.device))
    }

    fn targets(&self, targets: Targets) -> Result<TensorTargets> {
        TensorTargets::new(targets, &self.device)
    }

    fn write(
        &self,
        shape: (usize, usize),
        fill: impl FnOnce(&mut [f32]),
        to: &mut Slot,
    ) -> Result<()> {
        let mut values = vec![0.0; shape.0 * shape.1];
        fill(&mut values);
        to.set(Tensor::from_vec(values, shape, &self.device)?)
    }

    fn read<'b>(&self, from: &'b Slot) -> Result<Cow<'b, [f32]>> {
        Ok(Cow::Owned(from.get()?.flatten_all()?.to_vec1()?))
    }

    fn zero(&self, shape: (usize, usize), to: &mut Slot) -> Result<()> {
        let zeros = Tensor::zeros(shape, DType::F32, &self.device)?;
        to.set(zeros)
    }

    fn copy(&self, from: &Slot, to: &mut Slot) -> Result<()> {
        to.set(from.get()?.clone())
    }

    fn tile(&self, from: &Slot, times: usize, to: &mut Slot) -> Result<()> {
        match times {
            1 => self.copy(from, to),
            _ => to.set(from.get()?.repeat((times, 1))?),
        }
    }

    fn add_blocks(
        &self,
        from: &Slot,
        _: usize,
        blocks: &[Range<usize>],
        to: &mut Slot,
    ) -> Result<()> {
        let sum = self.compound.add_blocks(to.get()?, from.get()?, blocks)?;
        to.set(sum)
    }

    fn add(&self, from: &Slot, to: &mut Slot) -> Result<()> {
        to.set((to.get()? + from.get()?)?)
    }

    fn gather(
        &self,
        from: &Slot,
        _: usize,
        ranges: impl Iterator<Item = Range<usize>>,
        to: &mut Slot,
    ) -> Result<()> {
        let rows = indices(ranges.flatten().map(|row| row as u32), &self.device)?;
        to.set(from.get()?.index_select(&rows, 0)?)
    }

    fn stack(&self, parts: Vec<Slot>, to: &mut Slot) -> Result<()> {
        let parts: Vec<&Tensor> = parts.iter().map(Slot::get).collect::<Result<_>>()?;
        to.set(Tensor::cat(&parts, 0)?)
    }

    fn end_rows(&self, from: &Slot, (rows, end): (&ExampleRows, End), to: &mut Slot) -> Result<()> {
        to.set(from.get()?.index_select(&rows.ends(end)?, 0)?)
    }

    fn add_to_end_rows(
        &self,
        from: &Slot,
        (rows, end): (&ExampleRows, End),
        to: &mut Slot,
    ) -> Result<()> {
        let spread = rows.at_ends(end, from.get()?)?;
        to.set((to.get()? + spread)?)
    }

    fn means_forward(&self, from: &Slot, rows: &ExampleRows, to: &mut Slot) -> Result<()> {
        let sums = self.compound.sums(from.get()?, rows)?;
        to.set(sums.broadcast_div(&rows.lengths()?)?)
    }

    fn means_backward(&self, gradient: &Slot, rows: &ExampleRows, to: &mut Slot) -> Result<()> {
        let shares = gradient.get()?.broadcast_div(&rows.lengths()?)?;
        to.set(shares.index_select(&rows.indices()?.example_of_row, 0)?)
    }

    fn linear_forward(
        &self,
        layer: &LinearTensors,
        x: &Slot,
        to: &mut Slot,
        add: bool,
        _: &mut (),
    ) -> Result<()> {
        let LinearTensors {
            weight,
            bias,
            precision,
        } = layer;
        let product = self
            .products
            .product(x.get()?, weight, Operand::Transposed, *precision)?;
        let before = if add { Some(to.get()?) } else { None };
        let sum = self.compound.add_bias(&product, bias, before)?;
        to.set(sum)
    }

    fn linear_backward(
        &self,
        layer: &LinearTensors,
        gradient: &Slot,
        to: &mut Slot,
        add: bool,
        _: &mut (),
    ) -> Result<()> {
        let gradient = gradient.get()?;
        let product =
            self.products
                .product(gradient, &layer.weight, Operand::AsItIs, layer.precision)?;
        to.put(product, add)
    }

    fn norm_forward(
        &self,
        norm: &NormTensors,
        x: &mut Slot,
        saved: Option<&mut SavedNorm>,
    ) -> Result<()> {
        let kept = saved.as_ref().map_or(Kept::Nothing, |_| Kept::Rows);
        let (result, normalized) = self.norm(norm, x.get()?, kept, DType::F32)?;
        if let Some(saved) = saved {
            saved.0 = normalized;
        }
        x.set(result)
    }

    fn norm_of_state(
        &self,
        norm: &NormTensors,
        state: &Slot,
        saved: Option<&mut SavedNorm>,
        to: &mut Slot,
    ) -> Result<()> {
        let kept = saved.as_ref().map_or(Kept::Nothing, |_| Kept::Input);
        let (result, normalized) = self.norm(norm, state.get()?, kept, self.operands())?;
        if let Some(saved) = saved {
            saved.0 = normalized;
        }
        to.set(result)
    }

    fn norm_backward(
        &self,
        norm: &NormTensors,
        saved: &SavedNorm,
        gradient: &mut Slot,
    ) -> Result<()> {
        let saved = saved.0.as_ref().ok_or_else(unset)?;
        let towards =
            self.compound
                .norm_backward(gradient.get()?, Some(&norm.weight), saved, None)?;
        gradient.set(towards)
    }

    fn add_norm_backward(
        &self,
        norm: &NormTensors,
        saved: &SavedNorm,
        gradient: &mut Slot,
        to: &mut Slot,
    ) -> Result<()> {
        let saved = saved.0.as_ref().ok_or_else(unset)?;
        let (gradient, weight) = (gradient.get()?, Some(&norm.weight));
        let sum = self
            .compound
            .norm_backward(gradient, weight, saved, Some(to.get()?))?;
        to.set(sum)
    }

    fn linear_activation_forward(
        &self,
        (layer, activation): (&LinearTensors, Activation),
        x: &Slot,
        to: &mut Slot,
        kept: Option<&mut Slot>,
        _: &mut (),
    ) -> Result<()> {
        let LinearTensors {
            weight,
            bias,
            precision,
        } = layer;
        let product = self
            .products
            .product(x.get()?, weight, Operand::Transposed, *precision)?;
        let operands = self.operands();
        to.set(
            self.compound
                .activate(activation, &product, bias, operands)?,
        )?;
        match kept {
            None => Ok(()),
            // The slope would take as much memory, and more time to write than to compute.
            Some(kept) => kept.set(product),
        }
    }

    fn activation_backward(
        &self,
        (layer, activation): (&LinearTensors, Activation),
        kept: &Slot,
        gradient: &mut Slot,
    ) -> Result<()> {
        let (compound, bias, operands) = (&self.compound, &layer.bias, self.operands());
        let towards = compound.activation_backward(
            activation,
            gradient.get()?,
            kept.get()?,
            bias,
            operands,
        )?;
        gradient.set(towards)
    }

    fn gate_forward(
        &self,
        (activation, width): (Activation, usize),
        projected: &Slot,
        to: &mut Slot,
    ) -> Result<()> {
        let projected = projected.get()?;
        let gate = projected.narrow(1, 0, width)?.contiguous()?;
        let gate = self.activated(activation, &gate)?;
        let product = (gate * projected.narrow(1, width, width)?)?;
        to.set(product.to_dtype(self.operands())?)
    }

    fn gate_backward(
        &self,
        (activation, width): (Activation, usize),
        projected: &Slot,
        gradient: &Slot,
        to: &mut Slot,
    ) -> Result<()> {
        let (projected, gradient) = (projected.get()?, gradient.get()?);
        let gate = projected.narrow(1, 0, width)?.contiguous()?;
        let towards_activated = (gradient * projected.narrow(1, width, width)?)?;
        let none = Tensor::zeros(width, DType::F32, &self.device)?;
        let towards_gate = self.compound.activation_backward(
            activation,
            &towards_activated,
            &gate,
            &none,
            DType::F32,
        )?;
        let towards_other = (gradient * self.activated(activation, &gate)?)?;
        to.set(Tensor::cat(&[towards_gate, towards_other], 1)?)
    }

    fn attention_forward(
        &self,
        (attention, projection): (&AttentionTensors, &LinearTensors),
        x: &Slot,
        rows: &ExampleRows,
        _: &mut Slot,
        mixed: &mut Slot,
        saved: &mut SavedAttention,
        _: &mut (),
    ) -> Result<()> {
        let (weight, precision) = (&projection.weight, projection.precision);
        let product = self
            .products
            .product(x.get()?, weight, Operand::Transposed, precision)?;
        mixed.set(saved.forward(self, attention, &product, &projection.bias, rows)?)
    }

    fn attention_backward(
        &self,
        attention: &AttentionTensors,
        _: &Slot,
        rows: &ExampleRows,
        saved: &SavedAttention,
        gradient: &Slot,
        to: &mut Slot,
        (): &mut (),
    ) -> Result<()> {
        to.set(saved.backward(self, attention, gradient.get()?, rows)?)
    }

    fn normalize(&self, _: usize, x: &mut Slot) -> Result<()> {
        let kind = NormKind::layer_norm(f64::from(ADAPTER_NORM_EPSILON));
        x.set(self.compound.normalize(x.get()?, kind)?.rows)
    }

    fn adapters_forward(
        &self,
        values: &Slot,
        blocks: &[AdapterBlock],
        x: &[(&Slot, Range<usize>)],
        sum: &mut Slot,
        saved: &mut SavedAdapters,
        _: &mut (),
    ) -> Result<()> {
        saved.forward(&*self.compound, blocks, values.get()?, x, sum)
    }

    fn adapters_backward(
        &self,
        values: &Slot,
        blocks: &[AdapterBlock],
        saved: &SavedAdapters,
        gradient: &Slot,
        towards_values: &mut Slot,
        towards_x: Option<&mut Slot>,
        _: &mut (),
    ) -> Result<()> {
        let towards_values = towards_values.get()?;
        let (values, gradient) = (values.get()?, gradient.get()?);
        let wanted = towards_x.is_some();
        let compound = &*self.compound;
        let found = saved.backward(compound, blocks, values, gradient, towards_values, wanted)?;
        match (found, towards_x) {
            (Some(found), Some(towards_x)) => towards_x.set(found),
            _ => Ok(()),
        }
    }

    fn heads_forward(
        &self,
        values: &Slot,
        heads: &HeadPlaces,
        features: &Slot,
        logits: &mut Slot,
    ) -> Result<()> {
        let (weights, biases) = head_values(heads, values.get()?)?;
        let features = features.get()?;
        let features = features.reshape((heads.models, (), heads.first.width))?;
        let product = features.matmul(&weights.transpose(1, 2)?)?;
        let result = product.broadcast_add(&biases)?;
        logits.set(result.reshape(((), heads.first.classes))?)
    }

    fn loss(
        &self,
        targets: &TensorTargets,
        models: usize,
        factor: f32,
        logits: &mut Slot,
    ) -> Result<Tensor> {
        let (losses, gradient) = targets.loss(models, factor, logits.get()?)?;
        logits.set(gradient)?;
        Ok(losses)
    }

    fn heads_backward(
        &self,
        values: &Slot,
        heads: &HeadPlaces,
        features: &Slot,
        towards_logits: &Slot,
        towards_features: &mut Slot,
        towards_values: &mut Slot,
    ) -> Result<()> {
        let HeadPlace {
            width,
            classes,
            begin,
        } = heads.first;
        let (weights, _) = head_values(heads, values.get()?)?;
        let by_model = |slot: &Slot, columns: usize| -> Result<Tensor> {
            Ok(slot.get()?.reshape((heads.models, (), columns))?)
        };
        let gradient = by_model(towards_logits, classes)?;
        let features = by_model(features, width)?;
        towards_features.set(gradient.matmul(&weights)?.reshape(((), width))?)?;
        let towards_weights = gradient.transpose(1, 2)?.matmul(&features)?;
        let towards_weights = towards_weights.flatten_from(1)?;
        let all = Tensor::cat(&[towards_weights, gradient.sum(1)?], 1)?;
        add_at(towards_values.get()?, begin, &all)
    }

    fn optimiser(&self, plan: OptimiserPlan) -> Result<TensorAdamW> {
        TensorAdamW::new(plan, &self.device)
    }

    fn optimise(
        &self,
        optimiser: &mut TensorAdamW,
        factor: f64,
        values: &mut Slot,
        gradients: &mut Slot,
    ) -> Result<Tensor> {
        let (after, norms) =
            optimiser.step(&*self.compound, factor, values.get()?, gradients.get()?)?;
        values.set(after)?;
        Ok(norms)
    }

    fn side_by_side(&self, parts: &[&Slot], _: usize, to: &mut Slot) -> Result<()> {
        let parts = parts.iter().map(|part| part.get());
        let parts: Vec<&Tensor> = parts.collect::<Result<_>>()?;
        to.set(Tensor::cat(&parts, 1)?)
    }

    fn add_products(
        &self,
        left: Columns<'_, Slot>,
        right: Columns<'_, Slot>,
        sums: &mut Slot,
        block: MatrixBlock,
    ) -> Result<()> {
        add_products(&left, &right, sums.get()?, block)
    }

    fn directions(&self, directions: Directions) -> Result<DirectionTensors> {
        DirectionTensors::new(&directions, &self.device)
    }

    fn along_directions(
        &self,
        directions: &DirectionTensors,
        x: &Slot,
        gradients: &Slot,
        rows: &ExampleRows,
    ) -> Result<Vec<f32>> {
        directions.along(&*self.compound, x.get()?, gradients.get()?, rows)
    }

    fn numbers(&self, computed: &[Tensor]) -> Result<Vec<Vec<f64>>> {
        if computed.is_empty() {
            return Ok(Vec::new());
        }
        let all = Tensor::stack(computed, 0)?.to_vec2::<f32>()?.into_iter();
        Ok(all
            .map(|numbers| numbers.into_iter().map(f64::from).collect())
            .collect())
    }
}
