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
        states,
        count,
        apart,
        ..
    } = *directions;
    let rows = offsets.last().copied().unwrap_or_default();
    let read = projected(directions, x, &directions.right, rows);
    let added = projected(directions, gradients, &directions.left, rows);
    let mut all = Vec::with_capacity((offsets.len() - 1) * states * states * directions.sums());
    for ends in offsets.windows(2) {
        for source in 0..states {
            for target in 0..states {
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

/// The products of the rows of each state and its directions, (rows, states x count).
fn projected(of: &Directions, side_by_side: &[f32], onto: &[f32], rows: usize) -> Vec<Mat<f32>> {
    let Directions { states, width, .. } = *of;
    let all = MatRef::from_row_major_slice(side_by_side, rows, states * width);
    let each = onto.chunks_exact(of.of_state() * width).enumerate();
    each.map(|(state, directions)| {
        let mut result = Mat::zeros(rows, of.of_state());
        matmul(
            result.as_mut(),
            Accum::Replace,
            all.subcols(state * width, width),
            MatRef::from_column_major_slice(directions, width, of.of_state()),
            1.0,
            Par::Seq,
        );
        result
    })
    .collect()
}
