//! Batches of examples of similar length, so that little of a batch is padding.

use rand::Rng;
use rand::seq::SliceRandom;

/// The number of batches that are sorted by length together: enough for examples of equal length to find each other,
/// few enough for the composition of batches to stay random.
const BATCHES_PER_POOL: usize = 8;

/// The batches of one epoch, as indices into `lengths` (tokens per example). They contain every example once,
/// `batch_size` at a time; the batch left over is smaller.
///
/// The examples are shuffled and cut into pools of 8 batches. Each pool is sorted by length and cut into batches, and
/// the batches are shuffled. If all examples have the same length, this is a plain shuffle. The same state of `random`
/// leads to the same batches.
///
/// # Panics
/// If `batch_size` is 0.
pub fn training_epoch(
    lengths: &[usize],
    batch_size: usize,
    random: &mut (impl Rng + ?Sized),
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(random);
    let mut batches = Vec::with_capacity(lengths.len().div_ceil(batch_size));
    for pool in order.chunks_mut(batch_size * BATCHES_PER_POOL) {
        pool.sort_by_key(|&index| lengths[index]);
        batches.extend(pool.chunks(batch_size).map(<[usize]>::to_vec));
    }
    batches.shuffle(random);
    batches
}

/// The batches for evaluation, as indices into `lengths` (tokens per example). They contain every example once, sorted
/// by length (equal lengths in their original order), `batch_size` at a time; the last batch is smaller if the division
/// leaves a remainder.
///
/// # Panics
/// If `batch_size` is 0.
pub fn evaluation_batches(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The number of padding tokens if every batch is padded to its longest example.
    fn padding(lengths: &[usize], batches: &[Vec<usize>]) -> usize {
        let of_batch = |batch: &Vec<usize>| {
            let longest = batch.iter().map(|&index| lengths[index]).max().unwrap();
            batch
                .iter()
                .map(|&index| longest - lengths[index])
                .sum::<usize>()
        };
        batches.iter().map(of_batch).sum()
    }

    /// Lengths from 3 upwards whose excess is geometric with mean 12.
    fn geometric_lengths(count: usize, random: &mut impl Rng) -> Vec<usize> {
        let stay: f64 = 12.0 / 13.0;
        let draw = |_| 3 + ((1.0 - random.random::<f64>()).ln() / stay.ln()) as usize;
        (0..count).map(draw).collect()
    }

    #[test]
    fn sorted_pools_save_more_than_half_of_the_padding() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let lengths = geometric_lengths(1000, &mut random);
        let bucketed = training_epoch(&lengths, 32, &mut random);
        let mut order: Vec<usize> = (0..1000).collect();
        order.shuffle(&mut random);
        let unsorted: Vec<Vec<usize>> = order.chunks(32).map(<[usize]>::to_vec).collect();
        let (with, without) = (padding(&lengths, &bucketed), padding(&lengths, &unsorted));
        assert!(2 * with < without, "{with} of {without}");
        assert!(padding(&lengths, &evaluation_batches(&lengths, 32)) <= with);
    }

    #[test]
    fn epochs_differ_and_a_seed_repeats_them() {
        let lengths = vec![5; 40];
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let first = training_epoch(&lengths, 8, &mut random);
        assert_ne!(first, training_epoch(&lengths, 8, &mut random));
        let mut again = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(first, training_epoch(&lengths, 8, &mut again));
    }

    proptest! {
        #[test]
        fn every_example_is_in_one_batch(
            lengths in proptest::collection::vec(1_usize..50, 0..300), batch_size in 1_usize..40, seed in 0_u64..9,
        ) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            for batches in [
                training_epoch(&lengths, batch_size, &mut random),
                evaluation_batches(&lengths, batch_size),
            ] {
                let mut all = batches.concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
                prop_assert_eq!(batches.len(), lengths.len().div_ceil(batch_size));
                let smaller = batches.iter().filter(|batch| batch.len() < batch_size).count();
                prop_assert_eq!(smaller, usize::from(lengths.len() % batch_size != 0));
            }
        }
    }
}
