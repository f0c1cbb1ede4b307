//! Products of matrices whose right operand is packed once and used many times.
//!
//! The right operand is cut into panels a few vectors wide. In each panel the rows follow each other, so the innermost
//! loop reads it sequentially (Goto and van de Geijn, 2008). That loop keeps a tile of the result in registers: for
//! every k it takes one row of the panel and one value from each of the tile's rows of the left operand. The left
//! operand is read in place. Every entry of the result is one sum in the order of k, whatever tile it belongs to, so
//! neither the number of rows nor their position changes a bit.

use pulp::{Simd, WithSimd};

use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, MatrixMut};

/// The number of vectors in a panel's width. With 8 rows (4 if there are 16 registers) a tile fills the registers.
const PANEL_VECTORS: usize = 3;

/// The number of rows of the right operand that are multiplied at a time. This much of a panel stays in the
/// second-level cache, and this much of the left operand's tile in the first.
const DEPTH_BLOCK: usize = 384;

/// Sixteen values at an address that can be loaded in one piece.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// The right operand of a product, (depth, columns).
#[derive(Clone, Default)]
pub struct Packed {
    lines: Vec<Line>,
    depth: usize,
    columns: usize,
    /// The number of values in a vector of the instruction set for which the operand is packed.
    lanes: usize,
}

/// The values to which a product is added.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// result = scale * left right
    Nothing,
    /// result = bias + scale * left right, with the bias in every row
    Bias(&'a [f32]),
    /// result += scale * left right
    Result,
    /// result += bias + scale * left right
    ResultAndBias(&'a [f32]),
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Packed({} x {})", self.depth, self.columns)
    }
}

impl Packed {
    /// Packs `source` in place of what was packed before, reusing its memory.
    pub fn pack(&mut self, set: InstructionSet, source: Matrix<'_>) {
        set.run_generic(Pack {
            packed: self,
            source,
        });
    }

    /// Packs `source`.
    #[must_use]
    pub fn new(set: InstructionSet, source: Matrix<'_>) -> Self {
        let mut packed = Self::default();
        packed.pack(set, source);
        packed
    }

    fn values(&self) -> *const f32 {
        self.lines.as_ptr().cast()
    }

    fn values_mut(&mut self) -> &mut [f32] {
        let length = 16 * self.lines.len();
        // SAFETY: `Line` is sixteen f32 without padding, so the lines are that many values in a row.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), length) }
    }
}

struct Pack<'a> {
    packed: &'a mut Packed,
    source: Matrix<'a>,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { packed, source } = self;
        let layout = source.layout;
        let lanes = S::F32_LANES;
        let (depth, columns) = (layout.rows, layout.columns);
        let padded = columns.div_ceil(lanes) * lanes;
        packed.depth = depth;
        packed.columns = columns;
        packed.lanes = lanes;
        packed
            .lines
            .resize((depth * padded).div_ceil(16), Line([0.0; 16]));
        let values = packed.values_mut();
        let width = PANEL_VECTORS * lanes;
        for begin in (0..columns).step_by(width) {
            let real = width.min(columns - begin);
            let stored = real.div_ceil(lanes) * lanes;
            let panel = &mut values[begin * depth..][..stored * depth];
            for (k, row) in panel.chunks_exact_mut(stored).enumerate() {
                let (row, rest) = row.split_at_mut(real);
                rest.fill(0.0);
                let from = k * layout.row_stride + begin * layout.column_stride;
                if layout.column_stride == 1 {
                    row.copy_from_slice(&source.data[from..from + real]);
                } else {
                    let column = source.data[from..].iter().step_by(layout.column_stride);
                    row.iter_mut()
                        .zip(column)
                        .for_each(|(to, &from)| *to = from);
                }
            }
        }
    }
}

/// Adds `scale` times the product of `left` and `right` to `start`, on the calling thread alone.
///
/// # Panics
/// If the shapes do not fit, or if `right` was packed for another instruction set.
pub fn multiply(
    set: InstructionSet,
    result: MatrixMut<'_>,
    start: Start<'_>,
    left: Matrix<'_>,
    right: &Packed,
    scale: f32,
) {
    let (rows, depth) = (left.layout.rows, left.layout.columns);
    assert!(
        (result.rows, result.columns, depth) == (rows, right.columns, right.depth),
        "a product of {rows} x {depth} and {} x {} does not give {} x {}",
        right.depth,
        right.columns,
        result.rows,
        result.columns
    );
    if let Start::Bias(bias) | Start::ResultAndBias(bias) = start {
        assert_eq!(
            bias.len(),
            right.columns,
            "a bias has a value for each column"
        );
    }
    set.run_generic(Multiply {
        result,
        start,
        left,
        right,
        scale,
    });
}

struct Multiply<'a> {
    result: MatrixMut<'a>,
    start: Start<'a>,
    left: Matrix<'a>,
    right: &'a Packed,
    scale: f32,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert_eq!(
            self.right.lanes,
            S::F32_LANES,
            "the operand was packed for another instruction set"
        );
        if S::REGISTER_COUNT >= 32 {
            self.blocks::<S, 8>(simd);
        } else {
            self.blocks::<S, 4>(simd);
        }
    }
}

impl Multiply<'_> {
    /// Computes tiles of `ROWS` rows over all blocks of the depth, panels and rows.
    #[inline(always)]
    fn blocks<S: Simd, const ROWS: usize>(self, simd: S) {
        let (left, right) = (self.left.layout, self.right);
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        // A product over nothing still has to write its start.
        let blocks = right.depth.div_ceil(DEPTH_BLOCK).max(1);
        for block in 0..blocks {
            let k = block * DEPTH_BLOCK;
            for column in (0..right.columns).step_by(width) {
                let real = width.min(right.columns - column);
                let vectors = real.div_ceil(lanes);
                let start = match self.start {
                    _ if block > 0 => Start::Result,
                    Start::Bias(bias) => Start::Bias(&bias[column..column + real]),
                    Start::ResultAndBias(bias) => {
                        Start::ResultAndBias(&bias[column..column + real])
                    }
                    other => other,
                };
                for row in (0..left.rows).step_by(ROWS) {
                    let from = row * left.row_stride + k * left.column_stride;
                    let tile = Tile {
                        left: self.left.data.as_ptr().wrapping_add(from),
                        row_stride: left.row_stride,
                        column_stride: left.column_stride,
                        right: right
                            .values()
                            .wrapping_add(column * right.depth + k * vectors * lanes),
                        depth: DEPTH_BLOCK.min(right.depth - k),
                        scale: self.scale,
                        start,
                        columns: real,
                        result_stride: self.result.row_stride,
                    };
                    let rows = ROWS.min(left.rows - row);
                    let result = &mut self.result.data[row * self.result.row_stride + column..];
                    // SAFETY: a panel has `vectors * lanes` values for each of the `right.depth` rows, of which the
                    // tile reads `depth`, starting at row k. The constructors of `Matrix` checked that the left operand
                    // contains its entry (row + rows - 1, k + depth - 1).
                    unsafe { tile.compute::<S, ROWS>(simd, rows, vectors, result) };
                }
            }
        }
    }
}

/// One tile of a product: some rows of the left operand, one panel of the right one, one block of the depth.
struct Tile<'a> {
    left: *const f32,
    row_stride: usize,
    column_stride: usize,
    right: *const f32,
    depth: usize,
    scale: f32,
    start: Start<'a>,
    columns: usize,
    result_stride: usize,
}

impl Tile<'_> {
    /// # Safety
    /// `left` must hold `rows` x `depth` values at its strides, and `right` `depth` rows of `vectors` vectors.
    #[inline(always)]
    unsafe fn compute<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        rows: usize,
        vectors: usize,
        result: &mut [f32],
    ) {
        macro_rules! of_shape {
            ($($rows:literal)+) => {
                match (rows, vectors) {
                    $(
                        ($rows, 1) => unsafe { self.of_shape::<S, $rows, 1>(simd, result) },
                        ($rows, 2) => unsafe { self.of_shape::<S, $rows, 2>(simd, result) },
                        ($rows, 3) => unsafe { self.of_shape::<S, $rows, 3>(simd, result) },
                    )+
                    _ => unreachable!("a tile has at most {ROWS} rows and {PANEL_VECTORS} vectors"),
                }
            };
        }
        if ROWS == 8 {
            of_shape!(8 7 6 5 4 3 2 1);
        } else {
            of_shape!(4 3 2 1);
        }
    }

    #[inline(always)]
    unsafe fn of_shape<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        result: &mut [f32],
    ) {
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        let (mut left, mut right) = (self.left, self.right);
        for _ in 0..self.depth {
            // SAFETY: see `compute`. The pointers advance by one entry of `depth` in each round.
            unsafe {
                let mut panel = [simd.splat_f32s(0.0); VECTORS];
                for (vector, panel) in panel.iter_mut().enumerate() {
                    *panel = right.add(vector * lanes).cast::<S::f32s>().read_unaligned();
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*left.add(row * self.row_stride));
                    for (sum, &panel) in sums.iter_mut().zip(&panel) {
                        *sum = simd.mul_add_e_f32s(value, panel, *sum);
                    }
                }
                right = right.add(VECTORS * lanes);
                left = left.wrapping_add(self.column_stride);
            }
        }
        let scale = simd.splat_f32s(self.scale);
        for (row, sums) in sums.iter().enumerate() {
            let result = &mut result[row * self.result_stride..][..self.columns];
            for (vector, &sum) in sums.iter().enumerate() {
                let range = vector * lanes..((vector + 1) * lanes).min(self.columns);
                let start = match self.start {
                    Start::Nothing => simd.splat_f32s(0.0),
                    Start::Bias(bias) => load(simd, &bias[range.clone()]),
                    Start::Result => load(simd, &result[range.clone()]),
                    Start::ResultAndBias(bias) => {
                        let before = load(simd, &result[range.clone()]);
                        simd.add_f32s(before, load(simd, &bias[range.clone()]))
                    }
                };
                let value = simd.mul_add_e_f32s(scale, sum, start);
                store(simd, &mut result[range], value);
            }
        }
    }
}

/// A vector of `values`, filled up with zeros.
#[inline(always)]
fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(values),
    }
}

/// Stores as many values of a vector as there is room for.
#[inline(always)]
fn store<S: Simd>(simd: S, to: &mut [f32], value: S::f32s) {
    match S::as_mut_simd_f32s(to) {
        ([whole], []) => *whole = value,
        (_, _) => simd.partial_store_f32s(to, value),
    }
}

#[cfg(test)]
mod tests;
