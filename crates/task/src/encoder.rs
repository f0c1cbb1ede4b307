//! What turns the rows of a task into the inputs of a backbone.

use crate::{ImageEncoder, TextEncoder};

/// The encoder that comes with a backbone; it decides which kind of task can be read.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// The tokenizer of a text backbone.
    Text(TextEncoder),
    /// The picture preprocessing of an image backbone.
    Image(ImageEncoder),
}

impl Encoder {
    /// Names of the backbone's files that decide what a text or a picture becomes.
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
