//! The kernels of `kernels.cu`, whatever launches them.

#[cfg(feature = "cuda")]
pub(in crate::device) mod cuda;

use std::fmt::Debug;
use std::ops::Range;

use candle_core::{D, DType, Tensor};

use super::{AdamWStep, Composition, Compound, Normalized, Normed};
use crate::device::optimiser::{Models, Moments};
use crate::device::rows::ExampleRows;
use crate::kernels::adamw::{EPSILON, MEAN_DECAY, SQUARE_DECAY};
use crate::{ArithmeticError, Result};

/// The kernels in CUDA C++.
pub(super) const SOURCE: &str = include_str!("kernels.cu");

/// The number of warps in a block of a kernel that processes rows.
const WARPS: u32 = 4;
/// The number of warps in the block that computes the norm of a model.
const WARPS_OF_NORM: u32 = 32;
/// The number of threads in a block of a kernel that has a thread for each value.
const THREADS: u32 = 256;

/// An argument of a kernel.
pub(in crate::device) enum Argument<'a> {
    /// The first of the values of a contiguous tensor.
    Read(&'a Tensor),
    /// The same of a tensor that the kernel overwrites.
    Write(&'a Tensor),
    Null,
    Count(u32),
    Number(f32),
}

/// The numbers of blocks, and of threads in each block along x and y.
pub(in crate::device) struct Grid {
    pub(super) blocks: u32,
    pub(super) threads: (u32, u32),
}

/// What runs kernels.
pub(in crate::device) trait Launcher: Debug + Send + Sync {
    /// A contiguous tensor of f32 or bf16 whose values are arbitrary.
    fn empty_of(&self, shape: &[usize], of: DType) -> Result<Tensor>;

    /// The same of f32.
    fn empty(&self, shape: &[usize]) -> Result<Tensor> {
        self.empty_of(shape, DType::F32)
    }

    /// These numbers where kernels read them.
    fn indices(&self, of: Vec<u32>) -> Result<Tensor>;

    /// Runs a kernel of [`SOURCE`], whose parameters these arguments match.
    fn launch(&self, kernel: &'static str, grid: &Grid, arguments: &[Argument<'_>]) -> Result<()>;
}

/// The operations as kernels.
#[derive(Debug)]
pub(in crate::device) struct Kernels<L>(pub(super) L);

/// The shape of a biased tensor: blocks of `rows` rows of `width` values, each block with a bias of its own.
struct Biased {
    rows: usize,
    width: usize,
}

impl Biased {
    fn of(x: &Tensor) -> Result<Self> {
        let (width, rows) = (x.dim(D::Minus1)?, x.dim(D::Minus2)?);
        Ok(Self { rows, width })
    }
}

fn count(of: usize) -> Result<u32> {
    let too_many = |_| ArithmeticError(format!("{of} values are too many for one operation"));
    u32::try_from(of).map_err(too_many)
}

fn maybe(tensor: Option<&Tensor>) -> Argument<'_> {
    tensor.map_or(Argument::Null, Argument::Read)
}

/// The arguments `result` and `rounded` of a kernel that writes to one of them.
fn written(result: &Tensor) -> [Argument<'_>; 2] {
    match result.dtype() {
        DType::BF16 => [Argument::Null, Argument::Write(result)],
        _ => [Argument::Write(result), Argument::Null],
    }
}

/// The number of values that a thread copies if rows of `width` values are copied.
fn vectors(width: usize) -> usize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

impl<L: Launcher> Kernels<L> {
    /// Runs a kernel with a warp for each row.
    fn of_rows(&self, kernel: &'static str, rows: usize, arguments: &[Argument<'_>]) -> Result<()> {
        let grid = Grid {
            blocks: count(rows)?.div_ceil(WARPS),
            threads: (32, WARPS),
        };
        self.run(kernel, &grid, arguments)
    }

    /// Runs a kernel with a thread for each value.
    fn of_values(
        &self,
        kernel: &'static str,
        values: usize,
        arguments: &[Argument<'_>],
    ) -> Result<()> {
        let grid = Grid {
            blocks: count(values)?.div_ceil(THREADS),
            threads: (THREADS, 1),
        };
        self.run(kernel, &grid, arguments)
    }

    /// Writes gelu(x + bias) and, if there is a place for it, its slope.
    fn activate(
        &self,
        x: &Tensor,
        bias: &Tensor,
        value: &Tensor,
        slope: Option<&Tensor>,
    ) -> Result<()> {
        let Biased { rows, width } = Biased::of(x)?;
        let values = x.elem_count();
        let [result, rounded] = written(value);
        let arguments = [
            Argument::Read(x),
            Argument::Read(bias),
            Argument::Count(count(values)?),
            Argument::Count(count(rows)?),
            Argument::Count(count(width)?),
            result,
            rounded,
            slope.map_or(Argument::Null, Argument::Write),
        ];
        self.of_values("gelu", values, &arguments)
    }

    /// The nearest numbers of bf16.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn rounded(&self, x: &Tensor) -> Result<Tensor> {
        let result = self.0.empty_of(x.dims(), DType::BF16)?;
        let values = x.elem_count();
        let arguments = [
            Argument::Read(x),
            Argument::Count(count(values)?),
            Argument::Write(&result),
        ];
        self.of_values("round_to_bf16", values, &arguments)?;
        Ok(result)
    }

    fn run(&self, kernel: &'static str, grid: &Grid, arguments: &[Argument<'_>]) -> Result<()> {
        match grid.blocks {
            0 => Ok(()),
            _ => self.0.launch(kernel, grid, arguments),
        }
    }
}

impl<L: Launcher> Compound for Kernels<L> {
    fn add_bias(&self, x: &Tensor, bias: &Tensor, to: Option<&Tensor>) -> Result<Tensor> {
        let Biased { rows, width } = Biased::of(x)?;
        let result = self.0.empty(x.dims())?;
        let values = x.elem_count();
        let arguments = [
            Argument::Read(x),
            Argument::Read(bias),
            maybe(to),
            Argument::Count(count(values)?),
            Argument::Count(count(rows)?),
            Argument::Count(count(width)?),
            Argument::Write(&result),
        ];
        self.of_values("add_bias", values, &arguments)?;
        Ok(result)
    }

    fn gelu(&self, x: &Tensor, bias: &Tensor, result: DType) -> Result<Tensor> {
        let result = self.0.empty_of(x.dims(), result)?;
        self.activate(x, bias, &result, None)?;
        Ok(result)
    }

    fn gelu_and_slope(&self, x: &Tensor, bias: &Tensor, result: DType) -> Result<[Tensor; 2]> {
        let (result, slope) = (self.0.empty_of(x.dims(), result)?, self.0.empty(x.dims())?);
        self.activate(x, bias, &result, Some(&slope))?;
        Ok([result, slope])
    }

    fn multiply(&self, x: &Tensor, factors: &Tensor, result: DType) -> Result<Tensor> {
        let product = self.0.empty_of(x.dims(), result)?;
        let values = x.elem_count();
        let [result, rounded] = written(&product);
        let arguments = [
            Argument::Read(x),
            Argument::Read(factors),
            Argument::Count(count(values)?),
            result,
            rounded,
        ];
        self.of_values("multiply", values, &arguments)?;
        Ok(product)
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
        let values = to.elem_count();
        let arguments = [
            Argument::Read(to),
            Argument::Read(from),
            Argument::Read(&places),
            Argument::Count(count(values)?),
            Argument::Count(count(length * width)?),
            Argument::Count(count(blocks.len())?),
            Argument::Write(&result),
        ];
        self.of_values("add_blocks", values, &arguments)?;
        Ok(result)
    }

    fn norm_forward(
        &self,
        x: &Tensor,
        weights: Option<[&Tensor; 2]>,
        epsilon: f64,
    ) -> Result<Normed> {
        let (rows, width) = x.dims2()?;
        let normalized = self.0.empty(x.dims())?;
        let inverse_deviation = self.0.empty(&[rows, 1])?;
        let weighted = weights.map(|_| self.0.empty(x.dims())).transpose()?;
        let arguments = [
            Argument::Read(x),
            maybe(weights.map(|[weight, _]| weight)),
            maybe(weights.map(|[_, bias]| bias)),
            Argument::Number(epsilon as f32),
            Argument::Count(count(rows)?),
            Argument::Count(count(width)?),
            weighted.as_ref().map_or(Argument::Null, Argument::Write),
            Argument::Write(&normalized),
            Argument::Write(&inverse_deviation),
        ];
        self.of_rows("norm_forward", rows, &arguments)?;
        Ok(Normed {
            result: weighted.unwrap_or_else(|| normalized.clone()),
            saved: Normalized {
                rows: normalized,
                inverse_deviation,
            },
        })
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
            Argument::Read(&saved.inverse_deviation),
            maybe(to),
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
        parts: usize,
        heads: usize,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let ((examples, tokens), indices) = (rows.table(), rows.indices()?);
        let head_width = from.dims2()?.1 / parts / heads;
        let result = self
            .0
            .empty(&[parts, examples, heads, tokens, head_width])?;
        let each = vectors(head_width);
        let values = result.elem_count() / each;
        let arguments = [
            Argument::Read(from),
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
        let each = vectors(head_width);
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
