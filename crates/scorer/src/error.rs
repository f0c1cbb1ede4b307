use std::path::PathBuf;

use adaplace_backbone::BackboneError;
use adaplace_search_space::Connection;

/// What can go wrong while a placement is scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The training left the finite numbers: a failed trial, not a failed program.
    #[error("diverged at step {step}: the {quantity} is {value}")]
    Diverged {
        /// Optimiser step, from 1; one behind the last step where the validation found it.
        step: u32,
        /// What is not finite.
        quantity: &'static str,
        /// NaN or infinite.
        value: f64,
    },
    /// An adapter that the loss does not depend on would silently stay as it is.
    #[error(
        "the adapter of connection {connection} gets no gradient; the loss does not depend on it, which is a defect of the backbone's forward"
    )]
    NoGradient {
        /// The adapter's connection.
        connection: Connection,
    },
    /// Trained from a head of zeros: the best that the linear probe could do.
    #[error(
        "the frozen features tell the classes nothing, so that no adapter gets a gradient: {distinct} of {examples} training inputs are distinct{}, and equal ones may have different labels; correct the task, or cut its texts later (`--max-length`)",
        cut(*longest, *at_longest)
    )]
    FeaturesSayNothing {
        /// Training examples.
        examples: usize,
        /// Different inputs among them.
        distinct: usize,
        /// Tokens of the longest.
        longest: usize,
        /// How many are as long.
        at_longest: usize,
    },
    /// A connection with a state that the backbone does not have.
    #[error(
        "connection {connection} is out of range: the backbone has the hidden states 0 to {last}; use a placement made for it"
    )]
    OutOfRange {
        /// The connection.
        connection: Connection,
        /// The backbone's last hidden state.
        last: usize,
    },
    /// The optimiser of the linear probe failed.
    #[error("the linear probe could not be fitted: {reason}")]
    Probe {
        /// What the optimiser said.
        reason: String,
    },
    /// The singular values of a gradient matrix could not be computed.
    #[error("the gradient matrix of connection {connection} has no singular values: {reason}")]
    SingularValues {
        /// The connection.
        connection: Connection,
        /// What the decomposition said.
        reason: String,
    },
    /// Cross-fitted statistics compare two halves of the training examples, and those with the validation part.
    #[error(
        "the cross-fitted statistics need at least 2 training examples and 1 validation example, not {train} and {validation}"
    )]
    TooFewExamples {
        /// Training examples.
        train: usize,
        /// Validation examples.
        validation: usize,
    },
    /// The same statistic was named more than once, or none at all.
    #[error("`{statistics}` is not a choice of statistics: name at least one, and none twice")]
    Statistics {
        /// What was named.
        statistics: String,
    },
    /// A placement that a table of scores does not hold.
    #[error(
        "the placement bench has no placement `{placement}`; use a bench of the space that is searched"
    )]
    NotTabulated {
        /// The placement.
        placement: String,
    },
    /// An adapter file could not be read or written.
    #[error("cannot use adapter file `{path}`: {reason}")]
    AdapterFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The backbone refused its inputs.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(candle_core::Error),
}

impl From<candle_core::Error> for ScoreError {
    /// With RUST_BACKTRACE set, a candle error carries its backtrace in its message, which must not reach a journal.
    fn from(error: candle_core::Error) -> Self {
        let mut error = error;
        while let candle_core::Error::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self::Tensor(error)
    }
}

/// Many of the greatest length have probably been cut to it.
fn cut(longest: usize, at_longest: usize) -> String {
    match longest > 1 && at_longest > 1 {
        true => format!(", {at_longest} have the greatest length of {longest} tokens"),
        false => String::new(),
    }
}
