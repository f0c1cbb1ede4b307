//! Products with frozen weights, in f32 or bf16.

use half::bf16;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

#[cfg(target_arch = "x86_64")]
use super::bf16::{self as pairs, PackedBf16};
use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, MatrixMut};
use super::product::{Packed, Start, multiply};

/// The precision to which the operands of frozen products are rounded. Sums, and everything that is not a product with
/// a frozen weight, are f32 in any case.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision, in which nothing is rounded.
    F32,
    /// bfloat16 with 8 bits of mantissa, about twice as fast on machines that multiply it. Elsewhere the rounded
    /// numbers are multiplied in f32, with the same results up to rounding.
    Bf16,
    /// `TensorFloat-32` with 11 bits of mantissa, which recent cards of NVIDIA multiply several times as fast as f32.
    /// Elsewhere the rounded numbers are multiplied in f32.
    Tf32,
}

impl Precision {
    /// bf16 on a machine that multiplies tiles of it (AMX), else f32.
    #[must_use]
    pub fn of_machine() -> Self {
        match has_amx_bf16() {
            true => Self::Bf16,
            false => Self::F32,
        }
    }

    /// The nearest number of this precision.
    fn rounded(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::Bf16 => bf16::from_f32(value).to_f32(),
            Self::Tf32 if value.is_finite() => {
                // Half of the last bit that stays, less if that makes it even.
                let half = 0xfff + ((value.to_bits() >> 13) & 1);
                f32::from_bits((value.to_bits() + half) & !0x1fff)
            }
            Self::Tf32 => value,
        }
    }
}

/// Whether the processor has bf16 tiles (leaf 7 of `cpuid`, bit 22 of EDX).
#[cfg(target_arch = "x86_64")]
fn has_amx_bf16() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (1 << 22) != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_amx_bf16() -> bool {
    false
}

/// The right operand of a product, packed once.
pub(crate) enum FrozenProduct {
    F32(Packed),
    /// Numbers rounded to a precision that are multiplied in f32.
    Rounded(Packed, Precision),
    #[cfg(target_arch = "x86_64")]
    Bf16(PackedBf16),
}

/// Memory for the rounded left operand.
#[derive(Default)]
pub(crate) struct RoundedScratch {
    bits: Vec<u16>,
    values: Vec<f32>,
}

impl FrozenProduct {
    /// Packs `weight`, (depth, columns).
    pub(crate) fn new(set: InstructionSet, precision: Precision, weight: Matrix<'_>) -> Self {
        match precision {
            Precision::F32 => Self::F32(Packed::new(set, weight)),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if set.multiplies_bf16() => Self::Bf16(PackedBf16::new(weight)),
            Precision::Bf16 | Precision::Tf32 => {
                let values = weight.data.iter();
                let rounded: Vec<f32> = values.map(|&value| precision.rounded(value)).collect();
                let weight = Matrix {
                    data: &rounded,
                    layout: weight.layout,
                };
                Self::Rounded(Packed::new(set, weight), precision)
            }
        }
    }

    /// Adds the product of the rows of `left` and the weight to `start`.
    pub(crate) fn multiply(
        &self,
        set: InstructionSet,
        result: MatrixMut<'_>,
        start: Start<'_>,
        left: &[f32],
        scratch: &mut RoundedScratch,
    ) {
        let rows = result.rows;
        let matrix = |left| Matrix::new(left, rows, left.len() / rows.max(1));
        match self {
            Self::F32(weight) => multiply(set, result, start, matrix(left), weight, 1.0),
            Self::Rounded(weight, precision) => {
                let rounded = left.iter().map(|&value| precision.rounded(value));
                scratch.values.clear();
                scratch.values.extend(rounded);
                let left = matrix(&scratch.values);
                multiply(set, result, start, left, weight, 1.0);
            }
            #[cfg(target_arch = "x86_64")]
            Self::Bf16(weight) => pairs::multiply(result, start, left, weight, &mut scratch.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|x| (x as f32 * step).sin()).collect()
    }

    /// The number 1 + 2^-11 is halfway between two numbers with 10 bits after the point and rounds down to the even one.
    /// The number 1 + 3 x 2^-11 rounds up to the even one.
    #[test]
    fn tf32_keeps_ten_bits_behind_the_point() {
        let ulp = 2.0_f32.powi(-10);
        for (value, expected) in [
            (1.0 + ulp, 1.0 + ulp),
            (1.0 + ulp / 2.0, 1.0),
            (1.0 + ulp / 2.0 + ulp / 1024.0, 1.0 + ulp),
            (-1.0 - 1.5 * ulp, -1.0 - 2.0 * ulp),
            (2.0 - ulp / 4.0, 2.0),
            (0.0, 0.0),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(Precision::Tf32.rounded(value), expected, "{value}");
        }
        assert!(Precision::Tf32.rounded(f32::NAN).is_nan());
    }

    /// Integers below 256 are bf16 numbers and their sums are exact in f32, so every path has the same result.
    #[test]
    fn integers_are_multiplied_exactly() {
        for (m, n, k) in [
            (37, 29, 21),
            (8, 48, 2),
            (1, 1, 3),
            (5, 100, 33),
            (3, 16, 800),
        ] {
            let a: Vec<f32> = (0..m * k).map(|x| ((x * 7) % 11) as f32 - 5.0).collect();
            let b: Vec<f32> = (0..k * n).map(|x| ((x * 5) % 13) as f32 - 6.0).collect();
            let bias: Vec<f32> = (0..n).map(|x| x as f32).collect();
            let mut expected = vec![0.0; m * n];
            for (place, value) in expected.iter_mut().enumerate() {
                let (i, j) = (place / n, place % n);
                let products = (0..k).map(|k_| a[i * k + k_] * b[k_ * n + j]);
                *value = 1.0 + bias[j] + products.sum::<f32>();
            }
            for set in InstructionSet::available() {
                for precision in [Precision::F32, Precision::Bf16, Precision::Tf32] {
                    let weight = FrozenProduct::new(set, precision, Matrix::new(&b, k, n));
                    let mut found = vec![1.0; m * n];
                    let result = MatrixMut::new(&mut found, m, n);
                    let scratch = &mut RoundedScratch::default();
                    let start = Start::ResultAndBias(&bias);
                    weight.multiply(set, result, start, &a, scratch);
                    assert_eq!(found, expected, "{set:?}, {precision}, {m} x {k} x {n}");
                }
            }
        }
    }

    /// Compares with the rounded numbers in f64, so the only difference is the order of an f32 sum. Covers every start,
    /// a result inside a wider matrix, and a transposed weight.
    #[test]
    fn rounds_operands_and_nothing_else() {
        let (m, n, k) = (13, 51, 900);
        let (a, b, bias) = (waves(m * k, 0.37), waves(k * n, 0.11), waves(n, 0.7));
        let stride = n + 5;
        let sets = InstructionSet::available().into_iter();
        for (set, precision) in
            sets.flat_map(|set| [(set, Precision::Bf16), (set, Precision::Tf32)])
        {
            let across = Matrix::new(&b, n, k).transposed();
            let weight = FrozenProduct::new(set, precision, across);
            let rounded = |value: f32| f64::from(precision.rounded(value));
            for (start, before, biased) in [
                (Start::Nothing, 0.0, 0.0),
                (Start::Bias(&bias), 0.0, 1.0),
                (Start::Result, 1.0, 0.0),
                (Start::ResultAndBias(&bias), 1.0, 1.0),
            ] {
                let original = waves(m * stride, 0.5);
                let mut found = original.clone();
                let result = MatrixMut::strided(&mut found, m, n, stride);
                weight.multiply(set, result, start, &a, &mut RoundedScratch::default());
                for (place, (&found, &original)) in found.iter().zip(&original).enumerate() {
                    let (i, j) = (place / stride, place % stride);
                    if j >= n {
                        assert_eq!(found, original, "the gaps stay as they are");
                        continue;
                    }
                    let product: f64 = (0..k)
                        .map(|k_| rounded(a[i * k + k_]) * rounded(b[j * k + k_]))
                        .sum();
                    let expected =
                        before * f64::from(original) + biased * f64::from(bias[j]) + product;
                    assert!((f64::from(found) - expected).abs() < 1e-4, "{set:?}");
                }
            }
        }
    }

    /// A row has the same bits alone and among others.
    #[test]
    fn a_row_depends_on_itself_alone() {
        let (m, n, k) = (19, 50, 500);
        let (a, b) = (waves(m * k, 0.37), waves(k * n, 0.11));
        for set in InstructionSet::available() {
            let weight = FrozenProduct::new(set, Precision::Bf16, Matrix::new(&b, k, n));
            let product = |rows: std::ops::Range<usize>| {
                let mut found = vec![0.0; rows.len() * n];
                let result = MatrixMut::new(&mut found, rows.len(), n);
                let left = &a[rows.start * k..rows.end * k];
                let scratch = &mut RoundedScratch::default();
                weight.multiply(set, result, Start::Nothing, left, scratch);
                found
            };
            let all = product(0..m);
            for rows in [0..1, 3..19, 7..12] {
                assert_eq!(product(rows.clone()), all[rows.start * n..rows.end * n]);
            }
        }
    }
}
