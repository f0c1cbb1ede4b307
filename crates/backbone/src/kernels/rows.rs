//! Working on many rows in parallel.

use pulp::Arch;
use rayon::prelude::*;

/// About this many values per task: enough to outweigh handing the task to a thread.
const VALUES_PER_TASK: usize = 16 * 1024;

/// Rows per task for rows of `width` values. Depends on nothing but the width, so the split is always the same.
fn rows_per_task(width: usize) -> usize {
    (VALUES_PER_TASK / width.max(1)).max(1)
}

/// Calls `work` with the index and the values of each row of `a`, compiled for the widest vectors of this machine.
pub(super) fn for_rows(a: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let arch = Arch::new();
    let rows = rows_per_task(width);
    a.par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(task, chunk)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (row, values) in chunk.chunks_exact_mut(width).enumerate() {
                        work(task * rows + row, values);
                    }
                },
            );
        });
}

/// Calls `work` with each row of `a` and the same row of `b`, which have `width` and `b_width` values.
pub(super) fn for_row_pairs(
    (a, width): (&mut [f32], usize),
    (b, b_width): (&mut [f32], usize),
    work: impl Fn(&mut [f32], &mut [f32]) + Sync,
) {
    let arch = Arch::new();
    let rows = rows_per_task(width);
    a.par_chunks_mut(rows * width)
        .zip(b.par_chunks_mut(rows * b_width))
        .for_each(|(a, b)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    a.chunks_exact_mut(width)
                        .zip(b.chunks_exact_mut(b_width))
                        .for_each(|(a, b)| work(a, b));
                },
            );
        });
}

/// Values that are summed side by side: one vector of AVX-512.
const LANES: usize = 16;

/// The sum of `value(x, y)` over two slices of the same length, in an order that does not depend on the machine.
#[inline(always)]
pub(super) fn sum_pairs(x: &[f32], y: &[f32], value: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += value(x[lane], y[lane]);
        }
    }
    let mut rest = 0.0;
    for (&x, &y) in x_rest.iter().zip(y_rest) {
        rest += value(x, y);
    }
    let mut stride = LANES / 2;
    while stride > 0 {
        for lane in 0..stride {
            lanes[lane] += lanes[lane + stride];
        }
        stride /= 2;
    }
    lanes[0] + rest
}

/// The sum of a slice, as [`sum_pairs`].
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    sum_pairs(x, x, |x, _| x)
}

/// The largest value of a slice.
#[inline(always)]
pub(super) fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane].max(chunk[lane]);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |largest, &value| largest.max(value))
}
