use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, SvdParams, svd, svd_scratch};
use faer::{MatRef, Par, Spec};

/// The singular values of `matrix`, largest first, in f32 on the calling thread alone.
pub(crate) fn singular_values(matrix: MatRef<'_, f32>) -> Result<Vec<f64>, String> {
    let (rows, columns) = matrix.shape();
    let parameters = Spec::<SvdParams, f32>::default();
    let no = ComputeSvdVectors::No;
    let scratch = svd_scratch::<f32>(rows, columns, no, no, Par::Seq, parameters);
    let mut values = Diag::<f32>::zeros(rows.min(columns));
    svd(
        matrix,
        values.as_mut(),
        None,
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        parameters,
    )
    .map_err(|error| format!("{error:?}"))?;
    let values = values.column_vector();
    Ok(values.iter().map(|&s| f64::from(s)).collect())
}
