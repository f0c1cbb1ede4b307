use crate::ranks;

/// The smallest number of differences whose p-value can fall below 0.05. With n differences it is at least 2^(1 - n):
/// two of the 2^n sign patterns.
pub const FEWEST_PAIRS: usize = 6;

/// The two-sided p-value of the Wilcoxon signed-rank test for the hypothesis that paired differences are symmetric
/// about zero. Differences of zero carry no information and are left out. If no other difference is left, the p-value
/// is 1.
///
/// The test is exact, also with ties: it counts the distribution of the rank sum over all sign patterns, in n^3 steps
/// for n differences. The smallest share is representable up to about a thousand differences. Wilcoxon, "Individual
/// comparisons by ranking methods", 1945.
#[must_use]
pub fn signed_rank_p(differences: &[f64]) -> f64 {
    let kept: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|&difference| difference != 0.0)
        .collect();
    let sizes: Vec<f64> = kept.iter().map(|difference| difference.abs()).collect();
    // Ranks are whole or half numbers, so doubled ranks are whole.
    let ranks: Vec<usize> = ranks(&sizes)
        .into_iter()
        .map(|rank| (2.0 * rank) as usize)
        .collect();
    let total: usize = ranks.iter().sum();
    let positive: usize = ranks
        .iter()
        .zip(&kept)
        .filter(|(_, difference)| **difference > 0.0)
        .map(|(rank, _)| rank)
        .sum();
    // The share of sign patterns with each sum of positive ranks.
    let mut share = vec![0.0; total + 1];
    share[0] = 1.0;
    let mut reached = 0;
    for &rank in &ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= rank { share[sum - rank] } else { 0.0 };
            share[sum] = 0.5 * (share[sum] + with);
        }
    }
    let below: f64 = share[..=positive].iter().sum();
    let above: f64 = share[positive..].iter().sum();
    (2.0 * below.min(above)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_pairs_cannot_be_significant() {
        assert!(signed_rank_p(&[1.0; FEWEST_PAIRS]) < 0.05);
        assert!(signed_rank_p(&[1.0; FEWEST_PAIRS - 1]) >= 0.05);
    }

    /// All five have the same sign: one of 32 patterns on either side.
    #[test]
    fn five_of_one_sign() {
        let p = signed_rank_p(&[0.1, 0.2, 0.3, 0.4, 0.5]);
        assert!((p - 2.0 / 32.0).abs() < 1e-12);
        assert_eq!(p, signed_rank_p(&[-0.1, -0.2, -0.3, -0.4, -0.5]));
    }

    /// One pattern each reaches the sums 0 and 1. With the smallest of four negative, p is 2 * 2 / 16.
    #[test]
    fn four_with_the_smallest_against_the_rest() {
        assert!((signed_rank_p(&[-1.0, 2.0, 3.0, 4.0]) - 0.25).abs() < 1e-12);
    }

    /// The ranks are 1.5, 1.5, 3. Only the full one of eight patterns reaches 6.
    #[test]
    fn ties_are_counted_exactly() {
        assert!((signed_rank_p(&[1.0, 1.0, 2.0, 0.0]) - 0.25).abs() < 1e-12);
        assert_eq!(signed_rank_p(&[0.0, 0.0]), 1.0);
        assert_eq!(signed_rank_p(&[]), 1.0);
        assert_eq!(signed_rank_p(&[1.0, -1.0]), 1.0);
    }

    /// Compares with every sign pattern of nine differences with ties, one by one.
    #[test]
    fn the_count_is_that_of_all_sign_patterns() {
        let sizes = [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 4.0, 5.0, 6.0];
        let ranks = ranks(&sizes);
        let sum = |signs: u32| -> f64 {
            let positive = (0..9).filter(|bit| signs & (1 << bit) != 0);
            positive.map(|bit| ranks[bit]).sum()
        };
        for signs in (0..512).step_by(37) {
            let found = sum(signs);
            let share = |keep: &dyn Fn(f64) -> bool| {
                (0..512).filter(|&other| keep(sum(other))).count() as f64 / 512.0
            };
            let expected = 2.0 * share(&|other| other <= found).min(share(&|other| other >= found));
            let differences: Vec<f64> = (0..9)
                .map(|bit| {
                    if signs & (1 << bit) != 0 {
                        sizes[bit]
                    } else {
                        -sizes[bit]
                    }
                })
                .collect();
            assert!((signed_rank_p(&differences) - expected.min(1.0)).abs() < 1e-12);
        }
    }

    /// A comparison may have this many differences. Nearly all have one sign, and the share is tiny but still
    /// representable.
    #[test]
    fn a_thousand_differences() {
        let differences: Vec<f64> = (1..=1000).map(f64::from).collect();
        let p = signed_rank_p(&differences);
        assert!(p > 0.0 && p < 1e-290, "{p}");
    }
}
