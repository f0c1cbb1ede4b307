//! The kernels of `kernels.cu`, whatever launches them.

#[cfg(feature = "cuda")]
pub(in crate::device) mod cuda;
mod operations;

use std::fmt::Debug;

use candle_core::{D, DType, Tensor};

use super::{Kept, NormKind, Normalized};
use crate::{Activation, ArithmeticError, Result};

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

/// The number of an activation in kernels.
fn number_of(activation: Activation) -> u32 {
    match activation {
        Activation::Gelu => 0,
        Activation::GeluByTanh => 1,
        Activation::QuickGelu => 2,
        Activation::Silu => 3,
    }
}

/// How many neighbouring values a thread reads and writes at once: 4 where the number of values in a row is a multiple of
/// it, and what is read starts at one.
fn vectors(row: usize, read: &[&Tensor]) -> usize {
    let aligned = |tensor: &&Tensor| tensor.layout().start_offset().is_multiple_of(4);
    if row.is_multiple_of(4) && read.iter().all(aligned) {
        4
    } else {
        1
    }
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

    /// Writes f(x + bias) and, if there is a place for it, its slope.
    fn activate_into(
        &self,
        activation: Activation,
        x: &Tensor,
        bias: &Tensor,
        value: &Tensor,
        slope: Option<&Tensor>,
    ) -> Result<()> {
        let Biased { rows, width } = Biased::of(x)?;
        let each = vectors(width, &[x, bias]);
        let values = x.elem_count() / each;
        let [result, rounded] = written(value);
        let arguments = [
            Argument::Read(x),
            Argument::Read(bias),
            Argument::Count(count(values)?),
            Argument::Count(count(rows)?),
            Argument::Count(count(width / each)?),
            Argument::Count(count(each)?),
            Argument::Count(number_of(activation)),
            result,
            rounded,
            slope.map_or(Argument::Null, Argument::Write),
        ];
        self.of_values("activate", values, &arguments)
    }

    /// Runs the kernel of norms.
    fn normalize_into(
        &self,
        x: &Tensor,
        weights: Option<[&Tensor; 2]>,
        of: NormKind,
        result: Option<&Tensor>,
        kept: Kept,
    ) -> Result<Normalized> {
        let (rows, width) = x.dims2()?;
        let of_rows = |wanted: bool, shape: &[usize]| match wanted {
            true => self.0.empty(shape).map(Some),
            false => Ok(None),
        };
        let normalized = of_rows(kept == Kept::Rows, x.dims())?;
        let means = of_rows(kept == Kept::Input, &[rows, 1])?;
        let inverse_deviation = self.0.empty(&[rows, 1])?;
        let [result, rounded] = result.map_or([Argument::Null, Argument::Null], written);
        let arguments = [
            Argument::Read(x),
            maybe(weights.map(|[weight, _]| weight)),
            maybe(weights.map(|[_, bias]| bias)),
            Argument::Count(u32::from(of.centred)),
            Argument::Number(of.epsilon as f32),
            Argument::Count(count(rows)?),
            Argument::Count(count(width)?),
            result,
            rounded,
            normalized.as_ref().map_or(Argument::Null, Argument::Write),
            means.as_ref().map_or(Argument::Null, Argument::Write),
            Argument::Write(&inverse_deviation),
        ];
        self.of_rows("norm_forward", rows, &arguments)?;
        Ok(Normalized {
            centred: of.centred,
            rows: normalized.unwrap_or_else(|| x.clone()),
            inverse_deviation,
            means,
        })
    }

    /// The nearest numbers of bf16.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn rounded(&self, x: &Tensor) -> Result<Tensor> {
        let result = self.0.empty_of(x.dims(), DType::BF16)?;
        let each = vectors(x.elem_count(), &[x]);
        let values = x.elem_count() / each;
        let arguments = [
            Argument::Read(x),
            Argument::Count(count(values)?),
            Argument::Count(count(each)?),
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
