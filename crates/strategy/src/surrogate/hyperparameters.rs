//! The hyperparameters, which are chosen by marginal likelihood.

use super::kernel::{ConnectionTable, SetScales};

/// The hyperparameters of the covariance of two placements' values, in units of the signal that the set kernel carries:
///
/// `(c(k(P, Q)) + w_j j(P) j(Q) + w_d d(P) d(Q) + w_s <s(P), s(Q)> / S) * rho^|log2 of the ratio of steps|`
///
/// Here k is the set kernel, j the standardised joint score, d the standardised mean distance between two connections, s
/// the S standardised sums and maxima of the connections' statistics, and `c(k) = (e^(g k) - 1) / (e^g - 1)`, which is k for g = 0. With `c(k) = k` the value of a placement
/// is a sum over its connections. A larger curvature g lets it depend on which of them occur together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hyperparameters {
    /// The length scales of the set kernel.
    pub(crate) set: SetScales,
    /// The curvature g.
    pub(crate) curvature: f64,
    /// The weight w_j of the joint score.
    pub(crate) judged: f64,
    /// The weight w_d of the mean distance.
    pub(crate) distance: f64,
    /// The weight w_s of the statistics.
    pub(crate) statistics: f64,
    /// The correlation rho of two trainings, one with twice the steps of the other.
    pub(crate) doubling: f64,
    /// The variance of the noise, as a multiple of the signal.
    pub(crate) noise: f64,
}

/// A hyperparameter and the values that it may have.
struct Coordinate {
    of: fn(&mut Hyperparameters) -> &mut f64,
    grid: &'static [f64],
    /// Whether the value makes a difference. If not, only the default is used.
    matters: fn(&ConnectionTable, Fidelities) -> bool,
}

/// Whether the observations have more than one fidelity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fidelities {
    One,
    Several,
}

impl Hyperparameters {
    /// The starting point of the search.
    pub(crate) const START: Self = Hyperparameters {
        set: SetScales {
            states: 2.5,
            kinds: 1.0,
            features: f64::INFINITY,
            ranks: 2.0,
        },
        curvature: 0.0,
        judged: 1.0,
        distance: 0.1,
        statistics: 0.3,
        doubling: 0.9,
        noise: 0.3,
    };
    const SWEEPS: usize = 3;
    /// Smaller gains are due to rounding.
    const GAIN: f64 = 1e-6;
    const COORDINATES: [Coordinate; 10] = [
        Coordinate {
            of: |h| &mut h.noise,
            grid: &[0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
            matters: |_, _| true,
        },
        Coordinate {
            of: |h| &mut h.judged,
            grid: &[0.0, 0.1, 0.3, 1.0, 3.0, 10.0],
            matters: |_, _| true,
        },
        Coordinate {
            of: |h| &mut h.distance,
            grid: &[0.0, 0.1, 0.3, 1.0, 3.0, 10.0],
            matters: |_, _| true,
        },
        Coordinate {
            of: |h| &mut h.statistics,
            grid: &[0.0, 0.1, 0.3, 1.0, 3.0, 10.0],
            matters: |table, _| table.has_features(),
        },
        Coordinate {
            of: |h| &mut h.set.states,
            grid: &[1.5, 2.5, 4.0, 7.0, 12.0],
            matters: |_, _| true,
        },
        Coordinate {
            of: |h| &mut h.set.features,
            grid: &[f64::INFINITY, 2.0, 1.0, 0.5],
            matters: |table, _| table.has_features(),
        },
        Coordinate {
            of: |h| &mut h.set.kinds,
            grid: &[1.0, 0.5],
            matters: |table, _| table.has_kinds(),
        },
        Coordinate {
            of: |h| &mut h.set.ranks,
            grid: &[f64::INFINITY, 4.0, 2.0, 1.0],
            matters: |table, _| table.has_ranks(),
        },
        Coordinate {
            of: |h| &mut h.curvature,
            grid: &[0.0, 1.0, 3.0],
            matters: |_, _| true,
        },
        Coordinate {
            of: |h| &mut h.doubling,
            grid: &[0.5, 0.7, 0.9, 0.97],
            matters: |_, fidelities| fidelities == Fidelities::Several,
        },
    ];

    /// The best hyperparameters by `log_likelihood` and prior that a search along one coordinate after the other finds,
    /// on a grid and from [`Hyperparameters::START`]. `None` if the likelihood has no value there.
    pub(crate) fn best(
        table: &ConnectionTable,
        fidelities: Fidelities,
        mut log_likelihood: impl FnMut(&Hyperparameters) -> Option<f64>,
    ) -> Option<Self> {
        let mut best = Self::START;
        // The prior is 1 there.
        let mut most = log_likelihood(&best)?;
        for _ in 0..Self::SWEEPS {
            let before = best;
            for coordinate in &Self::COORDINATES {
                if !(coordinate.matters)(table, fidelities) {
                    continue;
                }
                let here = best;
                for &value in coordinate.grid {
                    let mut other = here;
                    *(coordinate.of)(&mut other) = value;
                    if other == here {
                        continue;
                    }
                    if let Some(likelihood) = log_likelihood(&other)
                        && likelihood + other.log_prior() > most + Self::GAIN
                    {
                        (best, most) = (other, likelihood + other.log_prior());
                    }
                }
            }
            if best == before {
                break;
            }
        }
        Some(best)
    }

    /// The logarithm of a weak prior for few and noisy observations, up to a constant. Along each coordinate it is
    /// normal around [`Hyperparameters::START`], with a deviation of 1.6 places of the grid.
    fn log_prior(mut self) -> f64 {
        let mut start = Self::START;
        let of_coordinate = |coordinate: &Coordinate| {
            let place = |of: &mut Hyperparameters| {
                let value = *(coordinate.of)(of);
                coordinate.grid.iter().position(|&other| other == value)
            };
            let places = place(&mut self).zip(place(&mut start));
            places.map_or(0.0, |(a, b)| -0.2 * (a.abs_diff(b) as f64).powi(2))
        };
        Self::COORDINATES.iter().map(of_coordinate).sum()
    }

    /// The term c(k) of the covariance, where `alike` is the set kernel k.
    pub(crate) fn set_covariance(&self, alike: f64) -> f64 {
        if self.curvature > 0.0 {
            (self.curvature * alike).exp_m1() / self.curvature.exp_m1()
        } else {
            alike
        }
    }

    /// The factor between two fidelities, from log2 of the ratio of their steps.
    pub(crate) fn between_fidelities(&self, doublings: f64) -> f64 {
        if doublings == 0.0 {
            return 1.0;
        }
        self.doubling.powf(doublings.abs())
    }
}
