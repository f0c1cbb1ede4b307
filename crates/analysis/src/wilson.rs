/// The 97.5 % quantile of the normal distribution, for two-sided 95 % intervals.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share that was counted on `count` examples (Wilson, 1927). It stays between 0 and 1.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_none_half_and_all() {
        let square = NORMAL_QUANTILE * NORMAL_QUANTILE;
        // With p = 0 the interval is 0 to z^2 / (n + z^2), and p = 1 mirrors it.
        let (low, high) = wilson_interval(0.0, 10);
        assert!(low.abs() < 1e-15 && (high - square / (10.0 + square)).abs() < 1e-12);
        let (low, high) = wilson_interval(1.0, 10);
        assert!((low - 10.0 / (10.0 + square)).abs() < 1e-12 && (high - 1.0).abs() < 1e-12);
        // With p = 1/2, half the width is z / (2 sqrt(n + z^2)).
        let (low, high) = wilson_interval(0.5, 100);
        let half = NORMAL_QUANTILE / (2.0 * (100.0 + square).sqrt());
        assert!((low - (0.5 - half)).abs() < 1e-12 && (high - (0.5 + half)).abs() < 1e-12);
        assert_eq!(wilson_interval(0.5, 0), (0.0, 1.0));
    }
}
