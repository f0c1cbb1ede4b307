//! Stratified choices of examples.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The seed of the validation split. It is a constant, so the validation examples never depend on the study.
const VALIDATION_SEED: u64 = 0x0061_6461_706c_6163;

/// One in this many training examples goes to validation if a task has no validation part.
const VALIDATION_SHARE: usize = 5;

/// Splits the examples with these `labels` (each below `classes`) into train and validation, 80 % and 20 % of every
/// class. Every class with at least two examples is in both, and a single example stays in train. Both lists are
/// ascending.
pub(crate) fn split_validation(labels: &[u32], classes: usize) -> (Vec<usize>, Vec<usize>) {
    let counts = class_counts(labels, classes);
    let divisible: Vec<usize> = (0..labels.len())
        .filter(|&index| counts[labels[index] as usize] >= 2)
        .collect();
    let divisible_labels: Vec<u32> = divisible.iter().map(|&index| labels[index]).collect();
    let divisible_classes = counts.iter().filter(|&&count| count >= 2).count();
    let share = (divisible.len() + VALIDATION_SHARE / 2) / VALIDATION_SHARE;
    let chosen = stratified_subset(
        &divisible_labels,
        classes,
        share.max(divisible_classes),
        VALIDATION_SEED,
    );
    let validation: Vec<usize> = chosen.into_iter().map(|index| divisible[index]).collect();
    let mut in_validation = vec![false; labels.len()];
    for &index in &validation {
        in_validation[index] = true;
    }
    let train = (0..labels.len())
        .filter(|&index| !in_validation[index])
        .collect();
    (train, validation)
}

/// The ascending indices of `size` examples (all, if there are no more) in which every class has its share.
///
/// The quotas are `size * count / total`, rounded by largest remainder (Hamilton's method; ties go to the first class),
/// with at least one example of every class if `size` allows it. Within a class, a larger subset with the same seed
/// contains the smaller one, up to rounding.
pub(crate) fn stratified_subset(
    labels: &[u32],
    classes: usize,
    size: usize,
    seed: u64,
) -> Vec<usize> {
    if size >= labels.len() {
        return (0..labels.len()).collect();
    }
    let quotas = quotas(&class_counts(labels, classes), size);
    let mut members = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        members[label as usize].push(index);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = Vec::with_capacity(size);
    for (mut indices, quota) in members.into_iter().zip(quotas) {
        indices.shuffle(&mut random);
        chosen.extend_from_slice(&indices[..quota]);
    }
    chosen.sort_unstable();
    chosen
}

pub(crate) fn class_counts(labels: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in labels {
        counts[label as usize] += 1;
    }
    counts
}

/// Distributes `size` (at most the sum of `counts`) among the classes, where no class gets more than its count.
fn quotas(counts: &[usize], size: usize) -> Vec<usize> {
    let total: usize = counts.iter().sum();
    if total == 0 {
        return vec![0; counts.len()];
    }
    let mut quotas: Vec<usize> = counts.iter().map(|count| size * count / total).collect();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(size * counts[class] % total));
    let left = size - quotas.iter().sum::<usize>();
    for &class in &by_remainder[..left] {
        quotas[class] += 1;
    }
    if size >= counts.iter().filter(|&&count| count > 0).count() {
        for class in 0..counts.len() {
            if counts[class] > 0 && quotas[class] == 0 {
                let richest = (0..counts.len())
                    .rev()
                    .max_by_key(|&other| quotas[other])
                    .expect("there is at least this class");
                quotas[richest] -= 1;
                quotas[class] = 1;
            }
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotas_are_rounded_by_largest_remainder() {
        // 10 * (50, 30, 13, 7) / 100 = 5.0, 3.0, 1.3, 0.7: the tenth goes to the last class.
        assert_eq!(quotas(&[50, 30, 13, 7], 10), [5, 3, 1, 1]);
        // 3 * (97, 2, 1) / 100 = 2.91, 0.06, 0.03 would be 3, 0, 0: the richest class passes one on to each of the
        // others.
        assert_eq!(quotas(&[97, 2, 1], 3), [1, 1, 1]);
        // There are not enough for all three.
        assert_eq!(quotas(&[97, 2, 1], 2), [2, 0, 0]);
    }

    #[test]
    fn a_fifth_of_every_class_validates() {
        let labels: Vec<u32> = (0..100).map(|index| u32::from(index % 4 == 0)).collect();
        let (train, validation) = split_validation(&labels, 2);
        let of_class = |indices: &[usize]| -> Vec<usize> {
            let labels: Vec<u32> = indices.iter().map(|&index| labels[index]).collect();
            class_counts(&labels, 2)
        };
        assert_eq!(of_class(&train), [60, 20]);
        assert_eq!(of_class(&validation), [15, 5]);
    }

    #[test]
    fn a_single_example_is_trained_on() {
        let (train, validation) = split_validation(&[0, 1, 0, 2, 2], 3);
        assert!(train.contains(&1));
        assert_eq!((train.len(), validation.len()), (3, 2));
    }

    proptest! {
        #[test]
        fn a_split_has_every_example_once(labels in proptest::collection::vec(0_u32..5, 0..200)) {
            let (train, validation) = split_validation(&labels, 5);
            let mut all = [train.clone(), validation.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            for (class, count) in class_counts(&labels, 5).into_iter().enumerate() {
                let holds = |part: &[usize]| part.iter().any(|&index| labels[index] == class as u32);
                prop_assert_eq!(holds(&train), count >= 1);
                prop_assert_eq!(holds(&validation), count >= 2);
            }
        }

        #[test]
        fn a_subset_has_its_size_and_every_class_where_possible(
            labels in proptest::collection::vec(0_u32..5, 0..200), size in 0_usize..220, seed in 0_u64..4,
        ) {
            let chosen = stratified_subset(&labels, 5, size, seed);
            prop_assert_eq!(chosen.len(), size.min(labels.len()));
            prop_assert!(chosen.is_sorted_by(|a, b| a < b));
            let present = class_counts(&labels, 5).into_iter().filter(|&count| count > 0).count();
            let subset: Vec<u32> = chosen.iter().map(|&index| labels[index]).collect();
            let found = class_counts(&subset, 5).into_iter().filter(|&count| count > 0).count();
            prop_assert!(found == present || size < present);
        }
    }
}
