/// One batch of inputs, in the form that a backbone's embedding reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// The tokens of one text after those of the other.
    Text {
        /// The indices into the vocabulary.
        ids: Vec<u32>,
        /// The segment of each token, 0 for the first and 1 for the second.
        type_ids: Vec<u32>,
        /// The number of tokens of each text.
        lengths: Vec<usize>,
    },
    /// Normalised pixels.
    Images {
        /// The number of images, of channels, of rows and of columns.
        shape: [usize; 4],
        /// The pixels, (images, channels, height, width) in row-major order.
        pixels: Vec<f32>,
    },
}

impl Inputs {
    /// Texts of these lengths, in tokens.
    ///
    /// # Panics
    /// If there is not one id and one segment for each token.
    #[must_use]
    pub fn text(lengths: Vec<usize>, ids: Vec<u32>, type_ids: Vec<u32>) -> Self {
        let tokens: usize = lengths.iter().sum();
        assert_eq!(
            (ids.len(), type_ids.len()),
            (tokens, tokens),
            "every token has an id and a segment"
        );
        Self::Text {
            ids,
            type_ids,
            lengths,
        }
    }

    /// Images from pixels in the order (images, channels, height, width).
    ///
    /// # Panics
    /// If the number of pixels does not match `shape`.
    #[must_use]
    pub fn images(shape: [usize; 4], pixels: Vec<f32>) -> Self {
        let expected: usize = shape.iter().product();
        assert_eq!(pixels.len(), expected, "pixels have the shape {shape:?}");
        Self::Images { shape, pixels }
    }

    /// The number of examples.
    #[must_use]
    pub fn examples(&self) -> usize {
        match self {
            Self::Text { lengths, .. } => lengths.len(),
            Self::Images { shape, .. } => shape[0],
        }
    }
}
