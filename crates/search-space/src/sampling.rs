//! Random placements.

use std::collections::BTreeSet;

use rand::Rng;

use crate::{Connection, Placement, SearchSpace};

impl SearchSpace {
    /// A placement drawn uniformly from this space.
    ///
    /// The size and the start of the second pass are drawn by the number of placements that have them, then the
    /// connections and the ranks, each by the number of ways to complete the draw. Nothing is drawn and then rejected.
    pub fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> Placement {
        let cell = self.counts.cells[self.draw_cell(random)];
        let at_start =
            1 + weighted_index(&self.counts.split_weights(cell.size, cell.start), random)
                .expect("a cell with placements has a split");
        let mut chosen = subset(self.starts.connections_at(cell.start), at_start, random);
        chosen.extend(subset(
            self.starts.connections_after(cell.start),
            cell.size - at_start,
            random,
        ));
        chosen.sort_unstable();
        let limit = self
            .limits
            .limit(cell.size, cell.start)
            .expect("a cell exists only if its limit does");
        let assignments = &self.counts.assignments;
        let mut allowance = assignments.allowance(cell.size, limit);
        let placed = chosen
            .into_iter()
            .enumerate()
            .map(|(position, connection)| {
                let weights = assignments.weights(cell.size - position, allowance);
                let rank = weighted_index(&weights, random)
                    .expect("the smallest rank always fits the allowance");
                allowance -= assignments.excess(rank);
                (self.connections()[connection], self.adapters()[rank])
            });
        placed.collect()
    }

    /// A placement whose connections are drawn one after the other, each by its weight among those that can still be
    /// added. `weights` are in the order of [`SearchSpace::connections`].
    ///
    /// The size is drawn as by [`SearchSpace::sample`], and each rank uniformly from those that still fit. A weight
    /// that is missing, negative or not finite counts as zero. If all weights are zero, the draw is uniform.
    pub fn sample_weighted<R: Rng + ?Sized>(&self, random: &mut R, weights: &[f64]) -> Placement {
        let size = self.counts.cells[self.draw_cell(random)].size;
        let weight_of = |connection: &Connection| {
            let index = self.connections().binary_search(connection).ok();
            let weight = index
                .and_then(|index| weights.get(index))
                .copied()
                .unwrap_or(0.0);
            if weight.is_finite() && weight > 0.0 {
                weight
            } else {
                0.0
            }
        };
        let mut placement = Placement::new();
        while placement.len() < size {
            let extensions = self.extensions(&placement, size);
            let mut free: Vec<Connection> = extensions
                .iter()
                .map(|&(connection, _)| connection)
                .collect();
            free.dedup();
            let weights: Vec<f64> = free.iter().map(weight_of).collect();
            let drawn = weighted_index(&weights, random)
                .unwrap_or_else(|| random.random_range(0..free.len()));
            let fitting: Vec<_> = extensions
                .into_iter()
                .filter(|&(connection, _)| connection == free[drawn])
                .collect();
            let (connection, adapter) = fitting[random.random_range(0..fitting.len())];
            placement = placement.with(connection, adapter);
        }
        placement
    }

    fn draw_cell<R: Rng + ?Sized>(&self, random: &mut R) -> usize {
        let weights: Vec<f64> = self
            .counts
            .cells
            .iter()
            .map(|cell| cell.count.approximate)
            .collect();
        weighted_index(&weights, random).expect("a resolved space is not empty")
    }
}

/// An index drawn with probability proportional to its weight, or `None` if no weight is positive.
fn weighted_index<R: Rng + ?Sized>(weights: &[f64], random: &mut R) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    let mut left = random.random::<f64>() * total;
    let mut last = None;
    for (index, &weight) in weights
        .iter()
        .enumerate()
        .filter(|&(_, &weight)| weight > 0.0)
    {
        if left < weight {
            return Some(index);
        }
        left -= weight;
        last = Some(index);
    }
    // Rounding may leave a remainder after the last weight.
    last
}

/// A uniformly drawn subset of `items` with `size` elements (Floyd's algorithm, Bentley and Floyd 1987).
fn subset<R: Rng + ?Sized>(items: &[usize], size: usize, random: &mut R) -> Vec<usize> {
    let mut chosen = BTreeSet::new();
    for last in items.len() - size..items.len() {
        let candidate = random.random_range(0..=last);
        if !chosen.insert(candidate) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().map(|index| items[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn subsets_have_the_size_asked_for_without_repetition() {
        let random = &mut ChaCha8Rng::seed_from_u64(0);
        let items = [3, 5, 7, 9, 11];
        for size in 0..=5 {
            let mut drawn = subset(&items, size, random);
            drawn.dedup();
            assert_eq!(drawn.len(), size);
            assert!(drawn.iter().all(|item| items.contains(item)));
        }
        assert_eq!(subset(&items, 5, random), items);
    }

    #[test]
    fn zero_weights_are_never_drawn() {
        let random = &mut ChaCha8Rng::seed_from_u64(0);
        for _ in 0..100 {
            assert_eq!(weighted_index(&[0.0, 2.0, 0.0], random), Some(1));
            assert_eq!(weighted_index(&[0.0, 0.0], random), None);
        }
    }
}
