//! The row of each example that a pooling of first tokens reads.
//!
//! Behind the last sublayer nothing reads any other row, and an MLP works on every row by itself: where it is the last
//! sublayer and no adapter adds to its output, only these rows go through it, there and back.

/// The first row of every example of `state`, (examples, width).
pub(super) fn gather(state: &[f32], examples: &[usize], width: usize, to: &mut Vec<f32>) {
    to.clear();
    for &row in &examples[..examples.len() - 1] {
        to.extend_from_slice(&state[row * width..][..width]);
    }
}

/// Adds a gradient towards the first rows to that towards all of them.
pub(super) fn scatter_add(gradient: &[f32], examples: &[usize], width: usize, to: &mut [f32]) {
    for (&row, from) in examples.iter().zip(gradient.chunks_exact(width)) {
        let to = &mut to[row * width..][..width];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}
