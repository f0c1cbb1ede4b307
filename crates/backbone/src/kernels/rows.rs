//! Sums over rows, in an order that does not depend on the machine.

/// Values that are summed side by side: one vector of AVX-512.
const LANES: usize = 16;

/// The sum of `value(x, y)` over two slices of the same length, in an order that does not depend on the machine.
#[inline(always)]
pub fn sum_pairs(x: &[f32], y: &[f32], value: impl Fn(f32, f32) -> f32) -> f32 {
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

/// The sum of products of two slices of the same length, as [`sum_pairs`].
#[inline(always)]
#[must_use]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    sum_pairs(
        x,
        y,
        #[inline(always)]
        |x, y| x * y,
    )
}

/// The sum of a slice, as [`sum_pairs`].
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    sum_pairs(x, x, |x, _| x)
}

/// The largest value of a slice.
#[inline(always)]
pub fn maximum(x: &[f32]) -> f32 {
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
