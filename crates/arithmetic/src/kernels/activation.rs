//! Activations x F(x) and their derivatives. For the exact gelu, F is the normal distribution function Phi, for all
//! others the logistic function of some u(x).

use super::instruction_set::InstructionSet;
use crate::Activation;

/// exp(x) in f32 within 2 units in the last place, without a table: 2^n exp(r) with |r| <= ln(2) / 2 and a polynomial
/// for exp(r) (Cephes, `expf`). Below -87 the result is exp(-87), some 1e-38.
#[inline(always)]
pub(super) fn exponential(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, which is then in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut polynomial = 1.987_569_1e-4_f32;
    polynomial = polynomial * r + 1.398_199_9e-3;
    polynomial = polynomial * r + 8.333_452e-3;
    polynomial = polynomial * r + 4.166_579_6e-2;
    polynomial = polynomial * r + 1.666_666_5e-1;
    polynomial = polynomial * r + 0.5;
    let mantissa = polynomial * r * r + r + 1.0;
    let power = shifted
        .to_bits()
        .wrapping_add(127_u32.wrapping_sub(ROUNDER.to_bits()))
        << 23;
    mantissa * f32::from_bits(power)
}

/// Phi(x) within 1e-7, and exp(-x^2 / 2).
///
/// The tail beyond |x| is 0.5 (a1 t + .. + a5 t^5) exp(-x^2 / 2) with t = 1 / (1 + p |x| / sqrt 2) (Abramowitz and
/// Stegun 1964, 7.1.26). Because both sides are computed as tails, gelu vanishes far below zero.
#[inline(always)]
fn distribution(x: f32) -> (f32, f32) {
    const P_BY_ROOT_TWO: f32 = 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2;
    let exponential = exponential(-0.5 * x * x);
    let t = 1.0 / (1.0 + P_BY_ROOT_TWO * x.abs());
    let mut polynomial = 1.061_405_4_f32;
    polynomial = polynomial * t - 1.453_152;
    polynomial = polynomial * t + 1.421_413_8;
    polynomial = polynomial * t - 0.284_496_74;
    polynomial = polynomial * t + 0.254_829_6;
    let tail = 0.5 * polynomial * t * exponential;
    (if x < 0.0 { tail } else { 1.0 - tail }, exponential)
}

/// gelu(x) and its derivative Phi(x) + x phi(x), with the normal density phi.
#[inline(always)]
#[must_use]
pub(crate) fn value_and_slope(x: f32) -> (f32, f32) {
    const DENSITY_AT_ZERO: f32 = 0.398_942_3;
    let (distribution, exponential) = distribution(x);
    let slope = distribution + x * DENSITY_AT_ZERO * exponential;
    (x * distribution, slope)
}

/// x s and its derivative s + x s (1 - s) u'(x), for the logistic function s of u(x).
#[inline(always)]
fn logistic(x: f32, u: f32, slope_of_u: f32) -> (f32, f32) {
    let share = 1.0 / (1.0 + exponential(-u));
    let value = x * share;
    (value, share + value * (1.0 - share) * slope_of_u)
}

/// gelu with tanh in place of erf: (1 + tanh(v)) / 2 is the logistic function of 2 v, with
/// v = sqrt(2 / pi) (x + 0.044715 x^3).
#[inline(always)]
fn by_tanh(x: f32) -> (f32, f32) {
    const TWICE_ROOT: f32 = 2.0 * 0.797_884_6;
    let square = x * x;
    let u = TWICE_ROOT * x * (1.0 + 0.044_715 * square);
    logistic(x, u, TWICE_ROOT * (1.0 + 3.0 * 0.044_715 * square))
}

#[inline(always)]
fn quick(x: f32) -> (f32, f32) {
    const FACTOR: f32 = 1.702;
    logistic(x, FACTOR * x, FACTOR)
}

#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    logistic(x, x, 1.0)
}

#[inline(always)]
fn map(set: InstructionSet, x: &mut [f32], value: impl Fn(f32) -> f32) {
    set.run(
        #[inline(always)]
        || {
            for x in x {
                *x = value(*x);
            }
        },
    );
}

#[inline(always)]
fn map_with_slopes(
    set: InstructionSet,
    x: &mut [f32],
    slopes: &mut [f32],
    both: impl Fn(f32) -> (f32, f32),
) {
    set.run(
        #[inline(always)]
        || {
            for (x, slope) in x.iter_mut().zip(slopes) {
                (*x, *slope) = both(*x);
            }
        },
    );
}

/// Replaces x by the activation of x.
pub(crate) fn in_place(set: InstructionSet, activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Gelu => map(
            set,
            x,
            #[inline(always)]
            |x| x * distribution(x).0,
        ),
        Activation::GeluByTanh => map(
            set,
            x,
            #[inline(always)]
            |x| by_tanh(x).0,
        ),
        Activation::QuickGelu => map(
            set,
            x,
            #[inline(always)]
            |x| quick(x).0,
        ),
        Activation::Silu => map(
            set,
            x,
            #[inline(always)]
            |x| silu(x).0,
        ),
    }
}

/// The same, with the derivatives at x.
pub(crate) fn with_derivative(
    set: InstructionSet,
    activation: Activation,
    x: &mut [f32],
    slopes: &mut [f32],
) {
    match activation {
        Activation::Gelu => map_with_slopes(set, x, slopes, value_and_slope),
        Activation::GeluByTanh => map_with_slopes(set, x, slopes, by_tanh),
        Activation::QuickGelu => map_with_slopes(set, x, slopes, quick),
        Activation::Silu => map_with_slopes(set, x, slopes, silu),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series in f64, exact to 1e-13 for |x| < 4.5.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    fn grid() -> impl Iterator<Item = f32> {
        (-6000..=6000).map(|step| step as f32 * 1e-3)
    }

    #[test]
    fn exponential_is_exact_to_three_units_in_the_last_place() {
        for x in grid().map(|x| x * 14.0) {
            let exact = f64::from(x).exp();
            let error = (f64::from(exponential(x)) - exact).abs() / exact;
            assert!(error < 3.0 * f64::from(f32::EPSILON), "exp({x}): {error:e}");
        }
        assert!(exponential(-1e30) < 1e-37);
    }

    #[test]
    fn gelu_and_its_derivative_agree_with_the_series() {
        for x in grid() {
            let exact = f64::from(x);
            let phi = 0.5 * (1.0 + erf_series(exact * std::f64::consts::FRAC_1_SQRT_2));
            let density = (-0.5 * exact * exact).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let mut value = [x];
            in_place(InstructionSet::detect(), Activation::Gelu, &mut value);
            let (mut slope, mut activation) = ([0.0], [x]);
            with_derivative(
                InstructionSet::detect(),
                Activation::Gelu,
                &mut activation,
                &mut slope,
            );
            assert_eq!(activation, value);
            // The bound is the error of the distribution, times x, plus one rounding.
            let bound = exact.abs().max(1.0) * 1.5e-7 + 1e-7;
            let gelu_error = (f64::from(value[0]) - exact * phi).abs();
            assert!(gelu_error < bound, "gelu({x}): {gelu_error:e}");
            let slope_error = (f64::from(slope[0]) - (phi + exact * density)).abs();
            assert!(slope_error < 6e-7, "gelu'({x}): {slope_error:e}");
        }
    }

    /// The definitions in f64, and central differences of them.
    #[test]
    fn the_others_are_their_definitions() {
        for activation in [
            Activation::GeluByTanh,
            Activation::QuickGelu,
            Activation::Silu,
        ] {
            let definition = |x: f64| match activation {
                Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
                Activation::Silu => x / (1.0 + (-x).exp()),
                _ => {
                    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                    0.5 * x * (1.0 + inner.tanh())
                }
            };
            for x in grid() {
                let (mut value, mut again, mut slope) = ([x], [x], [0.0]);
                let set = InstructionSet::detect();
                in_place(set, activation, &mut value);
                with_derivative(set, activation, &mut again, &mut slope);
                assert_eq!(value, again);
                let at = f64::from(x);
                let error = (f64::from(value[0]) - definition(at)).abs();
                assert!(
                    error < 1e-6 * at.abs().max(1.0),
                    "{activation:?}({x}): {error:e}"
                );
                let difference = (definition(at + 1e-5) - definition(at - 1e-5)) / 2e-5;
                let error = (f64::from(slope[0]) - difference).abs();
                // The slope of u is up to 4 where it matters, and so is the factor of u's rounding.
                assert!(error < 2e-6, "{activation:?}'({x}): {error:e}");
            }
            let mut far = [-60.0, 60.0, f32::NAN];
            in_place(InstructionSet::detect(), activation, &mut far);
            assert!(
                far[0].abs() < 1e-20 && far[1] == 60.0 && far[2].is_nan(),
                "{far:?}"
            );
        }
    }

    /// gelu(-6) = -6 Phi(-6), and Phi(-6) = 9.8659e-10.
    #[test]
    fn gelu_vanishes_far_below_zero() {
        let mut value = [-6.0, -12.0];
        in_place(InstructionSet::detect(), Activation::Gelu, &mut value);
        assert!((value[0] + 5.919_5e-9).abs() < 1e-9, "{value:?}");
        assert!(value[1].abs() < 1e-30);
    }

    #[test]
    fn not_a_number_stays_visible() {
        let mut value = [f32::NAN];
        in_place(InstructionSet::detect(), Activation::Gelu, &mut value);
        assert!(value[0].is_nan());
    }
}
