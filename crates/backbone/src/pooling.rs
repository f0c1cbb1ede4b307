use adaplace_arithmetic::{Arithmetic, ArithmeticError, End, Norm};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// The pooling that turns the last hidden state into one vector per example.
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
pub enum Pooling {
    /// The mean over the real tokens.
    Mean,
    /// The first token.
    Cls,
    /// The last token, which a causal model computes from all others.
    Last,
}

impl Pooling {
    /// The end of an example whose row alone is read, if it is not all of them.
    #[must_use]
    pub fn end(self) -> Option<End> {
        match self {
            Self::Mean => None,
            Self::Cls => Some(End::First),
            Self::Last => Some(End::Last),
        }
    }
}

/// A pooling, including the last layer norm of architectures that have one (pre-norm models).
#[derive(Debug)]
pub(crate) struct Pooler {
    pub(crate) pooling: Pooling,
    pub(crate) last_norm: Option<Norm>,
}

/// The pooling of the last state, prepared for an arithmetic.
pub struct PreparedPooler<A: Arithmetic> {
    arithmetic: A,
    pooling: Pooling,
    last_norm: Option<A::Norm>,
    width: usize,
}

/// The rows of the last state that become features.
#[derive(Debug)]
pub enum FeatureRows<'r, R> {
    /// One for each example, by the backbone's pooling. These are the offsets of the examples.
    Pooled(&'r R),
    /// Those at the given offsets, which the number of rows follows.
    Each(&'r R),
}

impl<R> Clone for FeatureRows<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for FeatureRows<'_, R> {}

impl<'r, R> FeatureRows<'r, R> {
    /// Offsets, and the row behind each that alone is read, if it is not all of them.
    fn ends(self, pooling: Pooling) -> (&'r R, Option<End>) {
        match self {
            Self::Pooled(rows) => (rows, pooling.end()),
            Self::Each(rows) => (rows, Some(End::First)),
        }
    }
}

/// The part of a pooling's forward pass that its gradient needs. The memory is reused.
pub struct SavedPooling<A: Arithmetic> {
    norm: A::SavedNorm,
    /// The rows of which the mean is taken, or their gradient.
    rows: A::Buffer,
}

impl<A: Arithmetic> Default for SavedPooling<A> {
    fn default() -> Self {
        Self {
            norm: A::SavedNorm::default(),
            rows: A::Buffer::default(),
        }
    }
}

impl<A: Arithmetic> PreparedPooler<A> {
    pub(crate) fn new(
        arithmetic: &A,
        pooler: &Pooler,
        width: usize,
    ) -> Result<Self, ArithmeticError> {
        let last_norm = pooler.last_norm.as_ref();
        Ok(Self {
            pooling: pooler.pooling,
            last_norm: last_norm.map(|norm| arithmetic.norm(norm)).transpose()?,
            width,
            arithmetic: arithmetic.clone(),
        })
    }

    /// Computes `features`, (examples or rows that are read, width), from the last state, (rows, width), and stores what
    /// [`Self::backward`] needs in `saved`.
    ///
    /// # Errors
    /// If an operation fails.
    pub fn forward(
        &self,
        state: &A::Buffer,
        rows: FeatureRows<'_, A::Rows>,
        features: &mut A::Buffer,
        saved: &mut SavedPooling<A>,
    ) -> Result<(), ArithmeticError> {
        let (arithmetic, norm) = (&self.arithmetic, &mut saved.norm);
        let (rows, end) = rows.ends(self.pooling);
        match (end, &self.last_norm) {
            (Some(end), last_norm) => {
                arithmetic.end_rows(state, (rows, end), features)?;
                match last_norm {
                    Some(last_norm) => arithmetic.norm_forward(last_norm, features, Some(norm)),
                    None => Ok(()),
                }
            }
            (None, Some(last_norm)) => {
                arithmetic.copy(state, &mut saved.rows)?;
                arithmetic.norm_forward(last_norm, &mut saved.rows, Some(norm))?;
                arithmetic.means_forward(&saved.rows, rows, features)
            }
            (None, None) => arithmetic.means_forward(state, rows, features),
        }
    }

    /// Computes `result`, the gradient with respect to the last state, from `gradient`, the one with respect to the
    /// features, which is used up.
    ///
    /// # Errors
    /// If an operation fails.
    pub fn backward(
        &self,
        gradient: &mut A::Buffer,
        rows: FeatureRows<'_, A::Rows>,
        result: &mut A::Buffer,
        saved: &SavedPooling<A>,
    ) -> Result<(), ArithmeticError> {
        let arithmetic = &self.arithmetic;
        let (rows, end) = rows.ends(self.pooling);
        let norm_backward = |gradient: &mut A::Buffer| match &self.last_norm {
            Some(last_norm) => arithmetic.norm_backward(last_norm, &saved.norm, gradient),
            None => Ok(()),
        };
        match end {
            Some(end) => {
                norm_backward(gradient)?;
                let count = rows.last().copied().unwrap_or_default();
                arithmetic.zero((count, self.width), result)?;
                arithmetic.add_to_end_rows(gradient, (rows, end), result)
            }
            None => {
                arithmetic.means_backward(gradient, rows, result)?;
                norm_backward(result)
            }
        }
    }
}
