//! The distances between tokens as buckets, and the vectors that a block projects for them.

use std::sync::Arc;

use adaplace_arithmetic::{ArithmeticError, Attention, Linear, RelativePositions, RelativeTerms};

use crate::projection::Projection;

/// The vectors of distances that every block projects, as queries and keys are projected (DeBERTa: He et al., 2021).
pub(crate) struct Distances {
    /// One vector for each bucket, (buckets, width).
    pub(crate) vectors: Vec<f32>,
    /// What projects the vectors that queries are multiplied with, if they are.
    pub(crate) keys: Option<DistanceLayer>,
    /// The same for keys.
    pub(crate) queries: Option<DistanceLayer>,
    /// The number of positions.
    pub(crate) positions: usize,
    pub(crate) buckets: LogBuckets,
}

/// What projects the vectors of distances.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DistanceLayer {
    /// The block's own layer of keys or queries.
    Shared,
    /// A layer for them alone.
    Own(&'static str),
}

impl Distances {
    /// The relative positions of an attention with these layers for keys and queries.
    pub(crate) fn of_block(
        &self,
        attention: &Attention,
        keys: Option<&Linear>,
        queries: Option<&Linear>,
    ) -> Result<Arc<RelativePositions>, ArithmeticError> {
        let by_head = |layer: &Linear| -> Result<Vec<f32>, ArithmeticError> {
            let weight = layer.weight.read()?;
            let projection = Projection::new(&weight.to_f32(), layer.bias.clone());
            let rows = projection.forward(&self.vectors);
            let width = attention.head_width;
            let mut all = Vec::with_capacity(rows.len());
            for head in 0..attention.heads {
                for row in rows.chunks_exact(attention.width()) {
                    all.extend_from_slice(&row[head * width..][..width]);
                }
            }
            Ok(all)
        };
        let terms = RelativeTerms::Products {
            keys: keys.map(by_head).transpose()?,
            queries: queries.map(by_head).transpose()?,
        };
        let bucket = |distance| self.buckets.of(distance);
        Ok(Arc::new(RelativePositions::new(
            terms,
            self.positions,
            bucket,
        )))
    }
}

/// The buckets of DeBERTa: one for each small distance, and wider ones for larger distances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogBuckets {
    /// The number of buckets on each side.
    pub(crate) span: usize,
    /// The number of buckets that distances are sorted into, or none if each distance has one.
    pub(crate) wider: Option<usize>,
    /// The distance that the last bucket begins with.
    pub(crate) farthest: usize,
}

impl LogBuckets {
    /// The bucket of the distance from a key to a query.
    pub(crate) fn of(&self, distance: isize) -> usize {
        let bucket = match self.wider {
            Some(buckets) => self.widened(distance, buckets),
            None => distance,
        };
        let shifted = bucket + self.span as isize;
        shifted.clamp(0, 2 * self.span as isize - 1) as usize
    }

    fn widened(&self, distance: isize, buckets: usize) -> isize {
        let middle = buckets / 2;
        let length = distance.unsigned_abs();
        if length <= middle {
            return distance;
        }
        // In f32, as the model is trained.
        let share = |length: usize| (length as f32 / middle as f32).ln();
        let place = share(length) / share(self.farthest - 1) * (middle - 1) as f32;
        distance.signum() * (place.ceil() as isize + middle as isize)
    }
}

/// The bucket of T5 and MPNet for the distance from a key to a query, of 32: 16 for each direction, half of which are wider
/// ones up to a distance of 128 (Raffel et al., 2020).
pub(crate) fn t5_bucket(distance: isize) -> usize {
    const EACH_WAY: usize = 16;
    const EXACT: usize = EACH_WAY / 2;
    let begin = if distance < 0 { EACH_WAY } else { 0 };
    let length = distance.unsigned_abs();
    if length < EXACT {
        return begin + length;
    }
    let share = (length as f32 / EXACT as f32).ln() / (128.0_f64 / EXACT as f64).ln() as f32;
    let wider = EXACT + (share * (EACH_WAY - EXACT) as f32) as usize;
    begin + wider.min(EACH_WAY - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket at every distance where it changes, from transformers 5.24 with PyTorch 2.15.
    fn changes(bucket: impl Fn(isize) -> usize, farthest: isize) -> Vec<(isize, usize)> {
        let mut changes = vec![(-farthest, bucket(-farthest))];
        for distance in 1 - farthest..=farthest {
            let found = bucket(distance);
            if found != bucket(distance - 1) {
                changes.push((distance, found));
            }
        }
        changes
    }

    #[test]
    fn buckets_are_those_of_transformers() {
        let stored = include_str!("../tests/buckets.json");
        let stored: serde_json::Value = serde_json::from_str(stored).unwrap();
        let expected = |name: &str| -> Vec<(isize, usize)> {
            serde_json::from_value(stored[name].clone()).unwrap()
        };
        assert_eq!(changes(t5_bucket, 511), expected("mpnet"));
        for (name, span, farthest) in [("deberta-256-512", 256, 512), ("deberta-4-16", 4, 16)] {
            let buckets = LogBuckets {
                span,
                wider: Some(span),
                farthest,
            };
            let found = changes(|distance| buckets.of(distance), 511);
            assert_eq!(found, expected(name), "{name}");
        }
    }
}
