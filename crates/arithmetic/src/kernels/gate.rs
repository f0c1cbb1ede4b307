//! The hidden layer of a gated MLP (Shazeer, 2020), and its gradient.
//!
//! Rows of 2 n values are a row a and a row b of n each, and the result is f(a) b with the activation f. With g = dL/d(f(a)
//! b), the gradients are g b f'(a) and g f(a).

use super::activation;
use super::instruction_set::InstructionSet;
use crate::Activation;

/// Computes f(a) b, (rows, n), from (rows, 2 n).
pub(crate) fn forward(
    set: InstructionSet,
    activation: Activation,
    n: usize,
    projected: &[f32],
    to: &mut [f32],
) {
    for (row, to) in projected.chunks_exact(2 * n).zip(to.chunks_exact_mut(n)) {
        let (a, b) = row.split_at(n);
        to.copy_from_slice(a);
        activation::in_place(set, activation, to);
        set.run(
            #[inline(always)]
            || {
                for (to, &b) in to.iter_mut().zip(b) {
                    *to *= b;
                }
            },
        );
    }
}

/// Computes the gradient with respect to a and b, (rows, 2 n), from the one with respect to f(a) b, (rows, n).
pub(crate) fn backward(
    set: InstructionSet,
    activation: Activation,
    n: usize,
    projected: &[f32],
    gradient: &[f32],
    to: &mut [f32],
) {
    let rows = projected.chunks_exact(2 * n);
    let rows = rows
        .zip(gradient.chunks_exact(n))
        .zip(to.chunks_exact_mut(2 * n));
    for ((row, gradient), to) in rows {
        let (a, b) = row.split_at(n);
        let (values, slopes) = to.split_at_mut(n);
        values.copy_from_slice(a);
        activation::with_derivative(set, activation, values, slopes);
        set.run(
            #[inline(always)]
            || {
                let both = values.iter_mut().zip(slopes);
                for (((value, slope), &b), &g) in both.zip(b).zip(gradient) {
                    (*value, *slope) = (g * b * *slope, g * *value);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// silu(0) = 0 with the slope 1/2, and silu(x) is close to x with the slope 1 far above zero.
    #[test]
    fn rows_by_hand() {
        for set in InstructionSet::available() {
            let projected = [0.0, 50.0, 3.0, 4.0, 50.0, 0.0, 5.0, 6.0];
            let mut to = [7.0; 4];
            forward(set, Activation::Silu, 2, &projected, &mut to);
            assert_eq!(to, [0.0, 200.0, 250.0, 0.0]);
            let mut towards = [7.0; 8];
            let gradient = [1.0, 2.0, 3.0, 4.0];
            backward(
                set,
                Activation::Silu,
                2,
                &projected,
                &gradient,
                &mut towards,
            );
            assert_eq!(towards, [1.5, 8.0, 0.0, 100.0, 15.0, 12.0, 150.0, 0.0]);
        }
    }
}
