use faer::linalg::matmul::matmul;
use faer::{Accum, ColRef, Mat, MatRef, Par};

/// The number of leading pairs that are separate maps.
pub(crate) const LEADING: usize = 2;
/// The number of maps of a connection.
pub(crate) const MAPS: usize = LEADING + 1;

/// The leading singular directions of a connection's gradient matrix G = U S V^T, each (width, directions).
#[derive(Debug, Clone)]
pub(crate) struct Directions {
    /// The directions u_1, u_2, .. at the target.
    pub(crate) left: Mat<f32>,
    /// The directions v_1, v_2, .. at the source.
    pub(crate) right: Mat<f32>,
}

impl Directions {
    /// The derivatives of a loss whose gradient matrix is `sums` / n along each u_m v_m^T, with the sign of a decrease.
    pub(crate) fn decreases(&self, sums: MatRef<'_, f32>, n: usize) -> Vec<f64> {
        let mut image = Mat::<f32>::zeros(sums.nrows(), self.right.ncols());
        let image_mut = image.as_mut();
        matmul(
            image_mut,
            Accum::Replace,
            sums,
            self.right.as_ref(),
            1.0,
            Par::Seq,
        );
        let pairs = self.left.col_iter().zip(image.col_iter());
        let product = |(u, image): (ColRef<'_, f32>, ColRef<'_, f32>)| {
            let terms = u.iter().zip(image.iter());
            -terms
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>()
                / n as f64
        };
        pairs.map(product).collect()
    }
}
