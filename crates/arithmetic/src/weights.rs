use std::borrow::Cow;
use std::ops::Range;

use half::{bf16, f16};

/// Frozen values in the type in which they are stored, so that those of 16 bits need no more memory than their file.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// Single precision.
    F32(Vec<f32>),
    /// IEEE half precision.
    F16(Vec<f16>),
    /// bfloat16.
    Bf16(Vec<bf16>),
}

impl From<Vec<f32>> for Weights {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl Weights {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in f32, which holds all of them exactly.
    #[must_use]
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match self {
            Self::F32(values) => Cow::Borrowed(values),
            Self::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
            Self::Bf16(values) => values.iter().map(|value| value.to_f32()).collect(),
        }
    }

    /// The values in f32.
    #[must_use]
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            other => other.to_f32().into_owned(),
        }
    }

    /// Appends some of the values to others in f32.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn append_to(&self, range: Range<usize>, to: &mut Vec<f32>) {
        match self {
            Self::F32(values) => to.extend_from_slice(&values[range]),
            Self::F16(values) => to.extend(values[range].iter().map(|value| value.to_f32())),
            Self::Bf16(values) => to.extend(values[range].iter().map(|value| value.to_f32())),
        }
    }

    /// These values and then the others, in their type if it is the same and in f32 if not.
    #[must_use]
    pub fn followed_by(self, others: Self) -> Self {
        match (self, others) {
            (Self::F16(mut all), Self::F16(others)) => {
                all.extend(others);
                Self::F16(all)
            }
            (Self::Bf16(mut all), Self::Bf16(others)) => {
                all.extend(others);
                Self::Bf16(all)
            }
            (all, others) => {
                let mut all = all.into_f32();
                all.extend(others.into_f32());
                Self::F32(all)
            }
        }
    }

    /// The transposed matrix of these values, of which a row has so many.
    #[must_use]
    pub fn transposed(&self, columns: usize) -> Self {
        fn transposed<T: Copy>(values: &[T], columns: usize) -> Vec<T> {
            let mut all = Vec::with_capacity(values.len());
            for column in 0..columns {
                all.extend(values.iter().skip(column).step_by(columns));
            }
            all
        }
        match self {
            Self::F32(values) => Self::F32(transposed(values, columns)),
            Self::F16(values) => Self::F16(transposed(values, columns)),
            Self::Bf16(values) => Self::Bf16(transposed(values, columns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f32; 6] = [1.0, -0.5, 3.0, 0.25, -8.0, 96.0];

    fn all() -> [Weights; 3] {
        [
            Weights::F32(VALUES.to_vec()),
            Weights::F16(VALUES.map(f16::from_f32).to_vec()),
            Weights::Bf16(VALUES.map(bf16::from_f32).to_vec()),
        ]
    }

    #[test]
    fn values_are_the_same_in_every_type() {
        for weights in all() {
            assert_eq!(*weights.to_f32(), VALUES);
            let mut some = vec![7.0];
            weights.append_to(2..4, &mut some);
            assert_eq!(some, [7.0, 3.0, 0.25]);
            let columns = weights.transposed(2).into_f32();
            assert_eq!(columns, [1.0, 3.0, -8.0, -0.5, 0.25, 96.0]);
        }
    }

    #[test]
    fn the_type_is_kept_where_it_is_the_same() {
        let both = [&VALUES[..], &VALUES].concat();
        for one in all() {
            for other in all() {
                let same = std::mem::discriminant(&one) == std::mem::discriminant(&other);
                let joined = one.clone().followed_by(other);
                assert_eq!(*joined.to_f32(), both);
                assert_eq!(
                    matches!(joined, Weights::F32(_)),
                    !same || matches!(one, Weights::F32(_))
                );
            }
        }
    }
}
