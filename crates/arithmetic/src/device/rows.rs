use std::ops::Deref;

use candle_core::{Device, Tensor};

use crate::Result;

/// The offsets of examples, and the indices with which tensors follow them.
pub struct ExampleRows {
    offsets: Vec<usize>,
    /// The example of each row, (rows).
    pub(super) example_of_row: Tensor,
    /// The first row of each example, (examples).
    pub(super) first: Tensor,
    /// 1 for the first row of an example and 0 for any other, (rows, 1).
    is_first: Tensor,
    /// The number of rows of each example, (examples, 1).
    pub(super) lengths: Tensor,
    /// The number of rows of the longest example.
    tokens: usize,
    /// The way from rows to a table with the same number of places for each example. `None` if all have that many rows.
    padding: Option<Padding>,
}

struct Padding {
    /// The row in each place, or any row in a place without one, (examples x tokens).
    row_of_place: Tensor,
    /// The place of each row, (rows).
    place_of_row: Tensor,
    /// 1 for a place with a row and 0 for any other, (examples, tokens).
    filled: Tensor,
}

impl Deref for ExampleRows {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.offsets
    }
}

impl ExampleRows {
    pub(super) fn new(offsets: Vec<usize>, device: &Device) -> Result<Self> {
        let lengths: Vec<usize> = offsets.windows(2).map(|ends| ends[1] - ends[0]).collect();
        let tokens = lengths.iter().copied().max().unwrap_or(0);
        let examples = lengths.iter().enumerate();
        let example_of_row =
            examples.flat_map(|(example, &length)| std::iter::repeat_n(example as u32, length));
        let first = offsets[..lengths.len()].iter().map(|&row| row as u32);
        let counts: Vec<f32> = lengths.iter().map(|&length| length as f32).collect();
        let rows = offsets.last().copied().unwrap_or_default();
        let mut is_first = vec![0.0_f32; rows];
        for (&row, &length) in offsets.iter().zip(&lengths) {
            if length > 0 {
                is_first[row] = 1.0;
            }
        }
        let padding = match lengths.iter().all(|&length| length == tokens) {
            true => None,
            false => Some(Padding::new(&offsets, tokens, device)?),
        };
        Ok(Self {
            example_of_row: indices(example_of_row, device)?,
            first: indices(first, device)?,
            is_first: Tensor::from_vec(is_first, (rows, 1), device)?,
            lengths: Tensor::from_vec(counts, (lengths.len(), 1), device)?,
            tokens,
            padding,
            offsets,
        })
    }

    /// The shape of a table with a place for each token: (examples, tokens).
    pub(super) fn table(&self) -> (usize, usize) {
        (self.offsets.len() - 1, self.tokens)
    }

    /// 1 for a place of the table with a row and 0 for any other, if there are others.
    pub(super) fn filled(&self) -> Option<&Tensor> {
        self.padding.as_ref().map(|padding| &padding.filled)
    }

    /// The rows in their places, (examples x tokens, width). Other places contain any row.
    pub(super) fn places_of_rows(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(match &self.padding {
            None => rows.clone(),
            Some(padding) => rows.index_select(&padding.row_of_place, 0)?,
        })
    }

    /// The rows from their places, (rows, width).
    pub(super) fn rows_of_places(&self, places: &Tensor) -> Result<Tensor> {
        Ok(match &self.padding {
            None => places.clone(),
            Some(padding) => places.index_select(&padding.place_of_row, 0)?,
        })
    }

    /// The sum of the rows of every example, (examples, width).
    pub(super) fn sums(&self, rows: &Tensor) -> Result<Tensor> {
        let (examples, tokens) = self.table();
        let (_, width) = rows.dims2()?;
        let places = self.places_of_rows(rows)?;
        let places = match self.filled() {
            None => places,
            Some(filled) => places.broadcast_mul(&filled.reshape(((), 1))?)?,
        };
        Ok(places.reshape((examples, tokens, width))?.sum(1)?)
    }

    /// The mean row of every example, (examples, width).
    pub(super) fn means(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(self.sums(rows)?.broadcast_div(&self.lengths)?)
    }

    /// A row for each row of a state: those of `from`, (examples, width), in the first row of each example, else zeros.
    pub(super) fn at_first_rows(&self, from: &Tensor) -> Result<Tensor> {
        let spread = from.index_select(&self.example_of_row, 0)?;
        Ok(spread.broadcast_mul(&self.is_first)?)
    }
}

impl Padding {
    fn new(offsets: &[usize], tokens: usize, device: &Device) -> Result<Self> {
        let (mut row_of_place, mut place_of_row, mut filled) = (Vec::new(), Vec::new(), Vec::new());
        for ends in offsets.windows(2) {
            for token in 0..tokens {
                let row = ends[0] + token;
                let real = row < ends[1];
                if real {
                    place_of_row.push(row_of_place.len() as u32);
                }
                row_of_place.push(if real { row as u32 } else { 0 });
                filled.push(f32::from(u8::from(real)));
            }
        }
        let shape = (offsets.len() - 1, tokens);
        Ok(Self {
            row_of_place: indices(row_of_place.into_iter(), device)?,
            place_of_row: indices(place_of_row.into_iter(), device)?,
            filled: Tensor::from_vec(filled, shape, device)?,
        })
    }
}

pub(super) fn indices(of: impl Iterator<Item = u32>, device: &Device) -> Result<Tensor> {
    let indices: Vec<u32> = of.collect();
    let count = indices.len();
    Ok(Tensor::from_vec(indices, count, device)?)
}
