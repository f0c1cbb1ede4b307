use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The numbers 0 .. count in a random order determined by `seed`.
#[must_use]
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// The folds of a cross-validation: the numbers 0 .. count in a random order determined by `seed`, dealt to `folds`
/// folds in turn. No fold is empty, so there are fewer folds if there are fewer items.
#[must_use]
pub fn folds(count: usize, folds: usize, seed: u64) -> Vec<Vec<usize>> {
    let order = shuffled(count, seed);
    let of = |fold: usize| order.iter().copied().skip(fold).step_by(folds).collect();
    (0..folds.min(count)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_one_fold() {
        let found = folds(23, 10, 5);
        assert_eq!(found, folds(23, 10, 5));
        assert_ne!(found, folds(23, 10, 6));
        assert!(found.iter().all(|fold| fold.len() == 2 || fold.len() == 3));
        let mut all = found.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..23));
        assert_eq!(folds(3, 10, 0).len(), 3);
        assert!(folds(0, 10, 0).is_empty());
    }
}
