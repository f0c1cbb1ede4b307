use std::ops::Range;

/// What the distance between two tokens adds to their score.
///
/// Distances, from a key to the query behind it, fall into buckets.
#[derive(Debug)]
pub struct RelativePositions {
    terms: RelativeTerms,
    /// The bucket of each distance, from the largest one in front of a key to the largest one behind it.
    buckets: Vec<u32>,
}

/// The summands of a score.
#[derive(Debug)]
pub enum RelativeTerms {
    /// A number for each bucket (Raffel et al., 2020), (heads, buckets) by rows.
    Bias(Vec<f32>),
    /// scale (q . keys_b + k . queries_b) with the query q, the key k and the vectors of bucket b, (heads, buckets, width of
    /// a head) each (disentangled attention: He et al., 2021). Either may be missing. The buckets of larger distances have
    /// no smaller numbers.
    Products {
        /// The vectors that queries are multiplied with.
        keys: Option<Vec<f32>>,
        /// The vectors that keys are multiplied with.
        queries: Option<Vec<f32>>,
    },
}

impl RelativePositions {
    /// The terms of texts of up to `positions` tokens, where `bucket` is the bucket of query - key.
    #[must_use]
    pub fn new(terms: RelativeTerms, positions: usize, bucket: impl Fn(isize) -> usize) -> Self {
        let farthest = positions.saturating_sub(1) as isize;
        let distances = -farthest..=farthest;
        Self {
            terms,
            buckets: distances.map(|distance| bucket(distance) as u32).collect(),
        }
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &RelativeTerms {
        &self.terms
    }

    /// The bucket of each key as seen from the query at `place`, in an example of so many tokens.
    pub fn of_query(&self, place: usize, tokens: usize) -> impl Iterator<Item = usize> + '_ {
        let centre = self.buckets.len() / 2;
        let own = &self.buckets[centre + place + 1 - tokens..=centre + place];
        own.iter().rev().map(|&bucket| bucket as usize)
    }

    /// The buckets between the tokens of an example, if larger distances have no smaller numbers.
    #[must_use]
    pub fn range(&self, tokens: usize) -> Range<usize> {
        let centre = self.buckets.len() / 2;
        let [first, last] = [centre + 1 - tokens, centre + tokens - 1];
        self.buckets[first] as usize..self.buckets[last] as usize + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_by_hand() {
        let terms = RelativeTerms::Bias(Vec::new());
        let positions =
            RelativePositions::new(terms, 4, |distance| (distance.clamp(-1, 2) + 1) as usize);
        let of = |place, tokens| positions.of_query(place, tokens).collect::<Vec<_>>();
        assert_eq!(of(0, 3), [1, 0, 0]);
        assert_eq!(of(2, 3), [3, 2, 1]);
        assert_eq!(of(3, 4), [3, 3, 2, 1]);
        assert_eq!(of(0, 1), [1]);
        assert_eq!(positions.range(1), 1..2);
        assert_eq!(positions.range(2), 0..3);
        assert_eq!(positions.range(4), 0..4);
    }
}
