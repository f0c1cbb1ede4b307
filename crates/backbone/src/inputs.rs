use std::sync::Arc;

use candle_core::{Device, Error, Result, Tensor};

/// The tokens of a batch that are real rather than padding, of shape (rows, tokens).
#[derive(Debug, Clone)]
pub struct TokenMask {
    rows: usize,
    tokens: usize,
    keep: Arc<[u8]>,
}

impl TokenMask {
    /// A mask from values in row-major order, which are 0 for padding and anything else for a real token.
    ///
    /// # Panics
    /// If there are not rows x tokens values.
    #[must_use]
    pub fn new(rows: usize, tokens: usize, keep: &[u8]) -> Self {
        assert_eq!(keep.len(), rows * tokens, "a mask has rows x tokens values");
        Self {
            rows,
            tokens,
            keep: keep.iter().map(|&value| u8::from(value != 0)).collect(),
        }
    }

    /// The shape (rows, tokens).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.tokens)
    }

    /// The values of one row, 1 for a real token.
    #[must_use]
    pub fn row(&self, row: usize) -> &[u8] {
        &self.keep[row * self.tokens..(row + 1) * self.tokens]
    }

    /// All values in row-major order, 1 for a real token.
    #[must_use]
    pub fn values(&self) -> &[u8] {
        &self.keep
    }
}

/// One batch of inputs, in the form that a backbone's embedding reads.
#[derive(Debug, Clone)]
pub enum Inputs {
    /// Token ids and segment ids, both u32 of shape (rows, tokens), and a mask of the real tokens.
    Text {
        /// The indices into the vocabulary.
        ids: Tensor,
        /// The segments, 0 for the first and 1 for the second.
        type_ids: Tensor,
        /// The mask of the real tokens.
        mask: TokenMask,
    },
    /// Normalised pixels, f32 of shape (rows, channels, height, width).
    Images {
        /// The normalised pixels.
        pixels: Tensor,
    },
}

impl Inputs {
    /// Text inputs from values in row-major order, each of shape (rows, tokens).
    ///
    /// # Errors
    /// If a slice has another length.
    pub fn text(
        rows: usize,
        tokens: usize,
        ids: &[u32],
        type_ids: &[u32],
        mask: &[u8],
    ) -> Result<Self> {
        if mask.len() != rows * tokens {
            return Err(Error::Msg(format!(
                "a mask of {} values does not fit {rows} rows of {tokens} tokens",
                mask.len()
            ))
            .bt());
        }
        Ok(Self::Text {
            ids: Tensor::from_slice(ids, (rows, tokens), &Device::Cpu)?,
            type_ids: Tensor::from_slice(type_ids, (rows, tokens), &Device::Cpu)?,
            mask: TokenMask::new(rows, tokens, mask),
        })
    }

    /// Images from pixels in the order (rows, channels, height, width).
    ///
    /// # Errors
    /// If the number of pixels does not match `shape`.
    pub fn images(shape: (usize, usize, usize, usize), pixels: Vec<f32>) -> Result<Self> {
        Ok(Self::Images {
            pixels: Tensor::from_vec(pixels, shape, &Device::Cpu)?,
        })
    }

    /// The mask of a text batch. Images have none.
    #[must_use]
    pub fn mask(&self) -> Option<&TokenMask> {
        match self {
            Self::Text { mask, .. } => Some(mask),
            Self::Images { .. } => None,
        }
    }

    /// The number of examples.
    ///
    /// # Errors
    /// If the pixels have no first dimension.
    pub fn examples(&self) -> Result<usize> {
        match self {
            Self::Text { mask, .. } => Ok(mask.shape().0),
            Self::Images { pixels } => pixels.dim(0),
        }
    }
}
