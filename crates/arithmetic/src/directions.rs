use std::ops::Range;

/// Neighbouring columns of a matrix.
#[derive(Debug, Clone)]
pub struct Columns<'a, B> {
    /// The matrix.
    pub matrix: &'a B,
    /// The number of columns of the matrix.
    pub all: usize,
    /// The columns.
    pub range: Range<usize>,
}

/// The place of a block in a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixBlock {
    /// The number of columns of the matrix.
    pub all: usize,
    /// The first row of the block.
    pub row: usize,
    /// The first column of the block.
    pub column: usize,
}

/// Directions of the width of the states for every pair of one of some sources i and one of some targets j: v_ijm to compare
/// x_i with, and u_ijm to compare the gradient with respect to h_j with.
#[derive(Debug, Clone, PartialEq)]
pub struct Directions {
    /// The number of sources.
    pub sources: usize,
    /// The number of targets.
    pub targets: usize,
    /// The width of the states.
    pub width: usize,
    /// The number of directions m of each pair.
    pub count: usize,
    /// The number of the first of them that are kept apart.
    pub apart: usize,
    /// The directions v, (sources i, targets j, m, width) by rows.
    pub right: Vec<f32>,
    /// The directions u, (targets j, sources i, m, width) by rows.
    pub left: Vec<f32>,
}

impl Directions {
    /// The number of sums of each pair.
    #[must_use]
    pub fn sums(&self) -> usize {
        self.apart + 1
    }
}
