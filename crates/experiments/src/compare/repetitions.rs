//! Which repetition the trainings of a comparison are: what their order of examples and their initial weights follow from.
//!
//! Trials of seed r are repetition r. A race wants orders that no trial has had, the same ones for all competitors with that
//! seed: its trainings are 1000 r + 1, 1000 r + 2 and so on. Final trainings want orders that nothing was chosen by: those of
//! seed r are 2,000,000 + 1000 r + 1 and so on.

/// Seeds are at most so many, trainings of a placement in a race and final trainings of one seed fewer.
pub(super) const SPAN: u32 = 1000;

/// Behind the races of all seeds.
const FINALS: u32 = 2 * SPAN * SPAN;

/// The first repetition of a race.
pub(super) fn first_of_race(seed: u32) -> u32 {
    SPAN.saturating_mul(seed).saturating_add(1)
}

/// The repetitions of `count` final trainings.
pub(super) fn of_finals(seed: u32, count: u32) -> impl Iterator<Item = u32> {
    (1..=count).map(move |one| FINALS + SPAN * seed + one)
}

/// Which of `columns` repetitions of a table, from 0, stands for this one. Seeds beyond the last column begin again with the
/// first; a race begins behind the column of its seed's trials and keeps off it, unless there is no other.
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
