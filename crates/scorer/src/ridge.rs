//! Ridge regression on features, for several strengths.

use faer::{Mat, MatRef, Side};

use crate::ScoreError;

/// The solutions of a ridge regression.
///
/// They minimise (1/n) sum_i (w x_i + b - y_i)^2 + (l2/2) |w|^2, that is w = (X^T X / n + (l2/2) I)^-1 X^T y / n, where X
/// are features with mean 0, and b is the mean of y.
pub(crate) struct Ridge {
    /// The eigenvectors of X^T X / n, (width, width).
    vectors: Mat<f64>,
    eigenvalues: Vec<f64>,
    /// The products of the eigenvectors with X^T y / n.
    projected: Vec<f64>,
    bias: f64,
}

/// The eigenvectors, as columns, and the eigenvalues of X^T X / n for features X, (n, width).
pub(crate) fn directions(features: MatRef<'_, f64>) -> Result<(Mat<f64>, Vec<f64>), ScoreError> {
    let share = 1.0 / features.nrows() as f64;
    let products = features.transpose() * features * faer::Scale(share);
    let decomposed = products.self_adjoint_eigen(Side::Lower);
    let decomposed = decomposed.map_err(|error| ScoreError::Probe {
        reason: format!("the features' products cannot be decomposed: {error:?}"),
    })?;
    let eigenvalues = decomposed.S().column_vector().iter().copied().collect();
    Ok((decomposed.U().to_owned(), eigenvalues))
}

impl Ridge {
    /// The regression of `numbers` on `features` (examples, width), row-major, with mean 0.
    pub(crate) fn new(features: &[f64], width: usize, numbers: &[f64]) -> Result<Self, ScoreError> {
        let count = numbers.len() as f64;
        let bias = numbers.iter().sum::<f64>() / count;
        let features = MatRef::from_row_major_slice(features, numbers.len(), width);
        let (vectors, eigenvalues) = directions(features)?;
        let towards = Mat::from_fn(numbers.len(), 1, |row, _| (numbers[row] - bias) / count);
        let projected = vectors.transpose() * (features.transpose() * towards);
        Ok(Self {
            eigenvalues,
            projected: (0..width).map(|row| projected[(row, 0)]).collect(),
            vectors,
            bias,
        })
    }

    /// The solution w, followed by b, with this strength.
    pub(crate) fn solution(&self, l2: f64) -> Vec<f64> {
        let width = self.eigenvalues.len();
        let scaled = Mat::from_fn(width, 1, |row, _| {
            // Rounding may leave an eigenvalue a little below zero.
            self.projected[row] / (self.eigenvalues[row].max(0.0) + 0.5 * l2)
        });
        let weight = &self.vectors * scaled;
        let weight = (0..width).map(|row| weight[(row, 0)]);
        weight.chain([self.bias]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X^T X / n is diagonal with 1 and 4, and X^T y / n is (0.5, 1), so w = (0.5 / (1 + l2/2), 1 / (4 + l2/2)).
    #[test]
    fn by_hand() {
        let features = [1.0, 2.0, 1.0, -2.0, -1.0, 2.0, -1.0, -2.0];
        let numbers = [4.0, 3.0, 3.0, 2.0];
        let ridge = Ridge::new(&features, 2, &numbers).unwrap();
        for l2 in [0.0, 2.0] {
            let expected = [0.5 / (1.0 + 0.5 * l2), 1.0 / (4.0 + 0.5 * l2), 3.0];
            for (found, expected) in ridge.solution(l2).iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{found} is not {expected}"
                );
            }
        }
    }
}
