use crate::ranks;

/// Up to so many differences the distribution is counted exactly.
const MOST_EXACT: usize = 50;

/// The two-sided p-value of the Wilcoxon signed-rank test that paired differences are symmetric about zero. Differences of
/// zero say nothing and are left out; without any other the p-value is 1.
///
/// Exact, also with ties, for up to 50 differences: the distribution of the rank sum over all sign patterns is counted
/// in half ranks. Beyond that the normal approximation with its variance, sum of squared ranks / 4.
/// Wilcoxon, "Individual comparisons by ranking methods", 1945.
#[must_use]
pub fn signed_rank_p(differences: &[f64]) -> f64 {
    let kept: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|&difference| difference != 0.0)
        .collect();
    if kept.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = kept.iter().map(|difference| difference.abs()).collect();
    let ranks = ranks(&sizes);
    let positive: f64 = ranks
        .iter()
        .zip(&kept)
        .filter(|(_, difference)| **difference > 0.0)
        .map(|(rank, _)| rank)
        .sum();
    if kept.len() <= MOST_EXACT {
        exact(&ranks, positive)
    } else {
        normal(&ranks, positive)
    }
}

/// Ranks are whole or half numbers: doubled, they are whole.
fn exact(ranks: &[f64], positive: f64) -> f64 {
    let doubled: Vec<usize> = ranks.iter().map(|rank| (2.0 * rank) as usize).collect();
    let total: usize = doubled.iter().sum();
    // The share of sign patterns by their sum of positive ranks.
    let mut share = vec![0.0; total + 1];
    share[0] = 1.0;
    for &rank in &doubled {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { share[sum - rank] } else { 0.0 };
            share[sum] = 0.5 * (share[sum] + with);
        }
    }
    let found = (2.0 * positive) as usize;
    let below: f64 = share[..=found].iter().sum();
    let above: f64 = share[found..].iter().sum();
    (2.0 * below.min(above)).min(1.0)
}

fn normal(ranks: &[f64], positive: f64) -> f64 {
    let mean = ranks.iter().sum::<f64>() / 2.0;
    let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / 4.0;
    // Half a step towards the middle, as sums are discrete.
    let distance = ((positive - mean).abs() - 0.5).max(0.0);
    (2.0 * upper_tail(distance / variance.sqrt())).min(1.0)
}

/// P(Z > z) of a standard normal Z, z >= 0, to 7 digits: Abramowitz and Stegun, 26.2.17.
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All five of a sign: one of 32 patterns on either side.
    #[test]
    fn five_of_one_sign() {
        let p = signed_rank_p(&[0.1, 0.2, 0.3, 0.4, 0.5]);
        assert!((p - 2.0 / 32.0).abs() < 1e-12);
        assert_eq!(p, signed_rank_p(&[-0.1, -0.2, -0.3, -0.4, -0.5]));
    }

    /// Sums 0 and 1 are reached by one pattern each: the smallest of four negative gives 2 * 2 / 16.
    #[test]
    fn four_with_the_smallest_against_the_rest() {
        assert!((signed_rank_p(&[-1.0, 2.0, 3.0, 4.0]) - 0.25).abs() < 1e-12);
    }

    /// Ranks 1.5, 1.5, 3: of eight patterns only the full one reaches 6.
    #[test]
    fn ties_are_counted_exactly() {
        assert!((signed_rank_p(&[1.0, 1.0, 2.0, 0.0]) - 0.25).abs() < 1e-12);
        assert_eq!(signed_rank_p(&[0.0, 0.0]), 1.0);
        assert_eq!(signed_rank_p(&[1.0, -1.0]), 1.0);
    }

    /// Where both apply they agree.
    #[test]
    fn the_approximation_meets_the_exact_distribution() {
        let differences: Vec<f64> = (1..=50)
            .map(|size| f64::from(size) * if size % 3 == 0 { -1.0 } else { 1.0 })
            .collect();
        let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
        let positive: f64 = differences.iter().filter(|d| **d > 0.0).sum();
        let (exact, normal) = (
            exact(&ranks(&sizes), positive),
            normal(&ranks(&sizes), positive),
        );
        assert!((exact - normal).abs() < 0.1 * exact, "{exact} {normal}");
        // 1.96 is the bound of the 5 %.
        assert!((2.0 * upper_tail(1.959_964) - 0.05).abs() < 1e-6);
    }
}
