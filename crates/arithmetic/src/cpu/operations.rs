//! The operations, each by kernels.

use std::borrow::Cow;
use std::ops::Range;

use super::{Cpu, PackedLinear, Scratch};
use crate::kernels::adamw::ClippedAdamW;
use crate::kernels::adapter::SavedAdapter;
use crate::kernels::attention::SavedAttention;
use crate::kernels::frozen_product::FrozenProduct;
use crate::kernels::matrix::{Matrix, MatrixMut};
use crate::kernels::norm::{self, SavedNorm, normalize_row};
use crate::kernels::product::Start;
use crate::kernels::{activation, adapter, examples, gate, gradient_products, head, loss};
use crate::{
    ADAPTER_NORM_EPSILON, Activation, AdapterBlock, Arithmetic, Attention, Columns, Directions,
    End, HeadPlaces, Linear, MatrixBlock, Norm, OptimiserPlan, Result, Targets,
};

impl Arithmetic for Cpu {
    type Buffer = Vec<f32>;
    type Rows = Vec<usize>;
    type Linear = PackedLinear;
    type Norm = Norm;
    type SavedNorm = SavedNorm;
    type Attention = Attention;
    type SavedAttention = SavedAttention;
    type SavedAdapters = Vec<SavedAdapter>;
    type Targets = Targets;
    type Optimiser = ClippedAdamW;
    type Directions = Directions;
    type Numbers = Vec<f64>;
    type Scratch = Scratch;

    const ON_PROCESSOR: bool = true;

    fn free_memory(&self) -> Option<usize> {
        None
    }

    fn linear(&self, layer: &Linear) -> Result<PackedLinear> {
        let (set, precision) = (self.instruction_set, self.precision);
        let stored = layer.weight.read()?;
        let weight = stored.to_f32();
        let weight = Matrix::new(&weight, layer.outputs, layer.inputs);
        Ok(PackedLinear {
            forward: FrozenProduct::new(set, precision, weight.transposed()),
            backward: FrozenProduct::new(set, precision, weight),
            bias: layer.bias.clone(),
            inputs: layer.inputs,
            outputs: layer.outputs,
        })
    }

    fn norm(&self, norm: &Norm) -> Result<Norm> {
        Ok(norm.clone())
    }

    fn attention(&self, attention: &Attention) -> Result<Attention> {
        Ok(attention.clone())
    }

    fn rows(&self, offsets: Vec<usize>) -> Result<Vec<usize>> {
        Ok(offsets)
    }

    fn targets(&self, targets: Targets) -> Result<Targets> {
        Ok(targets)
    }

    fn write(
        &self,
        (rows, columns): (usize, usize),
        fill: impl FnOnce(&mut [f32]),
        to: &mut Vec<f32>,
    ) -> Result<()> {
        to.resize(rows * columns, 0.0);
        fill(to);
        Ok(())
    }

    fn read<'b>(&self, from: &'b Vec<f32>) -> Result<Cow<'b, [f32]>> {
        Ok(Cow::Borrowed(from))
    }

    fn zero(&self, (rows, columns): (usize, usize), to: &mut Vec<f32>) -> Result<()> {
        to.clear();
        to.resize(rows * columns, 0.0);
        Ok(())
    }

    fn copy(&self, from: &Vec<f32>, to: &mut Vec<f32>) -> Result<()> {
        to.clone_from(from);
        Ok(())
    }

    fn tile(&self, from: &Vec<f32>, times: usize, to: &mut Vec<f32>) -> Result<()> {
        to.clear();
        (0..times).for_each(|_| to.extend_from_slice(from));
        Ok(())
    }

    fn add_blocks(
        &self,
        from: &Vec<f32>,
        width: usize,
        blocks: &[Range<usize>],
        to: &mut Vec<f32>,
    ) -> Result<()> {
        let mut rest = &from[..];
        for Range { start, end } in blocks {
            let to = &mut to[start * width..end * width];
            let (own, behind) = rest.split_at(to.len());
            rest = behind;
            self.add_slice(own, to);
        }
        Ok(())
    }

    fn add(&self, from: &Vec<f32>, to: &mut Vec<f32>) -> Result<()> {
        self.add_slice(from, to);
        Ok(())
    }

    fn gather(
        &self,
        from: &Vec<f32>,
        width: usize,
        ranges: impl Iterator<Item = Range<usize>>,
        to: &mut Vec<f32>,
    ) -> Result<()> {
        to.clear();
        for Range { start, end } in ranges {
            to.extend_from_slice(&from[start * width..end * width]);
        }
        Ok(())
    }

    fn stack(&self, parts: Vec<Vec<f32>>, to: &mut Vec<f32>) -> Result<()> {
        to.clear();
        to.reserve(parts.iter().map(Vec::len).sum());
        parts.into_iter().for_each(|part| to.extend(part));
        Ok(())
    }

    fn end_rows(
        &self,
        from: &Vec<f32>,
        (rows, end): (&Vec<usize>, End),
        to: &mut Vec<f32>,
    ) -> Result<()> {
        examples::end_rows(from, rows, end, to);
        Ok(())
    }

    fn add_to_end_rows(
        &self,
        from: &Vec<f32>,
        (rows, end): (&Vec<usize>, End),
        to: &mut Vec<f32>,
    ) -> Result<()> {
        examples::add_to_end_rows(from, rows, end, to);
        Ok(())
    }

    fn means_forward(&self, from: &Vec<f32>, rows: &Vec<usize>, to: &mut Vec<f32>) -> Result<()> {
        examples::means_forward(from, rows, to);
        Ok(())
    }

    fn means_backward(
        &self,
        gradient: &Vec<f32>,
        rows: &Vec<usize>,
        to: &mut Vec<f32>,
    ) -> Result<()> {
        examples::means_backward(gradient, rows, to);
        Ok(())
    }

    fn linear_forward(
        &self,
        layer: &PackedLinear,
        x: &Vec<f32>,
        to: &mut Vec<f32>,
        add: bool,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let rows = x.len() / layer.inputs;
        to.resize(rows * layer.outputs, 0.0);
        let start = match add {
            true => Start::ResultAndBias(&layer.bias),
            false => Start::Bias(&layer.bias),
        };
        let (set, to) = (
            self.instruction_set,
            MatrixMut::new(to, rows, layer.outputs),
        );
        let rounded = &mut scratch.rounded;
        layer.forward.multiply(set, to, start, x, rounded);
        Ok(())
    }

    fn linear_backward(
        &self,
        layer: &PackedLinear,
        gradient: &Vec<f32>,
        to: &mut Vec<f32>,
        add: bool,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let rows = gradient.len() / layer.outputs;
        to.resize(rows * layer.inputs, 0.0);
        let start = if add { Start::Result } else { Start::Nothing };
        let (set, to) = (self.instruction_set, MatrixMut::new(to, rows, layer.inputs));
        let rounded = &mut scratch.rounded;
        layer.backward.multiply(set, to, start, gradient, rounded);
        Ok(())
    }

    fn norm_forward(
        &self,
        norm: &Norm,
        x: &mut Vec<f32>,
        saved: Option<&mut SavedNorm>,
    ) -> Result<()> {
        norm::forward(self.instruction_set, norm, x, saved);
        Ok(())
    }

    fn norm_backward(&self, norm: &Norm, saved: &SavedNorm, gradient: &mut Vec<f32>) -> Result<()> {
        norm::backward(self.instruction_set, norm, saved, gradient);
        Ok(())
    }

    fn linear_activation_forward(
        &self,
        (layer, activation): (&PackedLinear, Activation),
        x: &Vec<f32>,
        to: &mut Vec<f32>,
        slope: Option<&mut Vec<f32>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.linear_forward(layer, x, to, false, scratch)?;
        match slope {
            None => activation::in_place(self.instruction_set, activation, to),
            Some(slope) => {
                slope.resize(to.len(), 0.0);
                activation::with_derivative(self.instruction_set, activation, to, slope);
            }
        }
        Ok(())
    }

    fn activation_backward(
        &self,
        _: (&PackedLinear, Activation),
        slope: &Vec<f32>,
        gradient: &mut Vec<f32>,
    ) -> Result<()> {
        self.instruction_set.run(
            #[inline(always)]
            || {
                for (gradient, &slope) in gradient.iter_mut().zip(slope) {
                    *gradient *= slope;
                }
            },
        );
        Ok(())
    }

    fn gate_forward(
        &self,
        (activation, width): (Activation, usize),
        projected: &Vec<f32>,
        to: &mut Vec<f32>,
    ) -> Result<()> {
        to.resize(projected.len() / 2, 0.0);
        gate::forward(self.instruction_set, activation, width, projected, to);
        Ok(())
    }

    fn gate_backward(
        &self,
        (activation, width): (Activation, usize),
        projected: &Vec<f32>,
        gradient: &Vec<f32>,
        to: &mut Vec<f32>,
    ) -> Result<()> {
        to.resize(projected.len(), 0.0);
        let set = self.instruction_set;
        gate::backward(set, activation, width, projected, gradient, to);
        Ok(())
    }

    fn attention_forward(
        &self,
        (attention, projection): (&Attention, &PackedLinear),
        x: &Vec<f32>,
        rows: &Vec<usize>,
        projected: &mut Vec<f32>,
        mixed: &mut Vec<f32>,
        saved: &mut SavedAttention,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.linear_forward(projection, x, projected, false, scratch)?;
        mixed.resize(rows[rows.len() - 1] * attention.width(), 0.0);
        let kernel = self.of_attention(attention);
        kernel.forward(projected, rows, saved, mixed, &mut scratch.attention);
        Ok(())
    }

    fn attention_backward(
        &self,
        attention: &Attention,
        projected: &Vec<f32>,
        rows: &Vec<usize>,
        saved: &SavedAttention,
        gradient: &Vec<f32>,
        to: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        to.resize(projected.len(), 0.0);
        let kernel = self.of_attention(attention);
        let scratch = &mut scratch.attention;
        kernel.backward(projected, rows, saved, gradient, to, scratch);
        Ok(())
    }

    fn normalize(&self, width: usize, x: &mut Vec<f32>) -> Result<()> {
        self.instruction_set.run(
            #[inline(always)]
            || {
                for row in x.chunks_exact_mut(width) {
                    normalize_row(row, true, ADAPTER_NORM_EPSILON);
                }
            },
        );
        Ok(())
    }

    fn adapters_forward(
        &self,
        values: &Vec<f32>,
        blocks: &[AdapterBlock],
        x: &[(&Vec<f32>, Range<usize>)],
        sum: &mut Vec<f32>,
        saved: &mut Vec<SavedAdapter>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        saved.resize_with(blocks.len(), SavedAdapter::default);
        for ((AdapterBlock { place, rows }, (x, read)), saved) in blocks.iter().zip(x).zip(saved) {
            let x = &x[read.start * place.width..read.end * place.width];
            let sum = &mut sum[rows.start * place.width..rows.end * place.width];
            let scratch = &mut scratch.adapter;
            adapter::forward(
                self.instruction_set,
                (place, values),
                x,
                sum,
                saved,
                scratch,
            );
        }
        Ok(())
    }

    fn adapters_backward(
        &self,
        values: &Vec<f32>,
        blocks: &[AdapterBlock],
        saved: &Vec<SavedAdapter>,
        gradient: &Vec<f32>,
        towards_values: &mut Vec<f32>,
        mut towards_x: Option<&mut Vec<f32>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        if let Some(towards_x) = &mut towards_x {
            let sizes = blocks
                .iter()
                .map(|block| block.rows.len() * block.place.width);
            towards_x.resize(sizes.sum(), 0.0);
        }
        let mut rest = towards_x.map(|all| &mut all[..]);
        for (AdapterBlock { place, rows }, saved) in blocks.iter().zip(saved) {
            let own = rest
                .take()
                .map(|all| all.split_at_mut(rows.len() * place.width));
            let (own, behind) = own.unzip();
            rest = behind;
            adapter::backward(
                self.instruction_set,
                (place, values),
                saved,
                &gradient[rows.start * place.width..rows.end * place.width],
                towards_values,
                own,
                &mut scratch.adapter,
            );
        }
        Ok(())
    }

    fn heads_forward(
        &self,
        values: &Vec<f32>,
        heads: &HeadPlaces,
        features: &Vec<f32>,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        logits.clear();
        let features = features.chunks_exact((features.len() / heads.models).max(1));
        for (place, features) in heads.each().zip(features) {
            head::forward((&place, values), features, logits);
        }
        Ok(())
    }

    fn loss(
        &self,
        targets: &Targets,
        models: usize,
        factor: f32,
        logits: &mut Vec<f32>,
    ) -> Result<Vec<f64>> {
        let size = (logits.len() / models).max(1);
        let of_models = logits.chunks_exact_mut(size);
        Ok(of_models
            .map(|logits| loss::loss(targets, factor, logits))
            .collect())
    }

    fn heads_backward(
        &self,
        values: &Vec<f32>,
        heads: &HeadPlaces,
        features: &Vec<f32>,
        towards_logits: &Vec<f32>,
        towards_features: &mut Vec<f32>,
        towards_values: &mut Vec<f32>,
    ) -> Result<()> {
        towards_features.clear();
        let features = features.chunks_exact((features.len() / heads.models).max(1));
        let towards_logits =
            towards_logits.chunks_exact((towards_logits.len() / heads.models).max(1));
        for ((place, features), towards_logits) in heads.each().zip(features).zip(towards_logits) {
            head::backward(
                (&place, values),
                features,
                towards_logits,
                towards_features,
                towards_values,
            );
        }
        Ok(())
    }

    fn optimiser(&self, plan: OptimiserPlan) -> Result<ClippedAdamW> {
        Ok(ClippedAdamW::new(plan))
    }

    fn optimise(
        &self,
        optimiser: &mut ClippedAdamW,
        factor: f64,
        values: &mut Vec<f32>,
        gradients: &mut Vec<f32>,
    ) -> Result<Vec<f64>> {
        Ok(optimiser.step(factor, values, gradients))
    }

    fn side_by_side(&self, parts: &[&Vec<f32>], width: usize, to: &mut Vec<f32>) -> Result<()> {
        let rows = parts.first().map_or(0, |first| first.len() / width);
        to.clear();
        to.reserve(rows * parts.len() * width);
        for row in 0..rows {
            for part in parts {
                to.extend_from_slice(&part[row * width..][..width]);
            }
        }
        Ok(())
    }

    fn add_products(
        &self,
        left: Columns<'_, Vec<f32>>,
        right: Columns<'_, Vec<f32>>,
        sums: &mut Vec<f32>,
        block: MatrixBlock,
    ) -> Result<()> {
        gradient_products::add(&left, &right, sums, block);
        Ok(())
    }

    fn directions(&self, directions: Directions) -> Result<Directions> {
        Ok(directions)
    }

    fn along_directions(
        &self,
        directions: &Directions,
        x: &Vec<f32>,
        gradients: &Vec<f32>,
        rows: &Vec<usize>,
    ) -> Result<Vec<f32>> {
        Ok(gradient_products::along_directions(
            directions, x, gradients, rows,
        ))
    }

    fn numbers(&self, computed: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        Ok(computed.to_vec())
    }
}
