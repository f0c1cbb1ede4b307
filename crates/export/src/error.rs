//! Why an export is refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

use adaplace_search_space::{Connection, SpaceError};

/// A library that an export is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// `adapters`, of AdapterHub
    Adapters,
    /// `peft`, of Hugging Face
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

/// What keeps a connection out of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It adds to h_0, before the first sublayer.
    Embedding,
    /// It skips sublayers.
    LongRange,
    /// It needs a second pass.
    Recurrent,
    /// Another adapter stands at the same sublayer.
    Shared {
        /// That of the other adapter.
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
    /// The connection.
    pub connection: Connection,
    /// Why it cannot.
    pub obstacle: Obstacle,
}

/// Why an export is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Connections that the library `adapters` cannot represent.
    #[error(
        "`adapters` cannot represent {}; it has one adapter at each attention and MLP sublayer, sequential or \
         parallel: place others, or export `--to json`",
        with_obstacles(connections)
    )]
    NotInAdapters {
        /// All of them, in canonical order.
        connections: Vec<Barred>,
    },
    /// Connections that `peft` cannot represent, which are all there are.
    #[error(
        "`peft` cannot represent {}: none of its tuners computes W_up gelu(W_down norm(x)) of a hidden state x; export \
         `--to adapters` or `--to json`",
        listed(connections)
    )]
    NotInPeft {
        /// All of them, in canonical order.
        connections: Vec<Connection>,
    },
    /// A family of backbones that the library is not known to handle.
    #[error(
        "`{library}` is not known to compute a backbone of type `{model_type}` as adaplace does; export `--to json`"
    )]
    UnknownFamily {
        /// The library.
        library: Library,
        /// As in the placement file.
        model_type: String,
    },
    /// A chain that does not consist of whole blocks.
    #[error(
        "a backbone of {hidden_states} hidden states has no whole number of blocks of two sublayers; correct \
         `hidden_states` in the placement"
    )]
    HalfBlock {
        /// The number of hidden states.
        hidden_states: u16,
    },
    /// An adapter without values.
    #[error(
        "there are no weights for connection `{connection}`; give the adapters of this placement"
    )]
    NoWeights {
        /// Its connection.
        connection: Connection,
    },
    /// Values that do not fill the shape which the placement asks for.
    #[error(
        "tensor `{tensor}` has {values} values, the placement asks for shape {shape:?}; give the adapters of this \
         placement"
    )]
    Shape {
        /// Its name in the export.
        tensor: String,
        /// How many values there are.
        values: usize,
        /// What they should fill.
        shape: Vec<usize>,
    },
    /// A head whose rows are not its classes.
    #[error("the head has {rows} rows for {classes} classes; give the adapters of this placement")]
    Classes {
        /// The rows of the head.
        rows: usize,
        /// The names of classes.
        classes: usize,
    },
    /// Tensors that safetensors does not take.
    #[error("cannot make the safetensors file: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A placement that cannot be written.
    #[error(transparent)]
    Placement(#[from] SpaceError),
    /// A value in the provenance that JSON does not have.
    #[error(
        "`[provenance]` holds a number that JSON does not have, such as `nan` or `inf`; take it out of the placement"
    )]
    NotJson,
    /// Text that is no export as JSON.
    #[error("this is no placement exported `--to json`: {reason}; export it again")]
    NotADocument {
        /// What is wrong with it.
        reason: String,
    },
    /// Something else where the export should stand.
    #[error("`{}` holds something that is no export; choose another `--out`", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// A path without a name.
    #[error("`{}` names nothing that can be made; give `--out` a name", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// An export that cannot be written.
    #[error("cannot write `{}`: {error}; check the folder, its permissions and the free space", path.display())]
    Write {
        /// The place.
        path: PathBuf,
        /// Why.
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
