//! Products behind gradient maps, which a library computes.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};

use crate::{Columns, Directions, MatrixBlock};

/// Adds left^T right to a block of `sums`, on all threads of the current rayon pool.
pub(crate) fn add(
    left: &Columns<'_, Vec<f32>>,
    right: &Columns<'_, Vec<f32>>,
    sums: &mut [f32],
    block: MatrixBlock,
) {
    let rows = sums.len() / block.all;
    let sums = MatMut::from_row_major_slice_mut(sums, rows, block.all).submatrix_mut(
        block.row,
        block.column,
        left.range.len(),
        right.range.len(),
    );
    matmul(
        sums.transpose_mut(),
        Accum::Add,
        columns(right).transpose(),
        columns(left),
        1.0,
        Par::rayon(0),
    );
}

fn columns<'a>(of: &Columns<'a, Vec<f32>>) -> MatRef<'a, f32> {
    let rows = of.matrix.len() / of.all;
    let all = MatRef::from_row_major_slice(of.matrix, rows, of.all);
    all.subcols(of.range.start, of.range.len())
}

/// See [`crate::Arithmetic::along_directions`]. It runs on the calling thread alone.
pub(crate) fn along_directions(
    directions: &Directions,
    x: &[f32],
    gradients: &[f32],
    offsets: &[usize],
) -> Vec<f32> {
    let Directions {
        sources,
        targets,
        width,
        count,
        apart,
        ..
    } = *directions;
    let rows = offsets.last().copied().unwrap_or_default();
    let read = projected(x, (rows, width), &directions.right, targets * count);
    let added = projected(gradients, (rows, width), &directions.left, sources * count);
    let mut all = Vec::with_capacity((offsets.len() - 1) * sources * targets * directions.sums());
    for ends in offsets.windows(2) {
        for source in 0..sources {
            for target in 0..targets {
                let along = |direction: usize| {
                    let read = read[source].col(target * count + direction);
                    let added = added[target].col(source * count + direction);
                    let rows = ends[0]..ends[1];
                    rows.map(|row| read[row] * added[row]).sum::<f32>()
                };
                let sum = |directions: Range<usize>| directions.map(along).sum::<f32>();
                all.extend((0..apart).map(|direction| sum(direction..direction + 1)));
                all.push(sum(apart.min(count)..count));
            }
        }
    }
    all
}

/// The products of the rows of each of several states and as many directions of it, (rows, directions).
fn projected(
    side_by_side: &[f32],
    (rows, width): (usize, usize),
    onto: &[f32],
    of_state: usize,
) -> Vec<Mat<f32>> {
    let states = onto.len() / (of_state * width);
    let all = MatRef::from_row_major_slice(side_by_side, rows, states * width);
    let each = onto.chunks_exact(of_state * width).enumerate();
    each.map(|(state, directions)| {
        let mut result = Mat::zeros(rows, of_state);
        matmul(
            result.as_mut(),
            Accum::Replace,
            all.subcols(state * width, width),
            MatRef::from_column_major_slice(directions, width, of_state),
            1.0,
            Par::Seq,
        );
        result
    })
    .collect()
}
