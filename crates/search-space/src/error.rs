//! Everything that can be wrong with a search space or a placement.

use std::io;
use std::path::{Path, PathBuf};

use adaplace_files::ContentError;

use crate::Connection;

/// Everything that can be wrong with a search space or a placement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// Text that is no connection.
    #[error("`{text}` is not a connection; write it as `SOURCE->TARGET`, for example `9->2`")]
    NotAConnection {
        /// The text.
        text: String,
    },
    /// Text that is no placement hash.
    #[error("`{text}` is not a placement hash; give its 16 lower-case hexadecimal digits")]
    NotAHash {
        /// The text.
        text: String,
    },
    /// An adapter of rank 0.
    #[error("an adapter of rank 0 can learn nothing; give ranks of at least 1")]
    ZeroRank,
    /// A scale that is infinite or no number, or 0: such an adapter does nothing and learns nothing.
    #[error("the adapter scale {scale} is not a finite number other than 0; give one such as 1.0")]
    UnusableScale {
        /// The scale.
        scale: f32,
    },
    /// A connection that stands twice in a placement.
    #[error("connection `{connection}` is given twice; keep one of the two")]
    DuplicateConnection {
        /// The connection.
        connection: Connection,
    },
    /// A list without a value.
    #[error("`{field}` is empty; list at least one value")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A value that stands twice in a list.
    #[error("`{field}` lists {value} twice; list each value once")]
    Repeated {
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A range whose end lies before its start.
    #[error("the range `{field}` goes from {from} down to {to}; put the smaller one first")]
    Reversed {
        /// The field or the pair of fields.
        field: &'static str,
        /// The start.
        from: u16,
        /// The end.
        to: u16,
    },
    /// A limit of zero.
    #[error(
        "`{field}` in `[budget]` is 0, which no placement meets; give at least 1 or leave it out"
    )]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A share of FLOPs that is not positive and finite.
    #[error(
        "`extra_flops` in `[budget]` is {share}; give a positive share of the frozen forward, such as 0.5"
    )]
    NotAShare {
        /// The share.
        share: f64,
    },
    /// A range that names hidden states which the backbone does not have.
    #[error(
        "the range `{field} = [{from}, {to}]` leaves the backbone, whose hidden states are 0 to {last}; \
         choose a range within them"
    )]
    RangeOutsideChain {
        /// `sources` or `targets`.
        field: &'static str,
        /// The start.
        from: u16,
        /// The end.
        to: u16,
        /// The last hidden state.
        last: u16,
    },
    /// Rules that no connection meets.
    #[error(
        "no connection between the {hidden_states} hidden states meets the rules in `[connections]`; \
         allow more kinds, spans, sources or targets"
    )]
    NoConnection {
        /// The number of hidden states.
        hidden_states: u16,
    },
    /// More adapters asked for than there are connections.
    #[error(
        "every placement needs {adapters} adapters but the space has {connections} connections; \
         lower `adapters` or `min_adapters`, or allow more connections"
    )]
    TooFewConnections {
        /// The fewest adapters of a placement.
        adapters: u16,
        /// The connections of the space.
        connections: usize,
    },
    /// A parameter budget below the cheapest placement.
    #[error(
        "the budget of {limit} parameters admits no placement: the cheapest one, {adapters} adapters of rank \
         {rank}, has {needed}; raise `parameters`, or lower `min_adapters` or the smallest rank"
    )]
    ParametersTooTight {
        /// The budget.
        limit: u64,
        /// The adapters of the cheapest placement.
        adapters: u16,
        /// The rank of each of them.
        rank: u16,
        /// Its parameters.
        needed: u64,
    },
    /// A budget of FLOPs below the cheapest placement.
    #[error(
        "the budget of {limit} extra FLOPs (share of the frozen forward) admits no placement: the cheapest one, \
         {adapters} adapters of rank {rank}{}, needs {needed}; raise `extra_flops`, lower `min_adapters` or the \
         smallest rank, or allow connections that are not recurrent",
        match second_pass { Some(start) => format!(" with a second pass from state {start}"), None => String::new() }
    )]
    ExtraFlopsTooTight {
        /// The budget, as a share of the frozen forward.
        limit: f64,
        /// The adapters of the cheapest placement.
        adapters: u16,
        /// The rank of each of them.
        rank: u16,
        /// Where its second pass starts, if there is one.
        second_pass: Option<u16>,
        /// Its extra FLOPs, as a share of the frozen forward.
        needed: f64,
    },
    /// A space with more placements than can be counted.
    #[error(
        "the space of up to {adapters} adapters on {connections} connections with {ranks} ranks is too large to \
         be counted; lower `adapters` or list fewer ranks"
    )]
    TooLarge {
        /// The most adapters.
        adapters: u16,
        /// The connections.
        connections: usize,
        /// The number of ranks.
        ranks: usize,
    },
    /// A backbone with too many hidden states.
    #[error("the backbone has {hidden_states} hidden states; search spaces support up to {most}")]
    ChainTooLong {
        /// Its hidden states.
        hidden_states: u16,
        /// The most supported.
        most: u16,
    },
    /// A chain whose numbers of hidden states and sublayers contradict each other.
    #[error(
        "a chain of {hidden_states} hidden states cannot have {sublayers} sublayers; give one fewer than states"
    )]
    SublayerCount {
        /// Its hidden states.
        hidden_states: u16,
        /// Its sublayers.
        sublayers: usize,
    },
    /// A chain without width, tokens or cost.
    #[error(
        "a chain of width {width}, {tokens} tokens and {frozen_flops} FLOPs costs nothing to run; \
         give the shape of a real backbone"
    )]
    EmptyChain {
        /// Its width.
        width: u32,
        /// Its tokens per example.
        tokens: u32,
        /// FLOPs of its frozen forward.
        frozen_flops: u64,
    },
    /// A placement file without an adapter.
    #[error("the placement has no adapter; add at least one `[[connection]]`")]
    NoAdapter,
    /// A placement file whose number of passes contradicts its connections.
    #[error(
        "`passes = {found}` contradicts the connections, which take {needed}; correct `passes`"
    )]
    Passes {
        /// The passes found.
        found: u8,
        /// The passes needed.
        needed: u8,
    },
    /// A connection between hidden states which the backbone does not have.
    #[error(
        "connection `{connection}` leaves the backbone, whose hidden states are 0 to {}; choose states within them",
        hidden_states.saturating_sub(1)
    )]
    ConnectionOutsideChain {
        /// The connection.
        connection: Connection,
        /// The number of hidden states.
        hidden_states: u16,
    },
    /// A placement made for another backbone.
    #[error(
        "the placement was made for a backbone with {field} `{expected}` but this one has `{found}`; \
         give the backbone it was made for"
    )]
    BackboneMismatch {
        /// What differs.
        field: &'static str,
        /// The value in the placement file.
        expected: String,
        /// The value of the backbone at hand.
        found: String,
    },
    /// A file that cannot be read.
    #[error("cannot read `{}`: {error}; check that the file exists and is readable", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write `{}`: {error}; check the folder, its permissions and the free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The text of a space or a placement that does not parse or is of another version.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Values that TOML cannot hold.
    #[error("cannot be written as TOML: {0}; use numbers below 2^63")]
    NotWritableAsToml(toml::ser::Error),
    /// What is wrong with a file.
    #[error("`{}`: {problem}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<SpaceError>,
    },
}

impl SpaceError {
    /// This problem, as one of the file at `path`.
    #[must_use]
    pub fn in_file(self, path: &Path) -> SpaceError {
        SpaceError::InFile {
            path: path.to_owned(),
            problem: Box::new(self),
        }
    }
}
