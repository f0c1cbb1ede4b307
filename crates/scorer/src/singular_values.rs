use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{
    ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch,
};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Spec};

/// The singular values of `matrix`, largest first, on the calling thread alone.
///
/// They are the square roots of the eigenvalues of the smaller Gram matrix, in f64. The products of f32 values are
/// exact there, and an error of 1e-16 of the largest eigenvalue is one of 1e-8 of the largest singular value, below
/// what f32 values hold.
pub(crate) fn singular_values(matrix: MatRef<'_, f32>) -> Result<Vec<f64>, String> {
    let wide = Mat::from_fn(matrix.nrows(), matrix.ncols(), |row, column| {
        f64::from(matrix[(row, column)])
    });
    let (left, right) = match matrix.nrows() < matrix.ncols() {
        true => (wide.as_ref(), wide.transpose()),
        false => (wide.transpose(), wide.as_ref()),
    };
    let size = left.nrows();
    let mut gram = Mat::<f64>::zeros(size, size);
    matmul(gram.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    if (0..size).any(|n| !gram[(n, n)].is_finite()) {
        return Err("it holds a value that is not finite".to_owned());
    }
    let parameters = Spec::<SelfAdjointEvdParams, f64>::default();
    let no = ComputeEigenvectors::No;
    let scratch = self_adjoint_evd_scratch::<f64>(size, no, Par::Seq, parameters);
    let mut values = Diag::<f64>::zeros(size);
    self_adjoint_evd(
        gram.as_ref(),
        values.as_mut(),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        parameters,
    )
    .map_err(|error| format!("{error:?}"))?;
    let eigenvalues = values.column_vector();
    let mut values: Vec<f64> = eigenvalues.iter().map(|&s| s.max(0.0).sqrt()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (3 0; 4 5) has the Gram matrix (25 20; 20 25): eigenvalues 45 and 5.
    #[test]
    fn two_by_two_by_hand() {
        let matrix = Mat::from_fn(2, 2, |row, column| {
            [[3.0_f32, 0.0], [4.0, 5.0]][row][column]
        });
        let values = singular_values(matrix.as_ref()).unwrap();
        assert!((values[0] - 45.0_f64.sqrt()).abs() < 1e-12);
        assert!((values[1] - 5.0_f64.sqrt()).abs() < 1e-12);
    }

    /// u v^T has the singular value |u| |v| and zeros, those within 1e-7 of it.
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

    #[test]
    fn what_is_not_finite_is_refused() {
        let matrix = Mat::from_fn(2, 2, |row, _| if row == 0 { f32::NAN } else { 1.0 });
        assert!(singular_values(matrix.as_ref()).is_err());
    }
}
