//! The first or last rows of examples and the means of their rows. `offsets` are where each example starts, followed by the
//! number of rows. For the first rows alone, the first example may start anywhere.

use crate::End;

/// Takes the first or last row of every example, (examples, width).
pub(crate) fn end_rows(from: &[f32], offsets: &[usize], end: End, to: &mut Vec<f32>) {
    let width = width(from, offsets);
    to.clear();
    for row in end.rows(offsets) {
        to.extend_from_slice(&from[row * width..][..width]);
    }
}

/// Adds (examples, width) to these rows.
pub(crate) fn add_to_end_rows(from: &[f32], offsets: &[usize], end: End, to: &mut [f32]) {
    let width = width(to, offsets);
    for (row, from) in end.rows(offsets).zip(from.chunks_exact(width)) {
        let to = &mut to[row * width..][..width];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}

/// Computes the mean row of every example, (examples, width).
pub(crate) fn means_forward(from: &[f32], offsets: &[usize], to: &mut Vec<f32>) {
    let width = width(from, offsets);
    to.clear();
    to.resize((offsets.len() - 1) * width, 0.0);
    for (ends, mean) in offsets.windows(2).zip(to.chunks_exact_mut(width)) {
        for row in from[ends[0] * width..ends[1] * width].chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
        }
        let count = (ends[1] - ends[0]) as f32;
        mean.iter_mut().for_each(|sum| *sum /= count);
    }
}

/// Computes the gradient with respect to the rows from the one with respect to the means.
pub(crate) fn means_backward(gradient: &[f32], offsets: &[usize], to: &mut Vec<f32>) {
    let examples = offsets.len() - 1;
    let width = gradient.len() / examples.max(1);
    to.clear();
    for (ends, gradient) in offsets.windows(2).zip(gradient.chunks_exact(width)) {
        let count = (ends[1] - ends[0]) as f32;
        for _ in ends[0]..ends[1] {
            to.extend(gradient.iter().map(|&g| g / count));
        }
    }
}

fn width(values: &[f32], offsets: &[usize]) -> usize {
    values.len() / offsets[offsets.len() - 1].max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: [usize; 3] = [0, 3, 4];

    #[test]
    fn rows_and_means_by_hand() {
        let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 7.0, 8.0];
        let mut found = Vec::new();
        end_rows(&rows, &OFFSETS, End::First, &mut found);
        assert_eq!(found, [1.0, 2.0, 7.0, 8.0]);
        end_rows(&rows, &OFFSETS, End::Last, &mut found);
        assert_eq!(found, [5.0, 9.0, 7.0, 8.0]);
        means_forward(&rows, &OFFSETS, &mut found);
        assert_eq!(found, [3.0, 5.0, 7.0, 8.0]);
    }

    #[test]
    fn gradients_by_hand() {
        let gradient = [3.0, 6.0, 5.0, 7.0];
        let mut found = vec![1.0; 8];
        add_to_end_rows(&gradient, &OFFSETS, End::First, &mut found);
        assert_eq!(found, [4.0, 7.0, 1.0, 1.0, 1.0, 1.0, 6.0, 8.0]);
        add_to_end_rows(&gradient, &OFFSETS, End::Last, &mut found);
        assert_eq!(found, [4.0, 7.0, 1.0, 1.0, 4.0, 7.0, 11.0, 15.0]);
        means_backward(&gradient, &OFFSETS, &mut found);
        assert_eq!(found, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 5.0, 7.0]);
    }
}
