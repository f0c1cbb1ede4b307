//! The weights of linear layers, which may stay in their file until a layer is prepared.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use crate::{Result, Weights};

/// The weight of a linear layer: in memory, or read whenever it is needed.
#[derive(Debug, Clone)]
pub enum Stored {
    /// In memory.
    Loaded(Weights),
    /// Elsewhere. What is read does not stay in memory.
    Unread(Arc<dyn Unread>),
}

/// A weight that is not in memory.
pub trait Unread: Debug + Send + Sync {
    /// Reads the values.
    ///
    /// # Errors
    /// If they cannot be read, or have changed.
    fn read(&self) -> Result<Weights>;
}

impl From<Vec<f32>> for Stored {
    fn from(values: Vec<f32>) -> Self {
        Self::Loaded(values.into())
    }
}

impl Stored {
    /// The values.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self) -> Result<Cow<'_, Weights>> {
        Ok(match self {
            Self::Loaded(weights) => Cow::Borrowed(weights),
            Self::Unread(weights) => Cow::Owned(weights.read()?),
        })
    }

    /// These values and then the others.
    #[must_use]
    pub fn followed_by(self, others: Self) -> Self {
        match (self, others) {
            (Self::Loaded(all), Self::Loaded(others)) => Self::Loaded(all.followed_by(others)),
            (first, second) => Self::Unread(Arc::new(Joined { first, second })),
        }
    }

    /// The transposed matrix of these values, of which a row has so many.
    #[must_use]
    pub fn transposed(self, columns: usize) -> Self {
        self.changed(Change::Transposed { columns })
    }

    /// The matrix with each row, of so many values, multiplied by its factor. The values become f32.
    #[must_use]
    pub fn scaled(self, columns: usize, factors: &[f32]) -> Self {
        self.changed(Change::Scaled {
            columns,
            factors: factors.to_vec(),
        })
    }

    fn changed(self, change: Change) -> Self {
        match self {
            Self::Loaded(weights) => Self::Loaded(change.of(weights)),
            Self::Unread(of) => Self::Unread(Arc::new(Changed { of, change })),
        }
    }
}

/// Two weights, one after the other.
#[derive(Debug)]
struct Joined {
    first: Stored,
    second: Stored,
}

impl Unread for Joined {
    fn read(&self) -> Result<Weights> {
        let first = self.first.read()?.into_owned();
        Ok(first.followed_by(self.second.read()?.into_owned()))
    }
}

/// A weight that is changed when it is read.
#[derive(Debug)]
struct Changed {
    of: Arc<dyn Unread>,
    change: Change,
}

impl Unread for Changed {
    fn read(&self) -> Result<Weights> {
        Ok(self.change.of(self.of.read()?))
    }
}

#[derive(Debug)]
enum Change {
    Transposed { columns: usize },
    Scaled { columns: usize, factors: Vec<f32> },
}

impl Change {
    fn of(&self, weights: Weights) -> Weights {
        match self {
            Self::Transposed { columns } => weights.transposed(*columns),
            Self::Scaled { columns, factors } => {
                let mut values = weights.into_f32();
                for (row, &factor) in values.chunks_exact_mut(*columns).zip(factors) {
                    row.iter_mut().for_each(|value| *value *= factor);
                }
                values.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::ArithmeticError;

    /// Values that are made when they are read; none if that fails.
    #[derive(Debug)]
    struct Made(Option<Vec<f32>>);

    impl Unread for Made {
        fn read(&self) -> Result<Weights> {
            let values = self
                .0
                .as_ref()
                .ok_or_else(|| ArithmeticError("gone".to_owned()))?;
            Ok(Weights::Bf16(
                values.iter().map(|&value| bf16::from_f32(value)).collect(),
            ))
        }
    }

    fn unread(values: &[f32]) -> Stored {
        Stored::Unread(Arc::new(Made(Some(values.to_vec()))))
    }

    fn values(stored: &Stored) -> Vec<f32> {
        stored.read().unwrap().to_f32().into_owned()
    }

    /// Whatever is done to a weight, it is the same whether the values are in memory or read later.
    #[test]
    fn what_is_read_later_is_the_same() {
        let matrix = [1.0, 2.0, 3.0, -4.0, 5.0, 6.0];
        for first in [matrix.to_vec().into(), unread(&matrix)] {
            for second in [vec![7.0, 8.0, 9.0].into(), unread(&[7.0, 8.0, 9.0])] {
                let joined = first.clone().followed_by(second);
                let across = joined.clone().transposed(3);
                assert_eq!(
                    values(&across),
                    [1.0, -4.0, 7.0, 2.0, 5.0, 8.0, 3.0, 6.0, 9.0]
                );
                let scaled = joined.scaled(3, &[1.0, -2.0, 0.5]);
                assert_eq!(
                    values(&scaled),
                    [1.0, 2.0, 3.0, 8.0, -10.0, -12.0, 3.5, 4.0, 4.5]
                );
            }
        }
    }

    #[test]
    fn sixteen_bits_stay_so() {
        let joined = unread(&[1.0, 2.0]).followed_by(unread(&[3.0]));
        assert!(matches!(*joined.read().unwrap(), Weights::Bf16(_)));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let gone = Stored::Unread(Arc::new(Made(None)));
        let joined = unread(&[1.0]).followed_by(gone).transposed(1);
        assert_eq!(
            joined.read().unwrap_err(),
            ArithmeticError("gone".to_owned())
        );
    }
}
