//! Writes an `f32` to a file as the shortest decimal that reads back to the same bits.

use serde::{Deserialize, Deserializer, Serializer};

/// The `f64` that is written to a file for `value`.
///
/// Files hold `f64`. This is the shortest decimal of the `f32` if that survives the detour through `f64`, and the exact
/// value if double rounding would change it.
pub(crate) fn widened(value: f32) -> f64 {
    match value.to_string().parse::<f64>() {
        Ok(decimal) if (decimal as f32).to_bits() == value.to_bits() => decimal,
        _ => f64::from(value),
    }
}

pub(crate) fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(widened(*value))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    // A value beyond the range of `f32` becomes infinite; every checked type in this crate refuses it.
    Ok(f64::deserialize(deserializer)? as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_decimals_stay_short() {
        assert_eq!(widened(0.1), 0.1);
        assert_eq!(widened(1.0), 1.0);
    }

    proptest! {
        #[test]
        fn widening_keeps_the_bits(value in proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL) {
            prop_assert_eq!((widened(value) as f32).to_bits(), value.to_bits());
        }
    }
}
