//! Each operation as the launch of a kernel.

use std::ops::Range;

use candle_core::{D, DType, Tensor};

use super::{
    Argument, Biased, Grid, Kernels, Launcher, WARPS_OF_NORM, count, maybe, number_of, vectors,
    written,
};
use crate::device::compound::{AdamWStep, Composition, Compound, Kept, NormKind, Normalized};
use crate::device::optimiser::{Models, Moments};
use crate::device::rows::ExampleRows;
use crate::kernels::adamw::{EPSILON, MEAN_DECAY, SQUARE_DECAY};
use crate::{Activation, Result};

impl<L: Launcher> Compound for Kernels<L> {
    fn add_bias(&self, x: &Tensor, bias: &Tensor, to: Option<&Tensor>) -> Result<Tensor> {
        let Biased { rows, width } = Biased::of(x)?;
        let result = self.0.empty(x.dims())?;
        let read: Vec<&Tensor> = [x, bias].into_iter().chain(to).collect();
        let each = vectors(width, &read);
        let values = x.elem_count() / each;
        let arguments = [
            Argument::Read(x),
            Argument::Read(bias),
            maybe(to),
            Argument::Count(count(values)?),
            Argument::Count(count(rows)?),
            Argument::Count(count(width / each)?),
            Argument::Count(count(each)?),
            Argument::Write(&result),
        ];
        self.of_values("add_bias", values, &arguments)?;
        Ok(result)
    }

    fn activate(
        &self,
        activation: Activation,
        x: &Tensor,
        bias: &Tensor,
        result: DType,
    ) -> Result<Tensor> {
        let result = self.0.empty_of(x.dims(), result)?;
        self.activate_into(activation, x, bias, &result, None)?;
        Ok(result)
    }

    fn gelu_and_slope(&self, x: &Tensor, bias: &Tensor) -> Result<[Tensor; 2]> {
        let (result, slope) = (self.0.empty(x.dims())?, self.0.empty(x.dims())?);
        self.activate_into(Activation::Gelu, x, bias, &result, Some(&slope))?;
        Ok([result, slope])
    }

    fn activation_backward(
        &self,
        activation: Activation,
        gradient: &Tensor,
        x: &Tensor,
        bias: &Tensor,
        result: DType,
    ) -> Result<Tensor> {
        let Biased { rows, width } = Biased::of(x)?;
        let towards = self.0.empty_of(x.dims(), result)?;
        let each = vectors(width, &[gradient, x, bias]);
        let values = x.elem_count() / each;
        let [result, rounded] = written(&towards);
        let arguments = [
            Argument::Read(gradient),
            Argument::Read(x),
            Argument::Read(bias),
            Argument::Count(count(values)?),
            Argument::Count(count(rows)?),
            Argument::Count(count(width / each)?),
            Argument::Count(count(each)?),
            Argument::Count(number_of(activation)),
            result,
            rounded,
        ];
        self.of_values("activation_backward", values, &arguments)?;
        Ok(towards)
    }

    fn add_blocks(&self, to: &Tensor, from: &Tensor, blocks: &[Range<usize>]) -> Result<Tensor> {
        let (rows, width) = to.dims2()?;
        // The blocks of several models have the same number of rows, and are at multiples of it.
        let length = blocks.first().map_or(0, Range::len);
        let aligned = |block: &Range<usize>| {
            block.len() == length && block.start.is_multiple_of(length) && block.end <= rows
        };
        if length == 0 || !rows.is_multiple_of(length) || !blocks.iter().all(aligned) {
            return Composition.add_blocks(to, from, blocks);
        }
        let mut places = vec![u32::MAX; rows / length];
        for (place, block) in blocks.iter().enumerate() {
            places[block.start / length] = place as u32;
        }
        let places = self.0.indices(places)?;
        let result = self.0.empty(to.dims())?;
        let each = vectors(width, &[to, from]);
        let values = to.elem_count() / each;
        let arguments = [
            Argument::Read(to),
            Argument::Read(from),
            Argument::Read(&places),
            Argument::Count(count(values)?),
            Argument::Count(count(length * width / each)?),
            Argument::Count(count(blocks.len())?),
            Argument::Count(count(each)?),
            Argument::Write(&result),
        ];
        self.of_values("add_blocks", values, &arguments)?;
        Ok(result)
    }

    fn normalize(&self, x: &Tensor, of: NormKind) -> Result<Normalized> {
        self.normalize_into(x, None, of, None, Kept::Rows)
    }

    fn norm_forward(
        &self,
        x: &Tensor,
        weights: [&Tensor; 2],
        of: NormKind,
        kept: Kept,
        result: DType,
    ) -> Result<(Tensor, Option<Normalized>)> {
        let result = self.0.empty_of(x.dims(), result)?;
        let normalized = self.normalize_into(x, Some(weights), of, Some(&result), kept)?;
        Ok((result, (kept != Kept::Nothing).then_some(normalized)))
    }

    fn norm_backward(
        &self,
        gradient: &Tensor,
        weight: Option<&Tensor>,
        saved: &Normalized,
        to: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (rows, width) = gradient.dims2()?;
        let result = self.0.empty(gradient.dims())?;
        let arguments = [
            Argument::Read(gradient),
            maybe(weight),
            Argument::Read(&saved.rows),
            maybe(saved.means.as_ref()),
            Argument::Read(&saved.inverse_deviation),
            maybe(to),
            Argument::Count(u32::from(saved.centred)),
            Argument::Count(count(rows)?),
            Argument::Count(count(width)?),
            Argument::Write(&result),
        ];
        self.of_rows("norm_backward", rows, &arguments)?;
        Ok(result)
    }

    fn sums(&self, of: &Tensor, rows: &ExampleRows) -> Result<Tensor> {
        let ((examples, _), indices) = (rows.table(), rows.indices()?);
        let width = of.dim(D::Minus1)?;
        let result = self.0.empty(&[examples, width])?;
        let values = result.elem_count();
        let arguments = [
            Argument::Read(of),
            Argument::Read(&indices.first),
            Argument::Read(&indices.lengths),
            Argument::Count(count(values)?),
            Argument::Count(count(width)?),
            Argument::Write(&result),
        ];
        self.of_values("sums_of_examples", values, &arguments)?;
        Ok(result)
    }

    fn split_heads(
        &self,
        from: &Tensor,
        bias: Option<&Tensor>,
        parts: usize,
        heads: usize,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let ((examples, tokens), indices) = (rows.table(), rows.indices()?);
        let head_width = from.dims2()?.1 / parts / heads;
        let result = self
            .0
            .empty(&[parts, examples, heads, tokens, head_width])?;
        let read: Vec<&Tensor> = [from].into_iter().chain(bias).collect();
        let each = vectors(head_width, &read);
        let values = result.elem_count() / each;
        let arguments = [
            Argument::Read(from),
            maybe(bias),
            Argument::Read(&indices.first),
            Argument::Read(&indices.lengths),
            Argument::Count(count(values)?),
            Argument::Count(count(parts)?),
            Argument::Count(count(examples)?),
            Argument::Count(count(heads)?),
            Argument::Count(count(tokens)?),
            Argument::Count(count(head_width / each)?),
            Argument::Count(count(each)?),
            Argument::Write(&result),
        ];
        self.of_values("split_heads", values, &arguments)?;
        Ok(result)
    }

    fn merge_heads(&self, parts: &[Tensor], rows: &ExampleRows, result: DType) -> Result<Tensor> {
        let (_, heads, tokens, head_width) = parts[0].dims4()?;
        let (all_rows, indices) = (rows.rows(), rows.indices()?);
        let shape = [all_rows, parts.len() * heads * head_width];
        let merged = self.0.empty_of(&shape, result)?;
        let read: Vec<&Tensor> = parts.iter().collect();
        let each = vectors(head_width, &read);
        let values = merged.elem_count() / each;
        let [result, rounded] = written(&merged);
        let arguments = [
            Argument::Read(&parts[0]),
            maybe(parts.get(1)),
            maybe(parts.get(2)),
            Argument::Read(&indices.first),
            Argument::Read(&indices.example_of_row),
            Argument::Count(count(values)?),
            Argument::Count(count(parts.len())?),
            Argument::Count(count(heads)?),
            Argument::Count(count(tokens)?),
            Argument::Count(count(head_width / each)?),
            Argument::Count(count(each)?),
            result,
            rounded,
        ];
        self.of_values("merge_heads", values, &arguments)?;
        Ok(merged)
    }

    fn softmax_forward(&self, scores: &Tensor, scale: f64, rows: &ExampleRows) -> Result<Tensor> {
        let (examples, heads, tokens, _) = scores.dims4()?;
        let indices = rows.indices()?;
        let result = self.0.empty(scores.dims())?;
        let all_rows = examples * heads * tokens;
        let arguments = [
            Argument::Read(scores),
            Argument::Read(&indices.lengths),
            Argument::Number(scale as f32),
            Argument::Count(count(all_rows)?),
            Argument::Count(count(heads * tokens)?),
            Argument::Count(count(tokens)?),
            Argument::Write(&result),
        ];
        self.of_rows("softmax_forward", all_rows, &arguments)?;
        Ok(result)
    }

    fn softmax_backward(
        &self,
        towards_weights: &Tensor,
        weights: &Tensor,
        scale: f64,
    ) -> Result<Tensor> {
        let (examples, heads, tokens, _) = weights.dims4()?;
        let result = self.0.empty(weights.dims())?;
        let all_rows = examples * heads * tokens;
        let arguments = [
            Argument::Read(towards_weights),
            Argument::Read(weights),
            Argument::Number(scale as f32),
            Argument::Count(count(all_rows)?),
            Argument::Count(count(tokens)?),
            Argument::Write(&result),
        ];
        self.of_rows("softmax_backward", all_rows, &arguments)?;
        Ok(result)
    }

    fn norms_of_models(&self, gradients: &Tensor, models: &Models) -> Result<Tensor> {
        let result = self.0.empty(&[models.count])?;
        let most = models.values.elem_count() / models.count;
        let arguments = [
            Argument::Read(gradients),
            Argument::Read(&models.values),
            Argument::Count(count(gradients.elem_count())?),
            Argument::Count(count(most)?),
            Argument::Write(&result),
        ];
        let grid = Grid {
            blocks: count(models.count)?,
            threads: (32, WARPS_OF_NORM),
        };
        self.run("norms_of_models", &grid, &arguments)?;
        Ok(result)
    }

    fn adamw(
        &self,
        step: &AdamWStep<'_>,
        values: &Tensor,
        gradients: &Tensor,
        moments: &mut Moments,
    ) -> Result<Tensor> {
        let [result, means, squares] = [0; 3].map(|_| self.0.empty(values.dims()));
        let (result, means, squares) = (result?, means?, squares?);
        let all = values.elem_count();
        let arguments = [
            Argument::Read(values),
            Argument::Read(gradients),
            Argument::Read(&moments.means),
            Argument::Read(&moments.squares),
            Argument::Read(step.rates),
            Argument::Read(&step.models.of_value),
            Argument::Read(step.norms),
            Argument::Number(step.clip as f32),
            Argument::Number(step.factor as f32),
            Argument::Number(step.weight_decay as f32),
            Argument::Number(MEAN_DECAY as f32),
            Argument::Number((1.0 - MEAN_DECAY) as f32),
            Argument::Number(SQUARE_DECAY as f32),
            Argument::Number((1.0 - SQUARE_DECAY) as f32),
            Argument::Number((1.0 / (1.0 - MEAN_DECAY.powi(step.number))) as f32),
            Argument::Number((1.0 / (1.0 - SQUARE_DECAY.powi(step.number))) as f32),
            Argument::Number(EPSILON),
            Argument::Count(count(all)?),
            Argument::Write(&result),
            Argument::Write(&means),
            Argument::Write(&squares),
        ];
        self.of_values("adamw", all, &arguments)?;
        *moments = Moments { means, squares };
        Ok(result)
    }
}
