//! Sums over rows, in an order that does not depend on the machine.

/// The number of values in a vector of AVX-512.
const LANES: usize = 16;

/// The number of values of a long slice that are summed side by side: enough vectors to hide the latency of an
/// addition.
const WIDE: usize = 4 * LANES;

/// The sum of `value(x, y)` over two slices of the same length, in an order that does not depend on the machine.
#[inline(always)]
pub fn sum_pairs(x: &[f32], y: &[f32], value: impl Fn(f32, f32) -> f32) -> f32 {
    let mut wide = [0.0_f32; WIDE];
    let (x_wide, x_rest) = x.as_chunks::<WIDE>();
    let (y_wide, y_rest) = y.as_chunks::<WIDE>();
    for (x, y) in x_wide.iter().zip(y_wide) {
        for lane in 0..WIDE {
            wide[lane] += value(x[lane], y[lane]);
        }
    }
    let mut lanes = [0.0_f32; LANES];
    for part in wide.chunks_exact(LANES) {
        for lane in 0..LANES {
            lanes[lane] += part[lane];
        }
    }
    let (x_chunks, x_rest) = x_rest.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y_rest.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += value(x[lane], y[lane]);
        }
    }
    let mut sum = 0.0;
    for (&x, &y) in x_rest.iter().zip(y_rest) {
        sum += value(x, y);
    }
    for lane in lanes {
        sum += lane;
    }
    sum
}

/// The dot product of two slices of the same length, summed in an order that does not depend on the machine.
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

/// The sum of a slice, in the order of [`sum_pairs`].
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    sum_pairs(
        x,
        x,
        #[inline(always)]
        |x, _| x,
    )
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
    let mut largest = f32::NEG_INFINITY;
    for &value in rest {
        largest = largest.max(value);
    }
    for lane in lanes {
        largest = largest.max(lane);
    }
    largest
}
