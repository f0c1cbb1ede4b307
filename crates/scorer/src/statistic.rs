use serde::{Deserialize, Serialize};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// A number that summarises a connection's gradient matrix, by its singular values s_1 >= s_2 >= .., or by its
/// agreement with the gradient of other examples (cross-fitted).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The numerical rank by an absolute threshold: the number of s_k that exceed a share of the largest one in the
    /// whole map.
    Rank,
    /// The numerical rank by a relative threshold: the number of s_k that exceed a share of the matrix's own s_1.
    RelativeRank,
    /// The effective rank exp(-sum p_k ln p_k) with p_k = s_k / sum s (Roy and Vetterli, 2007).
    EffectiveRank,
    /// The stable rank sum s_k^2 / s_1^2.
    StableRank,
    /// The nuclear norm sum s_k.
    NuclearNorm,
    /// The Frobenius norm sqrt(sum s_k^2).
    FrobeniusNorm,
    /// The spectral norm s_1.
    SpectralNorm,
    /// The alignment <U V^T, G'> with G = U S V^T from one half of the training examples and G' from the other,
    /// averaged over both ways: the amount by which a step of unit spectral norm along one half's gradient lowers the
    /// other half's loss. Each half's gradient is computed at the linear probe fitted to the other half.
    Alignment,
    /// The alignment with G from the training examples and G' from the validation part, both at the probe of the
    /// former.
    ValidationAlignment,
    /// The cosine of G and G' of the two halves.
    Agreement,
}

impl Statistic {
    /// All statistics.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Whether the statistic compares the gradients of different examples, which takes a map of each.
    #[must_use]
    pub fn is_cross_fitted(self) -> bool {
        match self {
            Self::Alignment | Self::ValidationAlignment | Self::Agreement => true,
            Self::Rank
            | Self::RelativeRank
            | Self::EffectiveRank
            | Self::StableRank
            | Self::NuclearNorm
            | Self::FrobeniusNorm
            | Self::SpectralNorm => false,
        }
    }

    /// The statistic of one matrix, if its singular values suffice. All statistics of a matrix of zeros are 0.
    ///
    /// `absolute` is the threshold of [`Self::Rank`], `relative` that of [`Self::RelativeRank`].
    pub(crate) fn of(self, singular_values: &[f64], absolute: f64, relative: f64) -> Option<f64> {
        let largest = singular_values.iter().copied().fold(0.0, f64::max);
        let above = |threshold: f64| {
            let count = singular_values.iter().filter(|&&s| s > threshold).count();
            count as f64
        };
        let sum: f64 = singular_values.iter().sum();
        let squares: f64 = singular_values.iter().map(|s| s * s).sum();
        Some(match self {
            Self::Alignment | Self::ValidationAlignment | Self::Agreement => return None,
            _ if largest == 0.0 => 0.0,
            Self::Rank => above(absolute),
            Self::RelativeRank => above(relative * largest),
            Self::EffectiveRank => {
                let shares = singular_values.iter().map(|s| s / sum);
                let entropy: f64 = shares.filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
                entropy.exp()
            }
            Self::StableRank => squares / (largest * largest),
            Self::NuclearNorm => sum,
            Self::FrobeniusNorm => squares.sqrt(),
            Self::SpectralNorm => largest,
        })
    }
}

impl std::fmt::Display for Statistic {
    /// The name in words.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name: &str = self.into();
        let words = name.replace('-', " ");
        formatter.write_str(&words.replace("frobenius", "Frobenius"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_three_and_zero_by_hand() {
        let of = |statistic: Statistic| statistic.of(&[4.0, 3.0, 0.0], 3.5, 0.5).unwrap();
        assert_eq!(of(Statistic::Rank), 1.0);
        assert_eq!(of(Statistic::RelativeRank), 2.0);
        assert_eq!(of(Statistic::StableRank), 25.0 / 16.0);
        assert_eq!(of(Statistic::NuclearNorm), 7.0);
        assert_eq!(of(Statistic::FrobeniusNorm), 5.0);
        assert_eq!(of(Statistic::SpectralNorm), 4.0);
        let entropy = -(4.0 / 7.0 * (4.0_f64 / 7.0).ln() + 3.0 / 7.0 * (3.0_f64 / 7.0).ln());
        assert!((of(Statistic::EffectiveRank) - entropy.exp()).abs() < 1e-12);
    }

    #[test]
    fn equal_values_have_full_rank_and_zeros_none() {
        for statistic in [Statistic::EffectiveRank, Statistic::StableRank] {
            let value = statistic.of(&[2.0; 5], 0.0, 0.0).unwrap();
            assert!((value - 5.0).abs() < 1e-12);
        }
        for &statistic in Statistic::ALL {
            let expected = (!statistic.is_cross_fitted()).then_some(0.0);
            assert_eq!(statistic.of(&[0.0; 5], 0.0, 0.0), expected);
        }
    }
}
