//! The row of each example that a pooling of first tokens reads.
//!
//! After the last sublayer nothing reads any other row, and an MLP processes every row separately. If an MLP is the
//! last sublayer and no adapter adds to its output, only these rows go through it, forward and backward.

/// The first row of every example of `state`, (examples, width).
pub(super) fn gather(state: &[f32], examples: &[usize], width: usize, to: &mut Vec<f32>) {
    to.clear();
    for &row in &examples[..examples.len() - 1] {
        to.extend_from_slice(&state[row * width..][..width]);
    }
}

/// Adds a gradient with respect to the first rows to that with respect to all rows.
pub(super) fn scatter_add(gradient: &[f32], examples: &[usize], width: usize, to: &mut [f32]) {
    for (&row, from) in examples.iter().zip(gradient.chunks_exact(width)) {
        let to = &mut to[row * width..][..width];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}
