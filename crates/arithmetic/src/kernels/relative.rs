//! What relative positions add to the scores of an attention head, and its gradient.
//!
//! With the bucket b(i, j) of query i and key j, the scores grow by bias_b, or by A_ib + B_jb with A = scale Q keys^T and
//! B = scale K queries^T. With S = dL/dscores, dA_ib is the sum of S_ij over the j of bucket b, dB_jb the one over the i, and
//! dQ = scale dA keys, dK = scale dB queries.

use std::ops::Range;

use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, MatrixMut};
use super::product::{Packed, Start, multiply};
use crate::{RelativePositions, RelativeTerms};

/// The relative positions of one head in an example.
pub(super) struct Head<'a> {
    pub(super) set: InstructionSet,
    pub(super) positions: &'a RelativePositions,
    pub(super) number: usize,
    /// The number of heads.
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) tokens: usize,
    pub(super) scale: f32,
}

/// Memory for products with the vectors of buckets, (tokens, buckets).
#[derive(Default)]
pub(super) struct Scratch {
    products: Vec<f32>,
}

impl Head<'_> {
    /// The vectors of this head for some buckets, (buckets, width).
    fn vectors<'v>(&self, all: &'v [f32], buckets: &Range<usize>) -> Matrix<'v> {
        let of_head = all.len() / self.heads;
        let own = &all[self.number * of_head..][buckets.start * self.width..];
        Matrix::new(own, buckets.len(), self.width)
    }

    /// Adds to the scores of queries and keys, (tokens, tokens).
    pub(super) fn add(
        &self,
        [query, key]: [Matrix<'_>; 2],
        scores: &mut [f32],
        packed: &mut Packed,
        scratch: &mut Scratch,
    ) {
        let tokens = self.tokens;
        match self.positions.terms() {
            RelativeTerms::Bias(values) => {
                let own = &values[self.number * (values.len() / self.heads)..];
                for (place, row) in scores.chunks_exact_mut(tokens).enumerate() {
                    let buckets = self.positions.of_query(place, tokens);
                    row.iter_mut()
                        .zip(buckets)
                        .for_each(|(score, bucket)| *score += own[bucket]);
                }
            }
            RelativeTerms::Products { keys, queries } => {
                if let Some(keys) = keys {
                    let (products, range) = self.products(query, keys, packed, scratch);
                    for (place, row) in scores.chunks_exact_mut(tokens).enumerate() {
                        let own = &products[place * range.len()..];
                        let buckets = self.positions.of_query(place, tokens);
                        row.iter_mut()
                            .zip(buckets)
                            .for_each(|(score, bucket)| *score += own[bucket - range.start]);
                    }
                }
                if let Some(queries) = queries {
                    let (products, range) = self.products(key, queries, packed, scratch);
                    for (place, row) in scores.chunks_exact_mut(tokens).enumerate() {
                        let of_keys = products.chunks_exact(range.len());
                        let buckets = self.positions.of_query(place, tokens);
                        for ((score, own), bucket) in row.iter_mut().zip(of_keys).zip(buckets) {
                            *score += own[bucket - range.start];
                        }
                    }
                }
            }
        }
    }

    /// scale x vectors^T, (tokens, buckets), for the buckets that occur.
    fn products<'s>(
        &self,
        x: Matrix<'_>,
        vectors: &[f32],
        packed: &mut Packed,
        scratch: &'s mut Scratch,
    ) -> (&'s [f32], Range<usize>) {
        let range = self.positions.range(self.tokens);
        let products = &mut scratch.products;
        products.resize(self.tokens * range.len(), 0.0);
        packed.pack(self.set, self.vectors(vectors, &range).transposed());
        let to = MatrixMut::new(products, self.tokens, range.len());
        multiply(self.set, to, Start::Nothing, x, packed, self.scale);
        (products, range)
    }

    /// Adds the gradient with respect to the queries to `to`, (tokens, width), from the one with respect to the scores.
    pub(super) fn towards_query(
        &self,
        towards_scores: &[f32],
        to: MatrixMut<'_>,
        packed: &mut Packed,
        scratch: &mut Scratch,
    ) {
        if let RelativeTerms::Products {
            keys: Some(keys), ..
        } = self.positions.terms()
        {
            let range = self.positions.range(self.tokens);
            let sums = self.zeros(&range, scratch);
            for (place, row) in towards_scores.chunks_exact(self.tokens).enumerate() {
                let own = &mut sums[place * range.len()..];
                let buckets = self.positions.of_query(place, self.tokens);
                row.iter()
                    .zip(buckets)
                    .for_each(|(&gradient, bucket)| own[bucket - range.start] += gradient);
            }
            self.add_product(sums, (keys, &range), to, packed);
        }
    }

    /// The same for the keys.
    pub(super) fn towards_key(
        &self,
        towards_scores: &[f32],
        to: MatrixMut<'_>,
        packed: &mut Packed,
        scratch: &mut Scratch,
    ) {
        if let RelativeTerms::Products {
            queries: Some(queries),
            ..
        } = self.positions.terms()
        {
            let range = self.positions.range(self.tokens);
            let sums = self.zeros(&range, scratch);
            for (place, row) in towards_scores.chunks_exact(self.tokens).enumerate() {
                let of_keys = sums.chunks_exact_mut(range.len());
                let buckets = self.positions.of_query(place, self.tokens);
                for ((&gradient, own), bucket) in row.iter().zip(of_keys).zip(buckets) {
                    own[bucket - range.start] += gradient;
                }
            }
            self.add_product(sums, (queries, &range), to, packed);
        }
    }

    fn zeros<'s>(&self, range: &Range<usize>, scratch: &'s mut Scratch) -> &'s mut [f32] {
        scratch.products.clear();
        scratch.products.resize(self.tokens * range.len(), 0.0);
        &mut scratch.products
    }

    fn add_product(
        &self,
        sums: &[f32],
        (vectors, range): (&[f32], &Range<usize>),
        to: MatrixMut<'_>,
        packed: &mut Packed,
    ) {
        packed.pack(self.set, self.vectors(vectors, range));
        let sums = Matrix::new(sums, self.tokens, range.len());
        multiply(self.set, to, Start::Result, sums, packed, self.scale);
    }
}
