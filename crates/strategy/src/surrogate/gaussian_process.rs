//! Exact Gaussian process regression with a constant for each group of observations.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{
    LltParams, cholesky_in_place, cholesky_in_place_scratch,
};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatMut, MatRef, Par, Spec};

/// A Gaussian process for the values `y = H b + f + noise` of n observations, where `H b` is a separate constant for
/// each of F groups under a flat prior, and `cov(f + noise) = s^2 C`. The constants `b` and the scale `s^2` have closed
/// forms.
///
/// With `C = L L^T`, `A = L^-1 H` and `A^T A = M M^T`, everything needed is a triangular solve (Rasmussen and Williams
/// 2006, sections 2.2 and 2.7). Everything runs on the calling thread, so results never depend on the number of
/// threads.
#[derive(Clone, Debug)]
pub(crate) struct GaussianProcess {
    /// The matrix L, (n, n), lower triangular.
    factor: Mat<f64>,
    /// The matrix A, (n, F).
    effects: Mat<f64>,
    /// The matrix M, (F, F), lower triangular.
    effects_factor: Mat<f64>,
    /// The constants b, (F, 1).
    constants: Mat<f64>,
    /// The whitened residuals L^-1 (y - H b), (n, 1).
    residuals: Mat<f64>,
    /// The weights C^-1 (y - H b), (n, 1).
    weights: Mat<f64>,
    scale: f64,
    log_likelihood: f64,
}

/// The posterior of m unobserved points.
#[derive(Clone, Debug)]
pub(crate) struct Beliefs {
    /// The posterior means, one for each point.
    pub(crate) means: Vec<f64>,
    /// The posterior variances, without noise.
    pub(crate) variances: Vec<f64>,
    /// L^-1 times the covariance with the observations, (n, m).
    explained: Mat<f64>,
    /// What the constants leave open, (F, m).
    open: Mat<f64>,
    /// For each belief that was taken as an observation, what it explains of every point, (m).
    believed: Vec<Vec<f64>>,
    scale: f64,
}

impl GaussianProcess {
    /// Fits the process to `values`, where `covariance` is C, (n, n), and `groups` holds the group of each observation.
    /// Each group from 0 to F - 1 occurs at least once.
    ///
    /// Returns `None` if C is not positive definite, if there are no more observations than groups, or if the values
    /// are equal within each group, so that nothing can be learnt.
    pub(crate) fn fit(mut covariance: Mat<f64>, groups: &[usize], values: &[f64]) -> Option<Self> {
        let count = values.len();
        let effects_count = groups.iter().max()? + 1;
        let freedom = count.checked_sub(effects_count).filter(|&left| left > 0)? as f64;
        cholesky(covariance.as_mut())?;
        let factor = covariance;
        let mut effects = Mat::from_fn(count, effects_count, |row, group| {
            f64::from(u8::from(groups[row] == group))
        });
        solve(factor.as_ref(), effects.as_mut());
        let mut whitened = Mat::from_fn(count, 1, |row, _| values[row]);
        solve(factor.as_ref(), whitened.as_mut());

        let mut effects_factor = product(effects.transpose(), effects.as_ref());
        cholesky(effects_factor.as_mut())?;
        // b = M^-T M^-1 A^T L^-1 y.
        let mut constants = product(effects.transpose(), whitened.as_ref());
        solve(effects_factor.as_ref(), constants.as_mut());
        solve_transposed(effects_factor.as_ref(), constants.as_mut());
        let residuals = &whitened - product(effects.as_ref(), constants.as_ref());

        let scale = squares(residuals.as_ref()) / freedom;
        let spread = squares(whitened.as_ref()) / count as f64;
        // Equal values leave nothing but rounding.
        if !(scale.is_finite() && scale > 1e-20 * spread) {
            return None;
        }
        let log_determinants = 2.0 * (log_diagonal(&factor) + log_diagonal(&effects_factor));
        let log_likelihood =
            -0.5 * (freedom * (scale.ln() + 1.0 + std::f64::consts::TAU.ln()) + log_determinants);
        let mut weights = residuals.clone();
        solve_transposed(factor.as_ref(), weights.as_mut());
        Some(GaussianProcess {
            weights,
            factor,
            effects,
            effects_factor,
            constants,
            residuals,
            scale,
            log_likelihood,
        })
    }

    /// The logarithm of the marginal likelihood at the best scale, with the constants integrated out:
    /// `-1/2 ((n - F) (ln 2 pi s^2 + 1) + ln |C| + ln |H^T C^-1 H|)`.
    pub(crate) fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// Only the means of [`GaussianProcess::beliefs`], in n m multiplications.
    pub(crate) fn means(&self, cross: &Mat<f64>, group: usize) -> Vec<f64> {
        let means = product(cross.transpose(), self.weights.as_ref());
        let constant = self.constants[(group, 0)];
        (0..cross.ncols())
            .map(|point| constant + means[(point, 0)])
            .collect()
    }

    /// The posterior of f + b at m points of one group. `cross` is their covariance with the observations, (n, m), and
    /// `own` their variances, both in units of the scale.
    pub(crate) fn beliefs(&self, mut cross: Mat<f64>, own: &[f64], group: usize) -> Beliefs {
        solve(self.factor.as_ref(), cross.as_mut());
        let explained = cross;
        let mut open = product(self.effects.transpose(), explained.as_ref());
        for point in 0..open.ncols() {
            for row in 0..open.nrows() {
                open[(row, point)] = f64::from(u8::from(row == group)) - open[(row, point)];
            }
        }
        solve(self.effects_factor.as_ref(), open.as_mut());
        let means = product(explained.transpose(), self.residuals.as_ref());
        let points = 0..own.len();
        Beliefs {
            means: points
                .clone()
                .map(|point| self.constants[(group, 0)] + means[(point, 0)])
                .collect(),
            variances: points
                .map(|point| {
                    let left = own[point] - squares(explained.as_ref().subcols(point, 1))
                        + squares(open.as_ref().subcols(point, 1));
                    self.scale * left.max(0.0)
                })
                .collect(),
            explained,
            open,
            believed: Vec::new(),
            scale: self.scale,
        }
    }
}

impl Beliefs {
    /// Takes the mean of `point` as a noisy observation of it (kriging believer). The means stay the same and the
    /// variances shrink. `prior` is the covariance of `point` with every point and `noise` the variance of the noise,
    /// in units of the scale.
    pub(crate) fn believe(&mut self, point: usize, prior: &[f64], noise: f64) {
        let variance = self.variances[point] / self.scale + noise;
        if variance <= 0.0 {
            return;
        }
        let covariance = |other: usize| {
            let explained = dot(self.explained.as_ref(), point, other);
            let open = dot(self.open.as_ref(), point, other);
            let before = self.believed.iter().map(|of| of[point] * of[other]);
            prior[other] - explained + open - before.sum::<f64>()
        };
        let shares: Vec<f64> = (0..prior.len())
            .map(|other| covariance(other) / variance.sqrt())
            .collect();
        for (left, share) in self.variances.iter_mut().zip(&shares) {
            *left = (*left - self.scale * share * share).max(0.0);
        }
        self.believed.push(shares);
    }
}

fn cholesky(matrix: MatMut<'_, f64>) -> Option<()> {
    let size = matrix.nrows();
    let parameters = Spec::<LltParams, f64>::default();
    let scratch = cholesky_in_place_scratch::<f64>(size, Par::Seq, parameters);
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    cholesky_in_place(matrix, Default::default(), Par::Seq, stack, parameters).ok()?;
    Some(())
}

/// Computes `right = lower^-1 right`.
fn solve(lower: MatRef<'_, f64>, right: MatMut<'_, f64>) {
    solve_lower_triangular_in_place(lower, right, Par::Seq);
}

/// Computes `right = lower^-T right`.
fn solve_transposed(lower: MatRef<'_, f64>, right: MatMut<'_, f64>) {
    faer::linalg::triangular_solve::solve_upper_triangular_in_place(
        lower.transpose(),
        right,
        Par::Seq,
    );
}

fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut result = Mat::zeros(left.nrows(), right.ncols());
    faer::linalg::matmul::matmul(
        result.as_mut(),
        faer::Accum::Replace,
        left,
        right,
        1.0,
        Par::Seq,
    );
    result
}

fn squares(matrix: MatRef<'_, f64>) -> f64 {
    matrix
        .col_iter()
        .flat_map(|column| column.iter())
        .map(|x| x * x)
        .sum()
}

/// The dot product of two columns.
fn dot(matrix: MatRef<'_, f64>, a: usize, b: usize) -> f64 {
    let (a, b) = (matrix.col(a), matrix.col(b));
    a.iter().zip(b.iter()).map(|(x, y)| x * y).sum()
}

fn log_diagonal(matrix: &Mat<f64>) -> f64 {
    (0..matrix.nrows()).map(|n| matrix[(n, n)].ln()).sum()
}
