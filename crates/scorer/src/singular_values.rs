//! Singular values of gradient matrices, and quantities that depend on their singular vectors.
//!
//! Both come from the eigenvalues of a Gram matrix in f64. The products of f32 values are exact there, and an error of
//! 1e-16 of the largest eigenvalue is one of 1e-8 of the largest singular value, below the precision of f32 values.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{
    ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch,
};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Spec};

use crate::directions::Directions;

/// Singular values below this share of the largest are due to rounding, since sums of f32 values are not more accurate
/// than that.
const NEGLIGIBLE: f64 = 1e-6;

/// The singular values of `matrix`, the largest first, on the calling thread alone: the square roots of the eigenvalues
/// of the smaller Gram matrix.
pub(crate) fn singular_values(matrix: MatRef<'_, f32>) -> Result<Vec<f64>, String> {
    let wide = widened(matrix);
    let gram = match matrix.nrows() < matrix.ncols() {
        true => product(wide.as_ref(), wide.transpose()),
        false => product(wide.transpose(), wide.as_ref()),
    };
    let (eigenvalues, _) = eigen(&gram, false)?;
    Ok(roots(&eigenvalues))
}

/// The factors V and S of `matrix` = U S V^T, from the eigenvectors of its Gram matrix, for comparison with other
/// matrices.
pub(crate) struct Decomposition {
    matrix: Mat<f64>,
    eigenvalues: Vec<f64>,
    /// The vectors v_k as columns, in the order of the eigenvalues.
    vectors: Mat<f64>,
}

impl Decomposition {
    pub(crate) fn of(matrix: MatRef<'_, f32>) -> Result<Self, String> {
        let matrix = widened(matrix);
        let (eigenvalues, vectors) = eigen(&product(matrix.transpose(), matrix.as_ref()), true)?;
        Ok(Self {
            matrix,
            eigenvalues,
            vectors,
        })
    }

    /// The singular values, one for each column of the matrix, the largest first.
    pub(crate) fn singular_values(&self) -> Vec<f64> {
        roots(&self.eigenvalues)
    }

    /// The leading `count` pairs u_k, v_k, the largest first. Pairs that the matrix does not have are zeros.
    pub(crate) fn directions(&self, count: usize) -> Directions {
        let mut order: Vec<usize> = (0..self.eigenvalues.len()).collect();
        order.sort_by(|&a, &b| self.eigenvalues[b].total_cmp(&self.eigenvalues[a]));
        order.truncate(count);
        let (rows, columns) = (self.matrix.nrows(), self.matrix.ncols());
        let mut left = Mat::zeros(rows, count);
        let mut right = Mat::zeros(columns, count);
        let largest = order
            .first()
            .map_or(0.0, |&first| self.eigenvalues[first].max(0.0).sqrt());
        for (place, &index) in order.iter().enumerate() {
            let v = self.vectors.col(index);
            let us = &self.matrix * v;
            let s = us.norm_l2();
            if s <= NEGLIGIBLE * largest || s == 0.0 {
                continue;
            }
            for row in 0..rows {
                left[(row, place)] = (us[row] / s) as f32;
            }
            for row in 0..columns {
                right[(row, place)] = v[row] as f32;
            }
        }
        Directions { left, right }
    }

    /// <U V^T, other> for `other` of the same shape: the sum over k of (u_k . other v_k), with u_k = matrix v_k / s_k.
    /// Directions in which the matrix is zero up to rounding are left out.
    pub(crate) fn alignment(&self, other: MatRef<'_, f32>) -> Result<f64, String> {
        let largest = self.eigenvalues.iter().copied().fold(0.0, f64::max).sqrt();
        let images = product(self.matrix.as_ref(), self.vectors.as_ref());
        let others = product(widened(other).as_ref(), self.vectors.as_ref());
        let terms = images.col_iter().zip(others.col_iter()).map(|(us, image)| {
            let s = us.norm_l2();
            if s <= NEGLIGIBLE * largest || s == 0.0 {
                return 0.0;
            }
            (us.transpose() * image) / s
        });
        let sum: f64 = terms.sum();
        match sum.is_finite() {
            true => Ok(sum),
            false => Err(NOT_FINITE.to_owned()),
        }
    }
}

/// The singular values that follow from the eigenvalues of a Gram matrix, the largest first.
fn roots(eigenvalues: &[f64]) -> Vec<f64> {
    let mut values: Vec<f64> = eigenvalues.iter().map(|&s| s.max(0.0).sqrt()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// The cosine of two matrices, <a, b> / (|a| |b|), or 0 if one of them is zero.
pub(crate) fn cosine(a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> f64 {
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.col_iter().zip(b.col_iter()) {
        for (&a, &b) in a.iter().zip(b.iter()) {
            let (a, b) = (f64::from(a), f64::from(b));
            aa += a * a;
            bb += b * b;
            ab += a * b;
        }
    }
    if aa == 0.0 || bb == 0.0 {
        return 0.0;
    }
    ab / (aa.sqrt() * bb.sqrt())
}

const NOT_FINITE: &str = "it holds a value that is not finite";

fn widened(matrix: MatRef<'_, f32>) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |row, column| {
        f64::from(matrix[(row, column)])
    })
}

fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut result = Mat::zeros(left.nrows(), right.ncols());
    matmul(result.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    result
}

/// The eigenvalues of a symmetric matrix and, if asked for, its eigenvectors as columns in the same order.
pub(crate) fn eigen(gram: &Mat<f64>, with_vectors: bool) -> Result<(Vec<f64>, Mat<f64>), String> {
    let size = gram.nrows();
    if (0..size).any(|n| !gram[(n, n)].is_finite()) {
        return Err(NOT_FINITE.to_owned());
    }
    let parameters = Spec::<SelfAdjointEvdParams, f64>::default();
    let (wanted, side) = match with_vectors {
        true => (ComputeEigenvectors::Yes, size),
        false => (ComputeEigenvectors::No, 0),
    };
    let scratch = self_adjoint_evd_scratch::<f64>(size, wanted, Par::Seq, parameters);
    let mut values = Diag::<f64>::zeros(size);
    let mut vectors = Mat::<f64>::zeros(side, side);
    self_adjoint_evd(
        gram.as_ref(),
        values.as_mut(),
        with_vectors.then_some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        parameters,
    )
    .map_err(|error| format!("{error:?}"))?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alignment(matrix: MatRef<'_, f32>, other: MatRef<'_, f32>) -> Result<f64, String> {
        Decomposition::of(matrix)?.alignment(other)
    }

    /// (3 0; 4 5) has the Gram matrix (25 20; 20 25) with eigenvalues 45 and 5.
    #[test]
    fn two_by_two_by_hand() {
        let matrix = Mat::from_fn(2, 2, |row, column| {
            [[3.0_f32, 0.0], [4.0, 5.0]][row][column]
        });
        let values = singular_values(matrix.as_ref()).unwrap();
        assert!((values[0] - 45.0_f64.sqrt()).abs() < 1e-12);
        assert!((values[1] - 5.0_f64.sqrt()).abs() < 1e-12);
    }

    /// u v^T has the singular value |u| |v|, and the others are zero within 1e-7 of it.
    #[test]
    fn a_matrix_of_rank_one() {
        let (rows, columns) = (40, 30);
        let u = |row: usize| (row as f32 * 0.3).sin();
        let v = |column: usize| 1.0 + column as f32;
        let matrix = Mat::from_fn(rows, columns, |row, column| u(row) * v(column));
        let norm = |count: usize, value: &dyn Fn(usize) -> f32| {
            let squares = (0..count).map(|n| f64::from(value(n)).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let expected = norm(rows, &u) * norm(columns, &v);
        for matrix in [matrix.as_ref(), matrix.transpose()] {
            let values = singular_values(matrix).unwrap();
            assert_eq!(values.len(), columns);
            assert!((values[0] / expected - 1.0).abs() < 1e-6);
            assert!(values[1..].iter().all(|&s| s < 1e-6 * expected));
        }
    }

    /// (0 2; 0 0) = u 2 v^T with u = e_1 and v = e_2, so the only entry of U V^T is (1, 2). A diagonal matrix of signs
    /// equals its U V^T.
    #[test]
    fn alignment_by_hand() {
        let of = |values: [[f32; 2]; 2]| Mat::from_fn(2, 2, |row, column| values[row][column]);
        let other = of([[1.0, -3.0], [5.0, 7.0]]);
        let found = alignment(of([[0.0, 2.0], [0.0, 0.0]]).as_ref(), other.as_ref()).unwrap();
        assert!((found + 3.0).abs() < 1e-12);
        let found = alignment(of([[4.0, 0.0], [0.0, -0.5]]).as_ref(), other.as_ref()).unwrap();
        assert!((found - (1.0 - 7.0)).abs() < 1e-12);
        let zero = of([[0.0; 2]; 2]);
        assert_eq!(alignment(zero.as_ref(), other.as_ref()).unwrap(), 0.0);
    }

    /// <U V^T, G> is the nuclear norm of G, for wide and tall matrices and those of deficient rank.
    #[test]
    fn a_matrix_is_aligned_with_itself_by_its_nuclear_norm() {
        let entry = |row: usize, column: usize| ((row * 7 + column * 3) as f32 * 0.37).sin();
        let full = |row, column| entry(row, column) + if row == column { 1.0 } else { 0.0 };
        for matrix in [
            Mat::from_fn(12, 20, full),
            Mat::from_fn(20, 12, full),
            Mat::from_fn(15, 15, entry),
        ] {
            let norm: f64 = singular_values(matrix.as_ref()).unwrap().iter().sum();
            let found = alignment(matrix.as_ref(), matrix.as_ref()).unwrap();
            assert!((found / norm - 1.0).abs() < 1e-5, "{found} {norm}");
        }
    }

    #[test]
    fn cosines_by_hand() {
        let a = Mat::from_fn(1, 2, |_, column| [3.0_f32, 4.0][column]);
        let b = Mat::from_fn(1, 2, |_, column| [4.0_f32, 3.0][column]);
        assert!((cosine(a.as_ref(), b.as_ref()) - 24.0 / 25.0).abs() < 1e-12);
        assert_eq!(cosine(a.as_ref(), Mat::zeros(1, 2).as_ref()), 0.0);
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let matrix = Mat::from_fn(2, 2, |row, _| if row == 0 { f32::NAN } else { 1.0 });
        assert!(singular_values(matrix.as_ref()).is_err());
        assert!(alignment(matrix.as_ref(), matrix.as_ref()).is_err());
    }
}
