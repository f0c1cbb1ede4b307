//! Matrices over slices.

/// A matrix over a slice, whose entry (row, column) is at `row * row_stride + column * column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) layout: Layout,
}

/// A mutable matrix over a slice, whose columns within a row are adjacent.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl Layout {
    /// Checks that the slice holds the matrix. The kernels read without bounds checks what passes here, so no product
    /// of extents may overflow.
    fn checked(self, length: usize) -> Self {
        let rows = self.rows.saturating_sub(1).checked_mul(self.row_stride);
        let columns = self
            .columns
            .saturating_sub(1)
            .checked_mul(self.column_stride);
        let last = rows.zip(columns).and_then(|(r, c)| r.checked_add(c));
        assert!(
            self.rows == 0 || self.columns == 0 || last.is_some_and(|last| last < length),
            "a matrix of {} x {} with strides {} and {} does not fit in {length} values",
            self.rows,
            self.columns,
            self.row_stride,
            self.column_stride
        );
        self
    }
}

impl<'a> Matrix<'a> {
    /// A matrix whose rows follow each other directly.
    ///
    /// # Panics
    /// If the slice is too short.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A matrix whose rows start `row_stride` values apart.
    ///
    /// # Panics
    /// If the slice is too short.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let layout = Layout {
            rows,
            columns,
            row_stride,
            column_stride: 1,
        };
        Self {
            data,
            layout: layout.checked(data.len()),
        }
    }

    /// The transposed matrix over the same values.
    #[must_use]
    pub fn transposed(self) -> Self {
        let layout = Layout {
            rows: self.layout.columns,
            columns: self.layout.rows,
            row_stride: self.layout.column_stride,
            column_stride: self.layout.row_stride,
        };
        Self {
            data: self.data,
            layout,
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// A matrix whose rows follow each other directly.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A matrix whose rows start `row_stride` values apart.
    ///
    /// # Panics
    /// If the slice is too short, or if the rows overlap.
    pub fn strided(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            row_stride >= columns,
            "the rows of a result must not overlap"
        );
        let _ = Matrix::strided(data, rows, columns, row_stride);
        Self {
            data,
            rows,
            columns,
            row_stride,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_slice_that_is_too_short_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }

    /// 2^63 + 2^63 is 0 for a sum that overflows.
    #[test]
    #[should_panic(expected = "does not fit")]
    fn strides_beyond_the_memory_are_refused() {
        let _ = Matrix::strided(&[0.0; 5], 3, 1, usize::MAX / 2 + 1);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn rows_of_a_result_that_overlap_are_refused() {
        let _ = MatrixMut::strided(&mut [0.0; 6], 2, 3, 2);
    }
}
