use std::error::Error;
use std::path::PathBuf;

use adaplace_arithmetic::{ArithmeticError, NoDevice};
use adaplace_backbone::BackboneError;
use adaplace_search_space::Connection;

/// An error while a placement is scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// A model with a trained head is given completions, or one without a head other labels.
    #[error(
        "completions are predicted by a decoder's own head, and all other labels by a trained one; use the head that the task needs"
    )]
    OtherHead,
    /// The training diverged. This is a failed trial, not a failed program.
    #[error("diverged at step {step}: the {quantity} is {value}")]
    Diverged {
        /// The optimiser step, counted from 1. It is one after the last step if the validation detected the divergence.
        step: u32,
        /// The name of the value that is not finite.
        quantity: &'static str,
        /// The value, NaN or infinite.
        value: f64,
    },
    /// The training failed where its result comes from. This is a failed trial, too.
    #[error("{reason}")]
    Failed {
        /// The reason.
        reason: String,
    },
    /// The loss does not depend on an adapter, which would silently stay as it is.
    #[error(
        "the adapter of connection {connection} gets no gradient because the loss does not depend on it, which is a defect of the backbone's forward pass"
    )]
    NoGradient {
        /// The connection of the adapter.
        connection: Connection,
    },
    /// The training starts from a head of zeros, because the linear probe found nothing better.
    #[error(
        "the frozen features carry no information about the labels, so no adapter gets a gradient: {distinct} of {examples} training inputs are distinct{}, and equal ones may have different labels; correct the task, or cut its texts later (`--max-length`)",
        cut(*longest, *at_longest)
    )]
    FeaturesSayNothing {
        /// The number of training examples.
        examples: usize,
        /// The number of distinct inputs among them.
        distinct: usize,
        /// The number of tokens of the longest input.
        longest: usize,
        /// The number of inputs with that length.
        at_longest: usize,
    },
    /// The parameters and the backbone have different widths.
    #[error(
        "the adapters have width {found} and the backbone has {expected}; they belong to another backbone"
    )]
    Width {
        /// The width of the parameters.
        found: usize,
        /// The width of the backbone.
        expected: usize,
    },
    /// A connection uses a state that the backbone does not have.
    #[error(
        "connection {connection} is out of range: the backbone has the hidden states 0 to {last}; use a placement made for it"
    )]
    OutOfRange {
        /// The rejected connection.
        connection: Connection,
        /// The index of the backbone's last hidden state.
        last: usize,
    },
    /// The gradient map was computed without a connection.
    #[error(
        "connection {connection} is not in the gradient map; compute the map of all connections"
    )]
    NotInMap {
        /// The rejected connection.
        connection: Connection,
    },
    /// The optimiser of the linear probe failed.
    #[error("the linear probe could not be fitted: {reason}")]
    Probe {
        /// The error of the optimiser.
        reason: String,
    },
    /// The singular values of a gradient matrix could not be computed.
    #[error("the gradient matrix of connection {connection} has no singular values: {reason}")]
    SingularValues {
        /// The connection of the matrix.
        connection: Connection,
        /// The error of the decomposition.
        reason: String,
    },
    /// There is nothing to compute a gradient map from.
    #[error("a gradient map needs at least one example")]
    NoExamples,
    /// There are too few examples for the cross-fitted statistics, which compare two halves of the training examples,
    /// and these with the validation part.
    #[error(
        "the cross-fitted statistics need at least 2 training examples and 1 validation example, not {train} and {validation}"
    )]
    TooFewExamples {
        /// The number of training examples.
        train: usize,
        /// The number of validation examples.
        validation: usize,
    },
    /// A statistic was named more than once, or none at all.
    #[error(
        "`{statistics}` is not a valid choice of statistics; name at least one, and each only once"
    )]
    Statistics {
        /// The statistics that were named.
        statistics: String,
    },
    /// An adapter file cannot be read or written.
    #[error("cannot use adapter file `{path}`: {reason}")]
    AdapterFile {
        /// The path of the file.
        path: PathBuf,
        /// The reason, and what to do about it.
        reason: String,
    },
    /// The adapters in a file were trained for another placement or backbone.
    #[error(
        "`{}` was trained with another {entry}, `{found}` and not `{expected}`; use the placement and backbone that it was trained for",
        path.display()
    )]
    AnotherOrigin {
        /// The path of the file.
        path: PathBuf,
        /// The entry of its header that differs.
        entry: &'static str,
        /// The value in the file.
        found: String,
        /// The value of the given placement or backbone.
        expected: String,
    },
    /// A scorer outside this crate failed.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
    /// The backbone refused its inputs.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// An operation of the arithmetic failed.
    #[error(transparent)]
    Arithmetic(#[from] ArithmeticError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] NoDevice),
}

impl ScoreError {
    /// Whether a trial failed, rather than the program.
    #[must_use]
    pub fn is_failed_trial(&self) -> bool {
        matches!(self, Self::Diverged { .. } | Self::Failed { .. })
    }
}

/// If many texts have the greatest length, they have probably been cut to it.
fn cut(longest: usize, at_longest: usize) -> String {
    match longest > 1 && at_longest > 1 {
        true => format!(", {at_longest} have the greatest length of {longest} tokens"),
        false => String::new(),
    }
}

/// Refuses a value that is not finite. `step` counts from 0.
pub(crate) fn finite(step: u32, quantity: &'static str, value: f64) -> Result<(), ScoreError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(ScoreError::Diverged {
        step: step + 1,
        quantity,
        value,
    })
}
