//! The repetitions of a comparison's trainings, which determine their orders of the examples and their initial weights.
//!
//! Trials of seed r are repetition r. A race needs orders that no trial had, the same for all competitors with that
//! seed: its trainings are repetitions 1000 r + 1, 1000 r + 2 and so on. Final trainings need orders that selected
//! nothing: those of seed r are 2,000,000 + 1000 r + 1 and so on.

/// The largest number of seeds. A placement has fewer trainings than this in a race, and a seed fewer final trainings.
pub(super) const SPAN: u32 = 1000;

/// The first repetition after the races of all seeds.
const FINALS: u32 = 2 * SPAN * SPAN;

/// The first repetition of a race.
pub(super) fn first_of_race(seed: u32) -> u32 {
    SPAN.saturating_mul(seed).saturating_add(1)
}

/// The repetitions of `count` final trainings.
pub(super) fn of_finals(seed: u32, count: u32) -> impl Iterator<Item = u32> {
    (1..=count).map(move |one| FINALS + SPAN * seed + one)
}

/// The column, from 0, to use for this repetition in a table with `columns` repetitions. Seeds beyond the last column
/// start again with the first. A race starts after the column of its seed's trials and skips that column, unless it is
/// the only one.
pub(crate) fn column(repetition: u32, columns: usize) -> usize {
    let (seed, raced) = match repetition > SPAN {
        true => (repetition / SPAN, (repetition % SPAN) as usize),
        false => (repetition, 0),
    };
    let of_trials = seed.saturating_sub(1) as usize % columns;
    match (raced.checked_sub(1), columns) {
        (None, _) | (_, 1) => of_trials,
        (Some(before), _) => (of_trials + 1 + before % (columns - 1)) % columns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_hand() {
        let of = |repetitions: &[u32], columns| -> Vec<usize> {
            let repetitions = repetitions.iter();
            repetitions.map(|&one| column(one, columns)).collect()
        };
        assert_eq!(of(&[1, 2, 3, 4, 1000], 3), [0, 1, 2, 0, 0]);
        let (first, last) = (of_finals(1, 2), of_finals(1000, 999).last());
        assert_eq!(first.collect::<Vec<_>>(), [2_001_001, 2_001_002]);
        assert_eq!(last, Some(3_000_999));
        let of_race = [1, 2, 3, 1000].map(first_of_race);
        assert_eq!(of_race, [1001, 2001, 3001, 1_000_001]);
        assert_eq!(of(&[1001, 1002, 1003], 3), [1, 2, 1]);
        assert_eq!(of(&[3001, 3002, 3003], 3), [0, 1, 0]);
        assert_eq!(of(&[2001, 2002], 2), [0, 0]);
        assert_eq!(of(&[1, 2, 2001, 2002], 1), [0; 4]);
    }
}
