//! The embedding of token ids in BERT and related models.

use adaplace_arithmetic::{Norm, Weights};

use crate::BackboneError;
use crate::checkpoint::Checkpoint;
use crate::layers::{normalize, take_layer_norm};
use crate::projection::Projection;

/// Embeds a token as norm(word + position + type), which a linear layer may follow. Some models have no positions here, no
/// types or no norm.
#[derive(Debug, Clone)]
pub(crate) struct TokenEmbedding {
    model_type: &'static str,
    /// The width of the tables.
    width: usize,
    /// The tables, each (rows, width).
    words: Weights,
    /// The factor of a word's row.
    scale: f32,
    positions: Option<Vec<f32>>,
    numbering: Numbering,
    types: Option<Vec<f32>>,
    norm: Option<Norm>,
    /// The length of the longest text, in tokens.
    longest: usize,
    /// From the tables' width to that of the states, if they differ (ELECTRA).
    projection: Option<Projection>,
}

/// The tables of an embedding, each (rows, width), and its norm.
pub(crate) struct TokenWeights {
    pub(crate) width: usize,
    pub(crate) words: Weights,
    pub(crate) scale: f32,
    pub(crate) positions: Option<Vec<f32>>,
    pub(crate) types: Option<Vec<f32>>,
    pub(crate) norm: Option<Norm>,
}

impl TokenWeights {
    /// A table of words alone.
    pub(crate) fn words(words: Weights, width: usize) -> Self {
        Self {
            width,
            words,
            scale: 1.0,
            positions: None,
            types: None,
            norm: None,
        }
    }
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
    /// The embedding with positions from zero, for texts of up to `longest` tokens.
    pub(crate) fn new(model_type: &'static str, weights: TokenWeights, longest: usize) -> Self {
        Self {
            model_type,
            width: weights.width,
            words: weights.words,
            scale: weights.scale,
            positions: weights.positions,
            numbering: Numbering::FromZero,
            types: weights.types,
            norm: weights.norm,
            longest,
            projection: None,
        }
    }

    /// The table of words, (vocabulary, width).
    pub(crate) fn words(&self) -> &Weights {
        &self.words
    }

    pub(crate) fn take(
        checkpoint: &mut Checkpoint,
        model_type: &'static str,
        sizes: &TableSizes,
        numbering: Numbering,
        epsilon: f64,
    ) -> Result<Self, BackboneError> {
        let width = sizes.width;
        let words = "embeddings.word_embeddings.weight";
        let words = checkpoint.take_as_stored(words, &[sizes.vocabulary, width])?;
        let mut table = |name: &str, rows: usize| {
            let name = format!("embeddings.{name}_embeddings.weight");
            checkpoint.take(&name, &[rows, width])
        };
        let mut positions = table("position", sizes.positions)?;
        let types = match sizes.types {
            TokenTypes::None => None,
            TokenTypes::Read(rows) => Some(table("token_type", rows)?),
            // Every token gets the same row, so the positions may carry it.
            TokenTypes::First(rows) => {
                let types = table("token_type", rows)?;
                for position in positions.chunks_exact_mut(width) {
                    add(&types[..width], position);
                }
                None
            }
        };
        let longest = match numbering {
            Numbering::FromZero => sizes.positions,
            Numbering::BehindPadding(padding) => {
                sizes.positions.saturating_sub(padding as usize + 1)
            }
        };
        let norm = take_layer_norm(checkpoint, "embeddings.LayerNorm", width, epsilon)?;
        Ok(Self {
            model_type,
            width,
            words,
            scale: 1.0,
            positions: Some(positions),
            numbering,
            types,
            norm: Some(norm),
            longest,
            projection: None,
        })
    }

    /// The same with the linear layer `name` behind it, which has this number of outputs.
    pub(crate) fn projected(
        self,
        checkpoint: &mut Checkpoint,
        name: &str,
        outputs: usize,
    ) -> Result<Self, BackboneError> {
        let weight = checkpoint.take(&format!("{name}.weight"), &[outputs, self.width])?;
        let bias = checkpoint.take(&format!("{name}.bias"), &[outputs])?;
        let projection = Some(Projection::new(&weight, bias));
        Ok(Self { projection, ..self })
    }

    /// The number of words.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.len() / self.width
    }

    /// The length of the longest text, in tokens.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Maps the tokens of texts of these lengths to embeddings, (tokens, width).
    pub(crate) fn forward(
        &self,
        ids: &[u32],
        type_ids: &[u32],
        lengths: &[usize],
    ) -> Result<Vec<f32>, BackboneError> {
        let longest = self.longest();
        let tokens = lengths.iter().copied().max().unwrap_or(0);
        if !(1..=longest).contains(&tokens) {
            return Err(BackboneError::Inputs {
                model_type: self.model_type,
                expected: format!("texts of 1 to {longest} tokens"),
                found: format!("of {tokens}"),
            });
        }
        self.check_ids("token ids", ids, self.words.len())?;
        if let Some(types) = &self.types {
            self.check_ids("token type ids", type_ids, types.len())?;
        }
        let row = |table: &[f32], index: u32| {
            let begin = index as usize * self.width;
            begin..(begin + self.width).min(table.len())
        };
        let mut embedded = Vec::with_capacity(ids.len() * self.width);
        let tokens = ids
            .iter()
            .zip(type_ids)
            .zip(self.positions_of(ids, lengths));
        for ((&id, &type_id), position) in tokens {
            let begin = embedded.len();
            let word = id as usize * self.width;
            self.words.append_to(word..word + self.width, &mut embedded);
            let own = &mut embedded[begin..];
            if self.scale != 1.0 {
                own.iter_mut().for_each(|value| *value *= self.scale);
            }
            if let Some(types) = &self.types {
                add(&types[row(types, type_id)], own);
            }
            if let Some(positions) = &self.positions {
                add(&positions[row(positions, position)], own);
            }
            if let Some(norm) = &self.norm {
                normalize(norm, own);
            }
        }
        if let Some(projection) = &self.projection {
            embedded = projection.forward(&embedded);
        }
        Ok(embedded)
    }

    /// The row of the position table that each token reads.
    fn positions_of(&self, ids: &[u32], lengths: &[usize]) -> Vec<u32> {
        let mut rest = ids;
        let mut positions = Vec::with_capacity(ids.len());
        for &length in lengths {
            let (own, behind) = rest.split_at(length);
            rest = behind;
            match self.numbering {
                Numbering::FromZero => positions.extend(0..length as u32),
                Numbering::BehindPadding(padding) => {
                    let mut last = padding;
                    positions.extend(own.iter().map(|&id| {
                        last += u32::from(id != padding);
                        if id == padding { padding } else { last }
                    }));
                }
            }
        }
        positions
    }

    /// Checks that all of `ids` are rows of a table of so many values.
    fn check_ids(&self, what: &str, ids: &[u32], values: usize) -> Result<(), BackboneError> {
        let rows = values / self.width;
        match ids.iter().find(|&&id| id as usize >= rows) {
            None => Ok(()),
            Some(id) => Err(BackboneError::Inputs {
                model_type: self.model_type,
                expected: format!("{what} below {rows}"),
                found: format!("{id}; use the tokenizer that came with it"),
            }),
        }
    }
}

fn add(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
}
