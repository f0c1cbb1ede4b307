//! Small statistics of scores.

/// 97.5 % quantile of the normal distribution: two-sided 95 % intervals.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share that was counted on `count` examples (Wilson, 1927); it stays within 0 and 1.
///
/// (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
#[must_use]
pub fn wilson_interval(share: f64, count: usize) -> (f64, f64) {
    if count == 0 {
        return (0.0, 1.0);
    }
    let n = count as f64;
    let square = NORMAL_QUANTILE * NORMAL_QUANTILE;
    let centre = share + square / (2.0 * n);
    let half = NORMAL_QUANTILE
        * (share * (1.0 - share) / n + square / (4.0 * n * n))
            .max(0.0)
            .sqrt();
    let scale = 1.0 + square / n;
    (
        ((centre - half) / scale).max(0.0),
        ((centre + half) / scale).min(1.0),
    )
}

/// Spearman's rank correlation of pairs: Pearson's correlation of the ranks, equal values sharing the mean of theirs.
///
/// `None` where it is not defined: fewer than two pairs, all values on one side equal, or a value that is no number.
#[must_use]
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 2 || pairs.iter().any(|&(x, y)| x.is_nan() || y.is_nan()) {
        return None;
    }
    let first = ranks(pairs.iter().map(|&(x, _)| x));
    let second = ranks(pairs.iter().map(|&(_, y)| y));
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean));
        products.sum()
    };
    let scale = (product(&first, &first) * product(&second, &second)).sqrt();
    (scale > 0.0).then(|| product(&first, &second) / scale)
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    // Zeros of either sign are equal.
    let values: Vec<f64> = values.map(|value| value + 0.0).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for &index in equal {
            ranks[index] = rank;
        }
        start += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_none_half_and_all() {
        let square = NORMAL_QUANTILE * NORMAL_QUANTILE;
        // p = 0: from 0 to z^2 / (n + z^2); p = 1 mirrors it.
        let (low, high) = wilson_interval(0.0, 10);
        assert!(low.abs() < 1e-15 && (high - square / (10.0 + square)).abs() < 1e-12);
        let (low, high) = wilson_interval(1.0, 10);
        assert!((low - 10.0 / (10.0 + square)).abs() < 1e-12 && (high - 1.0).abs() < 1e-12);
        // p = 1/2: half the width is z / (2 sqrt(n + z^2)).
        let (low, high) = wilson_interval(0.5, 100);
        let half = NORMAL_QUANTILE / (2.0 * (100.0 + square).sqrt());
        assert!((low - (0.5 - half)).abs() < 1e-12 && (high - (0.5 + half)).abs() < 1e-12);
        assert_eq!(wilson_interval(0.5, 0), (0.0, 1.0));
    }

    #[test]
    fn ranks_of_ties_are_shared() {
        assert_eq!(ranks([3.0, 1.0, 3.0].into_iter()), [2.5, 1.0, 2.5]);
        assert_eq!(ranks([0.0, -0.0, -1.0].into_iter()), [2.5, 2.5, 1.0]);
    }

    #[test]
    fn correlations_by_hand() {
        let close = |pairs: &[(f64, f64)], expected: f64| {
            assert!(
                (spearman(pairs).unwrap() - expected).abs() < 1e-12,
                "{pairs:?}"
            );
        };
        close(&[(1.0, 10.0), (2.0, 20.0), (9.0, 21.0)], 1.0);
        close(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)], -1.0);
        // One exchange of neighbours among four: 1 - 6 * 2 / (4 * 15)
        close(&[(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 4.0)], 0.8);
        // Ranks 1.5, 1.5, 3 and 1, 2, 3: 1.5 / sqrt(1.5 * 2)
        close(&[(5.0, 1.0), (5.0, 2.0), (6.0, 3.0)], 1.5 / 3.0_f64.sqrt());
    }

    #[test]
    fn correlations_that_are_not_defined() {
        assert_eq!(spearman(&[]), None);
        assert_eq!(spearman(&[(1.0, 2.0)]), None);
        assert_eq!(spearman(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(spearman(&[(f64::NAN, 2.0), (1.0, 3.0)]), None);
    }
}
