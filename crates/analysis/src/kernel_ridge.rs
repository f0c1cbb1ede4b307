//! Kernel ridge regression, and the share of variance that it explains on held-out items.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{
    ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch,
};
use faer::{Mat, Par, Spec};

/// A symmetric, positive semi-definite table of the similarity of every two items. The mean of its diagonal is 1 or
/// close to it.
pub type Kernel = Vec<Vec<f64>>;

/// The noise variances from which a regression chooses, as multiples of the kernel's mean diagonal. With the last one,
/// hardly anything but the mean is left.
const NOISE: [f64; 11] = [
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0,
];

/// Predicts the items in `held` from all others by kernel ridge regression with a free constant. Returns one list for
/// each of `targets`, in the order of `held`.
///
/// The model is y = m + f + noise with cov(f) = K. The prediction is m + k^T C^-1 (y - m), with C = K + l and m by
/// generalised least squares. Each target gets the kernel and the noise l with the least leave-one-out error on the
/// others, (P y)_i / P_ii with P = C^-1 - C^-1 1 1^T C^-1 / (1^T C^-1 1) (Dubrule 1983), so nothing held out is seen.
/// Everything follows from the eigenvectors of K and runs on the calling thread.
///
/// Returns `None` if fewer than two items are not held out, or if a kernel cannot be decomposed.
///
/// # Panics
/// If the kernels and targets have different numbers of items.
#[must_use]
pub fn held_out(kernels: &[Kernel], targets: &[&[f64]], held: &[usize]) -> Option<Vec<Vec<f64>>> {
    let count = kernels.first()?.len();
    assert!(targets.iter().all(|target| target.len() == count));
    let mut is_held = vec![false; count];
    held.iter().for_each(|&index| is_held[index] = true);
    let told: Vec<usize> = (0..count).filter(|&index| !is_held[index]).collect();
    if told.len() < 2 {
        return None;
    }
    let mut best: Vec<Option<(f64, Vec<f64>)>> = vec![None; targets.len()];
    for kernel in kernels {
        assert_eq!(kernel.len(), count);
        let regression = Regression::new(kernel, &told)?;
        for (target, best) in targets.iter().zip(&mut best) {
            let values: Vec<f64> = told.iter().map(|&index| target[index]).collect();
            for noise in NOISE {
                let fitted = regression.fit(&values, noise);
                if best.as_ref().is_none_or(|(error, _)| fitted.error < *error) {
                    let predictions = held.iter().map(|&index| fitted.at(&kernel[index], &told));
                    *best = Some((fitted.error, predictions.collect()));
                }
            }
        }
    }
    best.into_iter()
        .map(|best| best.map(|(_, predictions)| predictions))
        .collect()
}

/// The eigenvectors of a kernel on the observed items.
struct Regression {
    values: Vec<f64>,
    /// The eigenvectors, as columns.
    vectors: Mat<f64>,
    /// The mean of the kernel's diagonal.
    scale: f64,
}

/// A regression fitted with one noise variance.
struct Fitted {
    /// The mean square of the leave-one-out residuals.
    error: f64,
    constant: f64,
    /// The weights C^-1 (y - m).
    weights: Vec<f64>,
}

impl Regression {
    fn new(kernel: &Kernel, told: &[usize]) -> Option<Self> {
        let size = told.len();
        let matrix = Mat::from_fn(size, size, |row, column| kernel[told[row]][told[column]]);
        let trace: f64 = (0..size).map(|index| matrix[(index, index)]).sum();
        let (values, vectors) = eigen(&matrix)?;
        Some(Self {
            values: values.into_iter().map(|value| value.max(0.0)).collect(),
            vectors,
            scale: trace / size as f64,
        })
    }

    fn fit(&self, values: &[f64], noise: f64) -> Fitted {
        let size = values.len();
        let noise = noise * self.scale.max(f64::MIN_POSITIVE);
        let inverse: Vec<f64> = self
            .values
            .iter()
            .map(|value| 1.0 / (value + noise))
            .collect();
        let along = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let columns = self.vectors.col_iter();
            columns
                .map(|column| column.iter().enumerate().map(|(row, q)| q * of(row)).sum())
                .collect()
        };
        let (of_values, of_ones) = (along(&|row| values[row]), along(&|_| 1.0));
        let sum = |a: &[f64], b: &[f64]| -> f64 {
            let products = a.iter().zip(b).zip(&inverse);
            products.map(|((a, b), inverse)| a * b * inverse).sum()
        };
        let ones = sum(&of_ones, &of_ones);
        let constant = sum(&of_values, &of_ones) / ones;
        let mut weights = vec![0.0; size];
        let mut weights_of_ones = vec![0.0; size];
        let mut diagonal = vec![0.0; size];
        for (place, column) in self.vectors.col_iter().enumerate() {
            let inverse = inverse[place];
            let length = inverse * (of_values[place] - constant * of_ones[place]);
            for (row, &q) in column.iter().enumerate() {
                weights[row] += q * length;
                weights_of_ones[row] += q * inverse * of_ones[place];
                diagonal[row] += q * q * inverse;
            }
        }
        let residuals = (0..size).map(|row| {
            let own = diagonal[row] - weights_of_ones[row].powi(2) / ones;
            weights[row] / own
        });
        let squares: f64 = residuals.map(|residual| residual * residual).sum();
        Fitted {
            error: squares / size as f64,
            constant,
            weights,
        }
    }
}

impl Fitted {
    /// The prediction for an item whose similarities to all items are `row`.
    fn at(&self, row: &[f64], told: &[usize]) -> f64 {
        let terms = told.iter().zip(&self.weights);
        self.constant
            + terms
                .map(|(&index, weight)| row[index] * weight)
                .sum::<f64>()
    }
}

/// The share of the variance of `values` that `predictions` explain, 1 - sum (y - p)^2 / sum (y - mean)^2. It is at
/// most 1, and negative if the mean predicts better. `None` if all values are equal.
///
/// # Panics
/// If `values` and `predictions` differ in length.
#[must_use]
pub fn explained(values: &[f64], predictions: &[f64]) -> Option<f64> {
    assert_eq!(values.len(), predictions.len());
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let total: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let pairs = values.iter().zip(predictions);
    let left: f64 = pairs
        .map(|(value, prediction)| (value - prediction).powi(2))
        .sum();
    (total > 0.0).then(|| 1.0 - left / total)
}

/// The eigenvalues and eigenvectors of a symmetric matrix, computed on the calling thread.
fn eigen(matrix: &Mat<f64>) -> Option<(Vec<f64>, Mat<f64>)> {
    let size = matrix.nrows();
    let mut values = faer::diag::Diag::<f64>::zeros(size);
    let mut vectors = Mat::<f64>::zeros(size, size);
    let settings: Spec<SelfAdjointEvdParams, f64> = Spec::default();
    let scratch =
        self_adjoint_evd_scratch::<f64>(size, ComputeEigenvectors::Yes, Par::Seq, settings);
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        settings,
    )
    .ok()?;
    Some((values.column_vector().iter().copied().collect(), vectors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folds;

    fn linear(rows: &[Vec<f64>]) -> Kernel {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        rows.iter()
            .map(|a| rows.iter().map(|b| product(a, b)).collect())
            .collect()
    }

    /// With K = 1 and noise l, C^-1 = 1 / (1 + l). Then m is the mean, the weights are (y - m) / (1 + l), and a
    /// leave-one-out residual is (y - m) n / (n - 1).
    #[test]
    fn things_that_are_unlike_are_predicted_by_their_mean() {
        let kernel: Kernel = (0..4)
            .map(|a| (0..4).map(|b| f64::from(u8::from(a == b))).collect())
            .collect();
        let told = [0, 1, 2];
        let fitted = Regression::new(&kernel, &told)
            .unwrap()
            .fit(&[1.0, 2.0, 6.0], 0.5);
        assert!((fitted.constant - 3.0).abs() < 1e-12);
        for (weight, expected) in fitted.weights.iter().zip([-2.0, -1.0, 3.0]) {
            assert!((weight - expected / 1.5).abs() < 1e-12);
        }
        assert!((fitted.error - 14.0 / 3.0 * 2.25).abs() < 1e-12);
        assert!((fitted.at(&kernel[3], &told) - 3.0).abs() < 1e-12);
    }

    /// Compares the closed form of the leave-one-out error with leaving each item out.
    #[test]
    fn leaving_one_out_is_what_the_closed_form_says() {
        let rows: Vec<Vec<f64>> = (0..7)
            .map(|n: u32| vec![f64::from(n * 3 % 7), f64::from(n * n % 5)])
            .collect();
        let kernel = linear(&rows);
        let values: Vec<f64> = (0..7).map(|n: u32| f64::from(n * 5 % 11)).collect();
        let all: Vec<usize> = (0..7).collect();
        let whole = Regression::new(&kernel, &all).unwrap();
        let fitted = whole.fit(&values, 0.3);
        let noise = 0.3 * whole.scale;
        let mut squares = 0.0;
        for out in 0..7 {
            let told: Vec<usize> = (0..7).filter(|&index| index != out).collect();
            let regression = Regression::new(&kernel, &told).unwrap();
            let others: Vec<f64> = told.iter().map(|&index| values[index]).collect();
            let left = regression.fit(&others, noise / regression.scale);
            squares += (values[out] - left.at(&kernel[out], &told)).powi(2);
        }
        assert!((fitted.error - squares / 7.0).abs() < 1e-9, "{squares}");
    }

    /// y = 3 + 2 a - b is linear, so everything but the least noise is explained. Values unrelated to the kernel are
    /// not.
    #[test]
    fn a_linear_target_is_explained_and_chance_is_not() {
        let digit =
            |n: u32, factor: u32, range: u32| f64::from(n * factor % range) / f64::from(range);
        let rows: Vec<Vec<f64>> = (1..=60)
            .map(|n| vec![digit(n, 37, 101), digit(n, 53, 103)])
            .collect();
        let target: Vec<f64> = rows.iter().map(|row| 3.0 + 2.0 * row[0] - row[1]).collect();
        let chance: Vec<f64> = (1..=60).map(|n| digit(n * n * n, 7, 97)).collect();
        let kernels = [linear(&rows)];
        let mut found = [vec![0.0; 60], vec![0.0; 60]];
        for held in folds(60, 10, 0) {
            let predictions = held_out(&kernels, &[&target, &chance], &held).unwrap();
            for (of_target, predictions) in found.iter_mut().zip(&predictions) {
                for (&index, &value) in held.iter().zip(predictions) {
                    of_target[index] = value;
                }
            }
        }
        assert!(explained(&target, &found[0]).unwrap() > 0.999);
        assert!(explained(&chance, &found[1]).unwrap() < 0.15);
        assert_eq!(held_out(&[linear(&rows[..2])], &[&target[..2]], &[0]), None);
    }

    /// The squares around the mean 3 sum to 14, of which 5 are left. The mean explains nothing.
    #[test]
    fn the_share_explained_by_hand() {
        let values = [1.0, 2.0, 6.0];
        let share = explained(&values, &[1.0, 3.0, 4.0]).unwrap();
        assert!((share - (1.0 - 5.0 / 14.0)).abs() < 1e-12);
        assert_eq!(explained(&values, &[3.0; 3]), Some(0.0));
        assert_eq!(explained(&[2.0; 3], &[2.0; 3]), None);
    }
}
