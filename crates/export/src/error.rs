//! The errors of exports.

use std::fmt;
use std::io;
use std::path::PathBuf;

use adaplace_search_space::{Connection, SpaceError};

/// A library for which an export is intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The library `adapters` of AdapterHub.
    Adapters,
    /// The library `peft` of Hugging Face.
    Peft,
}

impl fmt::Display for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Library::Adapters => "adapters",
            Library::Peft => "peft",
        })
    }
}

/// The reason why a library cannot represent a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The connection adds to h_0, before the first sublayer.
    Embedding,
    /// The connection skips sublayers.
    LongRange,
    /// The connection needs a second pass.
    Recurrent,
    /// Another adapter is at the same sublayer.
    Shared {
        /// The connection of the other adapter.
        other: Connection,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Embedding => formatter.write_str("adds to the embedding"),
            Obstacle::LongRange => formatter.write_str("long-range"),
            Obstacle::Recurrent => formatter.write_str("recurrent"),
            Obstacle::Shared { other } => write!(formatter, "at the same sublayer as {other}"),
        }
    }
}

/// A connection that a library cannot represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barred {
    /// The connection itself.
    pub connection: Connection,
    /// The reason.
    pub obstacle: Obstacle,
}

/// The reason why an export is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The library `adapters` cannot represent some of the connections.
    #[error(
        "`adapters` cannot represent {}; it supports one adapter at each attention and MLP sublayer, sequential or \
         parallel; choose another placement, or export `--to json`",
        with_obstacles(connections)
    )]
    NotInAdapters {
        /// All such connections, in canonical order.
        connections: Vec<Barred>,
    },
    /// `peft` cannot represent any of the connections.
    #[error(
        "`peft` cannot represent {}: none of its tuners computes W_up gelu(W_down norm(x)) of a hidden state x; export \
         `--to adapters` or `--to json`",
        listed(connections)
    )]
    NotInPeft {
        /// All connections of the placement, in canonical order.
        connections: Vec<Connection>,
    },
    /// The library is not known to support this family of backbones.
    #[error(
        "`{library}` is not known to compute a backbone of type `{model_type}` as adaplace does; export `--to json`"
    )]
    UnknownFamily {
        /// The library.
        library: Library,
        /// The model type in the placement file.
        model_type: String,
    },
    /// The chain does not consist of whole blocks.
    #[error(
        "a backbone of {hidden_states} hidden states does not consist of whole blocks of two sublayers; correct \
         `hidden_states` in the placement"
    )]
    HalfBlock {
        /// The number of hidden states.
        hidden_states: u16,
    },
    /// An adapter has no values.
    #[error(
        "there are no weights for connection `{connection}`; use the adapters of this placement"
    )]
    NoWeights {
        /// The connection of the adapter.
        connection: Connection,
    },
    /// The number of values does not match the shape that the placement needs.
    #[error(
        "tensor `{tensor}` has {values} values, but the placement needs shape {shape:?}; use the adapters of this \
         placement"
    )]
    Shape {
        /// The name of the tensor in the export.
        tensor: String,
        /// The number of values.
        values: usize,
        /// The shape that the placement needs.
        shape: Vec<usize>,
    },
    /// The head does not have one row for each class.
    #[error("the head has {rows} rows for {classes} classes; use the adapters of this placement")]
    Classes {
        /// The number of rows of the head.
        rows: usize,
        /// The number of class names.
        classes: usize,
    },
    /// The tensors cannot be written as safetensors.
    #[error("cannot create the safetensors file: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The placement cannot be written.
    #[error(transparent)]
    Placement(#[from] SpaceError),
    /// The provenance contains a value that JSON cannot represent.
    #[error(
        "`[provenance]` contains a number that JSON cannot represent, such as `nan` or `inf`; remove it from the placement"
    )]
    NotJson,
    /// The text is not an export as JSON.
    #[error("this is not a placement exported with `--to json`: {reason}; export it again")]
    NotADocument {
        /// The reason.
        reason: String,
    },
    /// The path of the export contains something else.
    #[error("`{}` contains something that is not an export; choose another `--out`", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The path does not end with a name.
    #[error("`{}` does not end with a name; choose another `--out`", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// The export cannot be written.
    #[error("cannot write `{}`: {error}; check the folder, its permissions and the free space", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

fn with_obstacles(connections: &[Barred]) -> String {
    listed(connections.iter().map(|barred| {
        let Barred {
            connection,
            obstacle,
        } = barred;
        format!("{connection} ({obstacle})")
    }))
}

fn listed(items: impl IntoIterator<Item: ToString>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(", ")
}
