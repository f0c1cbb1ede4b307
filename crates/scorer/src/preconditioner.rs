//! Coordinates in which a probe of many predictions is fitted sooner.

use faer::{Mat, MatRef};

use crate::ScoreError;
use crate::ridge::directions;

/// A change of the weights W of a linear model, (outputs, width), into V = W (c X^T X / n + l2 I)^(1/2), where X are
/// features with mean 0.
///
/// The curvature of the regularised loss towards a row of W is about c X^T X / n + l2 I, with c the mean of p (1 - p) over the
/// outputs for their shares p; towards V it is about I. The features of a transformer vary by orders of magnitude between
/// directions, so the curvature towards W does, too, and L-BFGS finds V sooner.
pub(crate) struct Preconditioner {
    /// The eigenvectors of X^T X / n, (width, width).
    vectors: Mat<f64>,
    eigenvalues: Vec<f64>,
    curvature: f64,
}

impl Preconditioner {
    /// For `features` (predictions, width), row-major, with mean 0, and outputs with these shares.
    pub(crate) fn new(features: &[f64], width: usize, shares: &[f64]) -> Result<Self, ScoreError> {
        let count = features.len() / width;
        let features = MatRef::from_row_major_slice(features, count, width);
        let (vectors, eigenvalues) = directions(features)?;
        let curvature: f64 = shares.iter().map(|p| p * (1.0 - p)).sum();
        let smallest = 1.0 / count as f64;
        Ok(Self {
            vectors,
            eigenvalues,
            curvature: (curvature / shares.len() as f64).max(smallest),
        })
    }

    /// W of V, or the gradient with respect to V from the one with respect to W. Biases, behind the weights, are divided by
    /// the root of c.
    pub(crate) fn plain(&self, l2: f64, changed: &[f64]) -> Vec<f64> {
        self.times_power(l2, changed, -0.5)
    }

    /// V of W.
    pub(crate) fn changed(&self, l2: f64, plain: &[f64]) -> Vec<f64> {
        self.times_power(l2, plain, 0.5)
    }

    fn times_power(&self, l2: f64, parameters: &[f64], power: f64) -> Vec<f64> {
        let width = self.eigenvalues.len();
        let outputs = parameters.len() / (width + 1);
        let (weights, biases) = parameters.split_at(outputs * width);
        let weights = MatRef::from_row_major_slice(weights, outputs, width);
        let mut turned = weights * &self.vectors;
        for (column, eigenvalue) in self.eigenvalues.iter().enumerate() {
            // Rounding may leave an eigenvalue a little below zero.
            let factor = (self.curvature * eigenvalue.max(0.0) + l2).powf(power);
            turned.col_mut(column).iter_mut().for_each(|x| *x *= factor);
        }
        let back = turned * self.vectors.transpose();
        let rows = (0..outputs).flat_map(|row| back.row(row).iter().copied().collect::<Vec<f64>>());
        let biases = biases.iter().map(|bias| bias * self.curvature.powf(power));
        rows.chain(biases).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X^T X / n is diagonal with 1 and 4, and c = (1/4 + 1/4) / 2, so with l2 = 0 V is W times 1/2 and 1.
    #[test]
    fn by_hand() {
        let features = [1.0, 2.0, 1.0, -2.0, -1.0, 2.0, -1.0, -2.0];
        let found = Preconditioner::new(&features, 2, &[0.5, 0.5]).unwrap();
        let plain = [2.0, 3.0, -4.0, 1.0, 6.0, -8.0];
        let changed = found.changed(0.0, &plain);
        let expected = [1.0, 3.0, -2.0, 1.0, 3.0, -4.0];
        for (x, y) in changed.iter().zip(expected) {
            assert!((x - y).abs() < 1e-12, "{changed:?}");
        }
        for (x, y) in found.plain(0.0, &changed).iter().zip(plain) {
            assert!((x - y).abs() < 1e-12);
        }
        let changed = found.changed(0.1, &plain);
        for (x, y) in found.plain(0.1, &changed).iter().zip(plain) {
            assert!((x - y).abs() < 1e-12);
        }
    }
}
