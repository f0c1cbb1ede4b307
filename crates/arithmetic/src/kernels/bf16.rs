//! Products of bf16 matrices with sums in f32, using the instructions of AVX-512-BF16.
//!
//! The layout is that of [`super::product`], except that two neighbouring k are side by side: one instruction
//! multiplies a pair in each of sixteen columns with a pair of the left operand's row, and adds both products to the
//! sum.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_castps_si512, _mm512_cvtne2ps_pbh,
    _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_si512,
};
use std::mem::transmute;

use half::bf16;

use super::matrix::{Matrix, MatrixMut};
use super::product::Start;

/// The number of f32 values in a vector, which is also the number of bf16 pairs.
const LANES: usize = 16;
const PANEL_VECTORS: usize = 3;
const PANEL: usize = PANEL_VECTORS * LANES;
const ROWS: usize = 8;
/// The number of pairs of k that are multiplied at a time.
const PAIRS_BLOCK: usize = 384;

/// One vector of pairs at an address that can be loaded in one piece.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([[bf16; 2]; LANES]);

/// The right operand of a product, (depth, columns), rounded to bf16.
pub(crate) struct PackedBf16 {
    /// The pairs, panel by panel, and within a panel by pair of rows.
    lines: Vec<Line>,
    depth: usize,
    columns: usize,
}

impl PackedBf16 {
    pub(crate) fn new(source: Matrix<'_>) -> Self {
        let layout = source.layout;
        let (depth, columns) = (layout.rows, layout.columns);
        let mut lines = Vec::with_capacity(depth.div_ceil(2) * columns.div_ceil(LANES));
        let value = |k: usize, column: usize| match k < depth && column < columns {
            true => {
                bf16::from_f32(source.data[k * layout.row_stride + column * layout.column_stride])
            }
            false => bf16::ZERO,
        };
        for begin in (0..columns).step_by(PANEL) {
            let end = columns.min(begin + PANEL);
            for k in (0..depth).step_by(2) {
                for column in (begin..end).step_by(LANES) {
                    let pair = |lane| [value(k, column + lane), value(k + 1, column + lane)];
                    lines.push(Line(std::array::from_fn(pair)));
                }
            }
        }
        Self {
            lines,
            depth,
            columns,
        }
    }
}

/// Adds the product of `left`, rounded to bf16 in `scratch`, and `right` to `start`, on the calling thread alone.
///
/// # Panics
/// If the shapes do not fit, or if the machine has no AVX-512-BF16.
pub(crate) fn multiply(
    result: MatrixMut<'_>,
    start: Start<'_>,
    left: &[f32],
    right: &PackedBf16,
    scratch: &mut Vec<u16>,
) {
    let rows = left.len() / right.depth;
    assert_eq!(
        (result.rows, result.columns, left.len()),
        (rows, right.columns, rows * right.depth),
        "a product of {} values and {} x {} does not give {} x {}",
        left.len(),
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
    assert!(
        std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512bf16"),
        "bf16 products need AVX-512-BF16"
    );
    let pairs = right.depth.div_ceil(2);
    // A row of the rounded operand consists of whole vectors, so none is rounded in two parts.
    let stride = right.depth.next_multiple_of(2 * LANES);
    scratch.resize(rows * stride, 0);
    // SAFETY: the machine has the instructions, and the scratch has `stride` values for each row of `depth`.
    unsafe { round(left, right.depth, stride, scratch) };
    for block in 0..pairs.div_ceil(PAIRS_BLOCK).max(1) {
        let pair = block * PAIRS_BLOCK;
        for column in (0..right.columns).step_by(PANEL) {
            let real = PANEL.min(right.columns - column);
            let vectors = real.div_ceil(LANES);
            let start = match start {
                _ if block > 0 => Start::Result,
                Start::Bias(bias) => Start::Bias(&bias[column..column + real]),
                Start::ResultAndBias(bias) => Start::ResultAndBias(&bias[column..column + real]),
                other => other,
            };
            let panel = &right.lines[column / LANES * pairs + pair * vectors..];
            for row in (0..rows).step_by(ROWS) {
                let tile = Tile {
                    left: &scratch[row * stride + 2 * pair..],
                    stride,
                    right: panel,
                    pairs: PAIRS_BLOCK.min(pairs - pair),
                    start,
                    columns: real,
                    result_stride: result.row_stride,
                };
                let result = &mut result.data[row * result.row_stride + column..];
                tile.compute(ROWS.min(rows - row), vectors, result);
            }
        }
    }
}

/// Rounds rows of `depth` values to bf16, ties to even. The values that fill up a row to `stride` become zero.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn round(values: &[f32], depth: usize, stride: usize, rounded: &mut [u16]) {
    for (row, to) in values
        .chunks_exact(depth)
        .zip(rounded.chunks_exact_mut(stride))
    {
        for (from, to) in row.chunks(2 * LANES).zip(to.chunks_exact_mut(2 * LANES)) {
            let mask = |first: usize| {
                let real = from.len().saturating_sub(first).min(LANES);
                ((1_u32 << real) - 1) as u16
            };
            // SAFETY: `to` has 32 values, and the masks read only the existing values of `from`.
            unsafe {
                let low = _mm512_maskz_loadu_ps(mask(0), from.as_ptr());
                let high = _mm512_maskz_loadu_ps(mask(LANES), from.as_ptr().wrapping_add(LANES));
                let both = _mm512_cvtne2ps_pbh(high, low);
                _mm512_storeu_si512(to.as_mut_ptr().cast(), transmute::<__m512bh, __m512i>(both));
            }
        }
    }
}

/// One tile of a product: some rows of the left operand, one panel of the right one, one block of pairs.
struct Tile<'a> {
    left: &'a [u16],
    stride: usize,
    right: &'a [Line],
    pairs: usize,
    start: Start<'a>,
    columns: usize,
    result_stride: usize,
}

impl Tile<'_> {
    fn compute(&self, rows: usize, vectors: usize, result: &mut [f32]) {
        assert!(self.right.len() >= self.pairs * vectors);
        assert!(self.left.len() >= (rows - 1) * self.stride + 2 * self.pairs);
        assert!(result.len() >= (rows - 1) * self.result_stride + self.columns);
        macro_rules! of_shape {
            ($($rows:literal)+) => {
                // SAFETY: `multiply` checked for the instructions, and the extents were just checked.
                match (rows, vectors) {
                    $(
                        ($rows, 1) => unsafe { self.of_shape::<$rows, 1>(result) },
                        ($rows, 2) => unsafe { self.of_shape::<$rows, 2>(result) },
                        ($rows, 3) => unsafe { self.of_shape::<$rows, 3>(result) },
                    )+
                    _ => unreachable!("a tile has at most {ROWS} rows and {PANEL_VECTORS} vectors"),
                }
            };
        }
        of_shape!(8 7 6 5 4 3 2 1);
    }

    /// # Safety
    /// `left` must hold `ROWS` rows of `pairs`, `right` `pairs` times `VECTORS` lines, and `result` `ROWS` rows of
    /// `columns`, which need `VECTORS` vectors.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn of_shape<const ROWS: usize, const VECTORS: usize>(&self, result: &mut [f32]) {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let (left, right) = (self.left.as_ptr(), self.right.as_ptr());
        for pair in 0..self.pairs {
            // SAFETY: the caller vouches for the extents, and pairs of u16 are read as an unaligned i32.
            unsafe {
                let mut panel = [_mm512_setzero_ps(); VECTORS];
                for (vector, panel) in panel.iter_mut().enumerate() {
                    *panel = _mm512_loadu_ps(right.add(pair * VECTORS + vector).cast());
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let values = left.add(row * self.stride + 2 * pair).cast::<i32>();
                    let values = _mm512_set1_epi32(values.read_unaligned());
                    for (sum, &panel) in sums.iter_mut().zip(&panel) {
                        *sum = _mm512_dpbf16_ps(
                            *sum,
                            transmute::<__m512i, __m512bh>(values),
                            transmute::<__m512i, __m512bh>(_mm512_castps_si512(panel)),
                        );
                    }
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let result = &mut result[row * self.result_stride..][..self.columns];
            for (vector, &sum) in sums.iter().enumerate() {
                let begin = vector * LANES;
                let real = (self.columns - begin).min(LANES);
                let mask = ((1_u32 << real) - 1) as u16;
                // SAFETY: the mask covers no more than what is left of the row and of the bias.
                unsafe {
                    let to = result.as_mut_ptr().add(begin);
                    let of_bias =
                        |bias: &[f32]| _mm512_maskz_loadu_ps(mask, bias.as_ptr().add(begin));
                    let value: __m512 = match self.start {
                        Start::Nothing => sum,
                        Start::Bias(bias) => _mm512_add_ps(of_bias(bias), sum),
                        Start::Result => _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum),
                        Start::ResultAndBias(bias) => {
                            let before = _mm512_maskz_loadu_ps(mask, to);
                            _mm512_add_ps(_mm512_add_ps(before, of_bias(bias)), sum)
                        }
                    };
                    _mm512_mask_storeu_ps(to, mask, value);
                }
            }
        }
    }
}
