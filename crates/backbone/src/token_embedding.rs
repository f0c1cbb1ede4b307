//! The embedding of token ids in BERT and related models.

use candle_core::Tensor;

use crate::BackboneError;
use crate::checkpoint::Checkpoint;
use crate::layers::{LayerNorm, tensor};

/// Embeds a token as norm(word + position + type).
#[derive(Debug)]
pub(crate) struct TokenEmbedding {
    model_type: &'static str,
    words: Tensor,
    positions: Tensor,
    numbering: Numbering,
    types: Option<Tensor>,
    norm: LayerNorm,
}

/// The row of the position table that a token reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbering {
    /// The row is the token's place in the text.
    FromZero,
    /// The first token reads the row after that of the padding id, and so on. Padding reads its own row and is not
    /// counted (RoBERTa).
    BehindPadding(u32),
}

/// The way in which the architecture uses embeddings of token types.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TokenTypes {
    /// The architecture has no token types.
    None,
    /// The architecture has a table with this many rows, but its tokenizer only uses type 0.
    First(usize),
    /// The architecture reads the types from a table with this many rows.
    Read(usize),
}

/// The sizes of the tables.
pub(crate) struct TableSizes {
    pub(crate) vocabulary: usize,
    pub(crate) positions: usize,
    pub(crate) types: TokenTypes,
    pub(crate) width: usize,
}

impl TokenEmbedding {
    pub(crate) fn take(
        checkpoint: &mut Checkpoint,
        model_type: &'static str,
        sizes: &TableSizes,
        numbering: Numbering,
        epsilon: f64,
    ) -> Result<Self, BackboneError> {
        let width = sizes.width;
        let mut table = |name: &str, rows: usize| -> Result<Tensor, BackboneError> {
            let name = format!("embeddings.{name}_embeddings.weight");
            let values = checkpoint.take(&name, &[rows, width])?;
            Ok(tensor(values, &[rows, width])?)
        };
        let words = table("word", sizes.vocabulary)?;
        let mut positions = table("position", sizes.positions)?;
        let types = match sizes.types {
            TokenTypes::None => None,
            TokenTypes::Read(rows) => Some(table("token_type", rows)?),
            // Every token gets the same row, so the positions may carry it.
            TokenTypes::First(rows) => {
                let first = table("token_type", rows)?.narrow(0, 0, 1)?;
                positions = positions.broadcast_add(&first)?;
                None
            }
        };
        Ok(Self {
            model_type,
            words,
            positions,
            numbering,
            types,
            norm: LayerNorm::take(checkpoint, "embeddings.LayerNorm", width, epsilon)?,
        })
    }

    /// The length of the longest text, in tokens.
    pub(crate) fn longest(&self) -> Result<usize, BackboneError> {
        let rows = self.positions.dim(0)?;
        Ok(match self.numbering {
            Numbering::FromZero => rows,
            Numbering::BehindPadding(padding) => rows.saturating_sub(padding as usize + 1),
        })
    }

    /// Maps ids (rows, tokens) to embeddings (rows, tokens, width).
    pub(crate) fn forward(&self, ids: &Tensor, type_ids: &Tensor) -> Result<Tensor, BackboneError> {
        let (rows, tokens) = ids.dims2()?;
        let longest = self.longest()?;
        if !(1..=longest).contains(&tokens) {
            return Err(BackboneError::Inputs {
                model_type: self.model_type,
                expected: format!("texts of 1 to {longest} tokens"),
                found: format!("of {tokens}"),
            });
        }
        let width = self.words.dim(1)?;
        let look_up = |table: &Tensor, ids: &Tensor| {
            table
                .index_select(&ids.flatten_all()?, 0)?
                .reshape((rows, tokens, width))
        };
        self.check_ids("token ids", ids, &self.words)?;
        let mut sum = look_up(&self.words, ids)?;
        if let Some(types) = &self.types {
            self.check_ids("token type ids", type_ids, types)?;
            sum = (sum + look_up(types, type_ids)?)?;
        }
        let positions = match self.numbering {
            Numbering::FromZero => self.positions.narrow(0, 0, tokens)?,
            Numbering::BehindPadding(padding) => {
                look_up(&self.positions, &numbers_behind(padding, ids)?)?
            }
        };
        Ok(self.norm.forward(&sum.broadcast_add(&positions)?)?)
    }

    /// Checks that all of `ids` are rows of `table`.
    fn check_ids(&self, what: &str, ids: &Tensor, table: &Tensor) -> Result<(), BackboneError> {
        let ids = ids.flatten_all()?.to_vec1::<u32>()?;
        let rows = table.dim(0)?;
        match ids.into_iter().find(|&id| id as usize >= rows) {
            None => Ok(()),
            Some(id) => Err(BackboneError::Inputs {
                model_type: self.model_type,
                expected: format!("{what} below {rows}"),
                found: format!("{id}; use the tokenizer that came with it"),
            }),
        }
    }
}

/// The rows of the position table under [`Numbering::BehindPadding`].
fn numbers_behind(padding: u32, ids: &Tensor) -> Result<Tensor, BackboneError> {
    let mut numbers = Vec::with_capacity(ids.elem_count());
    for row in ids.to_vec2::<u32>()? {
        let mut last = padding;
        for id in row {
            last += u32::from(id != padding);
            numbers.push(if id == padding { padding } else { last });
        }
    }
    Ok(Tensor::from_vec(numbers, ids.shape(), ids.device())?)
}
