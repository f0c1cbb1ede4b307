//! The encoder that turns the rows of a task into the inputs of a backbone.

use crate::{ImageEncoder, TextEncoder};

/// The encoder that belongs to a backbone. It determines which kind of task can be read.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// The tokenizer of a text backbone.
    Text(TextEncoder),
    /// The picture preprocessing of an image backbone.
    Image(ImageEncoder),
}

impl Encoder {
    /// The names of the backbone's files that determine how texts or pictures are encoded.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        match self {
            Self::Text(encoder) => encoder
                .files()
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            Self::Image(encoder) => vec![encoder.file().to_owned()],
        }
    }
}
