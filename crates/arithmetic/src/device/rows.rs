use std::ops::Deref;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use crate::{End, Result};

/// The offsets of examples, and the indices with which tensors follow them. Those go to the device when they are first
/// needed, because every one that does costs as much time as an operation.
pub struct ExampleRows {
    offsets: Vec<usize>,
    device: Device,
    /// The number of rows of the longest example.
    tokens: usize,
    indices: OnceLock<Indices>,
    padding: OnceLock<Padding>,
}

/// What kernels and tensors both need.
pub(super) struct Indices {
    /// The first row of each example, (examples).
    pub(super) first: Tensor,
    /// The number of rows of each example, (examples).
    pub(super) lengths: Tensor,
    /// The example of each row, (rows).
    pub(super) example_of_row: Tensor,
}

/// The way from rows to a table with the same number of places for each example.
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

/// The value of `cell`, which is computed once.
fn once<T>(cell: &OnceLock<T>, compute: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let computed = compute()?;
    Ok(cell.get_or_init(|| computed))
}

impl ExampleRows {
    pub(super) fn new(offsets: Vec<usize>, device: &Device) -> Self {
        let lengths = offsets.windows(2).map(|ends| ends[1] - ends[0]);
        Self {
            tokens: lengths.max().unwrap_or(0),
            offsets,
            device: device.clone(),
            indices: OnceLock::new(),
            padding: OnceLock::new(),
        }
    }

    /// The shape of a table with a place for each token: (examples, tokens).
    pub(super) fn table(&self) -> (usize, usize) {
        (self.offsets.len() - 1, self.tokens)
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.offsets.last().copied().unwrap_or_default()
    }

    /// The indices of examples and rows.
    pub(super) fn indices(&self) -> Result<&Indices> {
        once(&self.indices, || Indices::new(&self.offsets, &self.device))
    }

    /// The numbers of rows, (examples, 1), as f32.
    pub(super) fn lengths(&self) -> Result<Tensor> {
        let lengths = &self.indices()?.lengths;
        Ok(lengths.to_dtype(DType::F32)?.unsqueeze(1)?)
    }

    /// The way to a table, unless all examples have the same number of rows.
    fn padding(&self) -> Result<Option<&Padding>> {
        let (examples, tokens) = self.table();
        if examples * tokens == self.rows() {
            return Ok(None);
        }
        let new = || Padding::new(&self.offsets, tokens, &self.device);
        once(&self.padding, new).map(Some)
    }

    /// 1 for a place of the table with a row and 0 for any other, if there are others.
    pub(super) fn filled(&self) -> Result<Option<&Tensor>> {
        Ok(self.padding()?.map(|padding| &padding.filled))
    }

    /// The rows in their places, (examples x tokens, width), and zeros in the others.
    pub(super) fn places_of_rows(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(match self.padding()? {
            None => rows.clone(),
            Some(padding) => rows
                .index_select(&padding.row_of_place, 0)?
                .broadcast_mul(&padding.filled.reshape(((), 1))?)?,
        })
    }

    /// The rows from their places, (rows, width).
    pub(super) fn rows_of_places(&self, places: &Tensor) -> Result<Tensor> {
        Ok(match self.padding()? {
            None => places.clone(),
            Some(padding) => places.index_select(&padding.place_of_row, 0)?,
        })
    }

    /// The first or last row of each example, (examples).
    pub(super) fn ends(&self, end: End) -> Result<Tensor> {
        let Indices { first, lengths, .. } = self.indices()?;
        Ok(match end {
            End::First => first.clone(),
            End::Last => ((first + lengths)? - first.ones_like()?)?,
        })
    }

    /// A row for each row of a state: those of `from`, (examples, width), in these rows of each example, else zeros.
    pub(super) fn at_ends(&self, end: End, from: &Tensor) -> Result<Tensor> {
        let example_of_row = &self.indices()?.example_of_row;
        let spread = from.index_select(example_of_row, 0)?;
        let end_of_example = self.ends(end)?.index_select(example_of_row, 0)?;
        let all = Tensor::arange(0, self.rows() as u32, &self.device)?;
        let is_end = end_of_example.eq(&all)?.to_dtype(DType::F32)?;
        Ok(spread.broadcast_mul(&is_end.unsqueeze(1)?)?)
    }
}

impl Indices {
    fn new(offsets: &[usize], device: &Device) -> Result<Self> {
        let examples = offsets.len() - 1;
        let lengths = offsets.windows(2).map(|ends| ends[1] - ends[0]);
        // Rows before the first offset belong to no example, and take any.
        let before = std::iter::repeat_n(0, offsets[0]);
        let example_of_row = lengths
            .clone()
            .enumerate()
            .flat_map(|(example, length)| std::iter::repeat_n(example, length));
        let example_of_row = before.chain(example_of_row);
        let firsts = offsets[..examples].iter().copied();
        let all = firsts.chain(lengths).chain(example_of_row);
        let all = indices(all.map(|index| index as u32), device)?;
        let rows = all.elem_count() - 2 * examples;
        Ok(Self {
            first: all.narrow(0, 0, examples)?,
            lengths: all.narrow(0, examples, examples)?,
            example_of_row: all.narrow(0, 2 * examples, rows)?,
        })
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
