//! The errors of search spaces and placements.

use std::io;
use std::path::{Path, PathBuf};

use adaplace_files::ContentError;

use crate::Connection;

/// An error in a search space or a placement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// The text is not a placement hash.
    #[error("`{text}` is not a placement hash; write its 16 lower-case hexadecimal digits")]
    NotAHash {
        /// The rejected text.
        text: String,
    },
    /// The rank of an adapter is 0.
    #[error("an adapter of rank 0 can learn nothing; use ranks of at least 1")]
    ZeroRank,
    /// The scale of an adapter is not finite, or 0. An adapter with scale 0 neither does nor learns anything.
    #[error("the adapter scale {scale} is not a finite number other than 0; use one such as 1.0")]
    UnusableScale {
        /// The rejected scale.
        scale: f32,
    },
    /// A placement has two adapters on one connection.
    #[error("connection `{connection}` is given twice; keep one of the two")]
    DuplicateConnection {
        /// The repeated connection.
        connection: Connection,
    },
    /// A list is empty.
    #[error("`{field}` is empty; list at least one value")]
    Empty {
        /// The name of the field.
        field: &'static str,
    },
    /// A list has the same value twice.
    #[error("`{field}` lists {value} twice; list each value once")]
    Repeated {
        /// The name of the field.
        field: &'static str,
        /// The repeated value.
        value: String,
    },
    /// The end of a range is before its start.
    #[error("the range `{field}` goes from {from} down to {to}; put the smaller one first")]
    Reversed {
        /// The name of the field, or of the pair of fields.
        field: &'static str,
        /// The start of the range.
        from: u16,
        /// The end of the range.
        to: u16,
    },
    /// A limit of the budget is 0.
    #[error(
        "`{field}` in `[budget]` is 0, which no placement meets; give at least 1 or leave it out"
    )]
    Zero {
        /// The name of the field.
        field: &'static str,
    },
    /// A share of FLOPs is not positive and finite.
    #[error(
        "`extra_flops` in `[budget]` is {share}; use a positive share of the frozen forward pass, such as 0.5"
    )]
    NotAShare {
        /// The rejected share.
        share: f64,
    },
    /// A range names hidden states that the backbone does not have.
    #[error(
        "the range `{field} = [{from}, {to}]` is outside the backbone, whose hidden states are 0 to {last}; \
         choose a range within them"
    )]
    RangeOutsideChain {
        /// The name of the field, `sources` or `targets`.
        field: &'static str,
        /// The start of the range.
        from: u16,
        /// The end of the range.
        to: u16,
        /// The index of the last hidden state.
        last: u16,
    },
    /// No connection meets the rules.
    #[error(
        "no connection between the {hidden_states} hidden states meets the rules in `[connections]`; \
         allow more kinds, spans, sources or targets"
    )]
    NoConnection {
        /// The number of hidden states.
        hidden_states: u16,
    },
    /// A placement needs more adapters than there are connections.
    #[error(
        "every placement needs {adapters} adapters but the space has {connections} connections; \
         lower `adapters` or `min_adapters`, or allow more connections"
    )]
    TooFewConnections {
        /// The smallest number of adapters of a placement.
        adapters: u16,
        /// The number of connections of the space.
        connections: usize,
    },
    /// The parameter budget is below the cheapest placement.
    #[error(
        "the budget of {limit} parameters admits no placement: the cheapest one, {adapters} adapters of rank \
         {rank}, has {needed}; raise `parameters`, or lower `min_adapters` or the smallest rank"
    )]
    ParametersTooTight {
        /// The budget, in parameters.
        limit: u64,
        /// The number of adapters of the cheapest placement.
        adapters: u16,
        /// The rank of each of its adapters.
        rank: u16,
        /// The number of parameters of the cheapest placement.
        needed: u64,
    },
    /// The budget of FLOPs is below the cheapest placement.
    #[error(
        "the budget of {limit} extra FLOPs (share of the frozen forward pass) admits no placement: the cheapest one, \
         {adapters} adapters of rank {rank}{}, needs {needed}; raise `extra_flops`, lower `min_adapters` or the \
         smallest rank, or allow connections that are not recurrent",
        match second_pass { Some(start) => format!(" with a second pass from state {start}"), None => String::new() }
    )]
    ExtraFlopsTooTight {
        /// The budget, as a share of the frozen forward pass.
        limit: f64,
        /// The number of adapters of the cheapest placement.
        adapters: u16,
        /// The rank of each of its adapters.
        rank: u16,
        /// The hidden state where its second pass starts, if it has one.
        second_pass: Option<u16>,
        /// The extra FLOPs of the cheapest placement, as a share of the frozen forward pass.
        needed: f64,
    },
    /// The space has more placements than can be counted.
    #[error(
        "the space of up to {adapters} adapters on {connections} connections with {ranks} ranks is too large to \
         be counted; lower `adapters` or list fewer ranks"
    )]
    TooLarge {
        /// The largest number of adapters.
        adapters: u16,
        /// The number of connections of the space.
        connections: usize,
        /// The number of ranks to choose from.
        ranks: usize,
    },
    /// The backbone has too many hidden states.
    #[error("the backbone has {hidden_states} hidden states; search spaces support up to {most}")]
    ChainTooLong {
        /// The number of hidden states of the backbone.
        hidden_states: u16,
        /// The largest supported number.
        most: u16,
    },
    /// The numbers of hidden states and sublayers of a chain contradict each other.
    #[error(
        "a chain of {hidden_states} hidden states cannot have {sublayers} sublayers; give it one fewer sublayer than states"
    )]
    SublayerCount {
        /// The number of hidden states of the chain.
        hidden_states: u16,
        /// The number of sublayers of the chain.
        sublayers: usize,
    },
    /// The chain has no width, no tokens or no cost.
    #[error(
        "a chain of width {width}, {tokens} tokens and {frozen_flops} FLOPs costs nothing to run; \
         give the shape of a real backbone"
    )]
    EmptyChain {
        /// The width of the chain.
        width: u32,
        /// The number of tokens per example.
        tokens: u32,
        /// The FLOPs of the frozen forward pass.
        frozen_flops: u64,
    },
    /// A placement file has no adapter.
    #[error("the placement has no adapter; add at least one `[[connection]]`")]
    NoAdapter,
    /// The number of passes in a placement file contradicts its connections.
    #[error(
        "`passes = {found}` contradicts the connections, which take {needed}; correct `passes`"
    )]
    Passes {
        /// The number of passes in the file.
        found: u8,
        /// The number of passes that the connections need.
        needed: u8,
    },
    /// A connection uses a hidden state that the backbone does not have.
    #[error(
        "connection `{connection}` is outside the backbone, whose hidden states are 0 to {}; choose states within them",
        hidden_states.saturating_sub(1)
    )]
    ConnectionOutsideChain {
        /// The rejected connection.
        connection: Connection,
        /// The number of hidden states of the backbone.
        hidden_states: u16,
    },
    /// The placement was made for another backbone.
    #[error(
        "the placement was made for a backbone with {field} `{expected}` but this one has `{found}`; \
         use the backbone it was made for"
    )]
    BackboneMismatch {
        /// The property that differs.
        field: &'static str,
        /// The value in the placement file.
        expected: String,
        /// The value of the given backbone.
        found: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}; check that the file exists and is readable", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {error}; check the folder, its permissions and the free space", path.display())]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The text of a space or a placement cannot be parsed, or is of another version.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A value cannot be written as TOML.
    #[error("cannot be written as TOML: {0}; use numbers below 2^63")]
    NotWritableAsToml(toml::ser::Error),
    /// Another error of this enum, in a file.
    #[error("`{}`: {problem}", path.display())]
    InFile {
        /// The path of the file.
        path: PathBuf,
        /// The error in the file.
        problem: Box<SpaceError>,
    },
}

impl SpaceError {
    /// Adds the path of the file to this error.
    #[must_use]
    pub fn in_file(self, path: &Path) -> SpaceError {
        SpaceError::InFile {
            path: path.to_owned(),
            problem: Box::new(self),
        }
    }
}
