//! Numbers with a range: a value of the type is in the range, so that no setting is checked twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is out of range: it must be {range}")]
pub struct OutOfRange {
    /// The number, or the text that is not a number.
    pub value: String,
    /// The range, in words.
    pub range: &'static str,
}

/// Defines a number with its range.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($raw:ty $(, $more:ident)*) = $range:literal if |$value:ident| $holds:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd $(, $more)*)]
        pub struct $name($raw);

        impl $name {
            /// The number, if it is in the range.
            ///
            /// # Errors
            /// [`OutOfRange`] with the range.
            pub fn new(value: $raw) -> Result<Self, OutOfRange> {
                match Self::holds(value) {
                    true => Ok(Self(value)),
                    false => Err(OutOfRange {
                        value: value.to_string(),
                        range: $range,
                    }),
                }
            }

            /// The number, for constants.
            ///
            /// # Panics
            /// If it is out of range.
            #[must_use]
            pub const fn of(value: $raw) -> Self {
                assert!(Self::holds(value), $range);
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $raw {
                self.0
            }

            const fn holds($value: $raw) -> bool {
                $holds
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(<$raw>::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = OutOfRange;

            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                let value = text.parse().map_err(|_| OutOfRange {
                    value: format!("`{text}`"),
                    range: $range,
                })?;
                Self::new(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number! {
    /// A count of things, at least 1.
    Count(usize, Eq, Ord, Hash) = "at least 1" if |value| value > 0
}
number! {
    /// A number of repetitions, at least 1.
    Repetitions(u32, Eq, Ord, Hash) = "at least 1" if |value| value > 0
}
number! {
    /// The length of a training in optimiser steps, at least 1.
    Fidelity(u32, Eq, Ord, Hash) = "at least 1" if |value| value > 0
}
number! {
    /// A factor of successive halving, at least 2.
    Reduction(u32, Eq, Ord, Hash) = "at least 2" if |value| value >= 2
}
number! {
    /// The seed of random choices. TOML has signed integers, so it is at most 2^63 - 1.
    Seed(u64, Eq, Ord, Hash) = "from 0 to 2^63 - 1" if |value| value <= i64::MAX as u64
}
number! {
    /// A finite number above 0.
    Positive(f64) = "a number above 0" if |value| value.is_finite() && value > 0.0
}
number! {
    /// A share of a whole.
    Share(f64) = "a number from 0 to 1" if |value| value >= 0.0 && value <= 1.0
}

impl Fidelity {
    /// The number of optimiser steps.
    #[must_use]
    pub const fn steps(self) -> u32 {
        self.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_every_range() {
        assert!(Count::new(1).is_ok() && Count::new(0).is_err());
        assert!(Repetitions::new(1).is_ok() && Repetitions::new(0).is_err());
        assert!(Fidelity::new(1).is_ok() && Fidelity::new(0).is_err());
        assert!(Reduction::new(2).is_ok() && Reduction::new(1).is_err());
        assert!(Seed::new(0).is_ok() && Seed::new((1 << 63) - 1).is_ok());
        assert!(Seed::new(1 << 63).is_err());
        assert!(Positive::new(f64::MIN_POSITIVE).is_ok());
        for value in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(Positive::new(value).is_err(), "{value}");
        }
        assert!(Share::new(0.0).is_ok() && Share::new(1.0).is_ok());
        for value in [-1e-9, 1.1, f64::NAN] {
            assert!(Share::new(value).is_err(), "{value}");
        }
    }

    #[test]
    fn files_and_command_lines_hear_the_same() {
        let expected = "0 is out of range: it must be at least 1";
        assert_eq!(Count::new(0).unwrap_err().to_string(), expected);
        assert_eq!("0".parse::<Count>().unwrap_err().to_string(), expected);
        let text = "`-1` is out of range: it must be at least 1";
        assert_eq!("-1".parse::<Count>().unwrap_err().to_string(), text);

        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Settings {
            trials: Count,
            rate: Positive,
        }
        let error = toml::from_str::<Settings>("trials = 0\nrate = 0.1").unwrap_err();
        assert_eq!(error.message(), expected);
        let settings = Settings {
            trials: Count::of(3),
            rate: Positive::of(0.1),
        };
        let written = toml::to_string(&settings).unwrap();
        assert_eq!(written, "trials = 3\nrate = 0.1\n");
        assert_eq!(toml::from_str::<Settings>(&written).unwrap(), settings);
    }
}
