//! Charts of long studies with few points.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use adaplace_study::Metric;

/// The largest number of points. More would not be distinguishable and would make the file large.
pub(crate) const MOST_POINTS: usize = 1500;

/// The points of a step curve: the best value so far at each place where it changes, and once more at the end.
///
/// `values` are places and values of the metric, in order of time. NaN is skipped.
pub(crate) fn best_so_far(
    metric: Metric,
    values: impl IntoIterator<Item = (f64, f64)>,
) -> Vec<(f64, f64)> {
    let mut changes: Vec<(f64, f64)> = Vec::new();
    let mut end = None;
    for (place, value) in values.into_iter().filter(|(_, value)| !value.is_nan()) {
        let is_better = |&(_, best): &(f64, f64)| metric.signed(value) > metric.signed(best);
        if changes.last().is_none_or(is_better) {
            changes.push((place, value));
        }
        end = Some(place);
    }
    if let (Some(&(last, best)), Some(end)) = (changes.last(), end)
        && end > last
    {
        changes.push((end, best));
    }
    changes
}

/// At most [`MOST_POINTS`] of `count` indices, evenly spread, and all of `kept`, in ascending order.
pub(crate) fn evenly(count: usize, kept: &[usize]) -> Vec<usize> {
    if count <= MOST_POINTS {
        return (0..count).collect();
    }
    let spread = (0..MOST_POINTS).map(|index| index * count / MOST_POINTS);
    let chosen: BTreeSet<usize> = spread.chain(kept.iter().copied()).collect();
    chosen.into_iter().filter(|&index| index < count).collect()
}

/// The range outside of which a value is an outlier: three times the interquartile range below the first and above the
/// third quartile (Tukey's outer fences).
pub(crate) fn fences(values: impl Iterator<Item = f64>) -> RangeInclusive<f64> {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let quartile = |number: usize| sorted.get(number * sorted.len() / 4).copied();
    match (quartile(1), quartile(3)) {
        (Some(first), Some(third)) => {
            let width = 3.0 * (third - first);
            first - width..=third + width
        }
        _ => f64::NEG_INFINITY..=f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_and_the_end_are_kept() {
        let values = [
            (1.0, 0.5),
            (2.0, 0.4),
            (3.0, 0.6),
            (4.0, 0.6),
            (5.0, f64::NAN),
            (6.0, 0.1),
        ];
        assert_eq!(
            best_so_far(Metric::Accuracy, values),
            [(1.0, 0.5), (3.0, 0.6), (6.0, 0.6)]
        );
        assert_eq!(
            best_so_far(Metric::Loss, values),
            [(1.0, 0.5), (2.0, 0.4), (6.0, 0.1)]
        );
        assert!(best_so_far(Metric::Loss, []).is_empty());
        assert_eq!(best_so_far(Metric::Loss, [(2.0, 1.0)]), [(2.0, 1.0)]);
    }

    #[test]
    fn a_curve_has_as_many_points_as_changes() {
        // Records of the sequence n -> trailing zeros of n: 0, 1, 2 .. at the powers of two.
        let values = (1..=50_000_u32).map(|n| (f64::from(n), f64::from(n.trailing_zeros())));
        let curve = best_so_far(Metric::Accuracy, values);
        // 2^0 to 2^15, and the end.
        assert_eq!(curve.len(), 17);
        assert_eq!(curve[15], (32_768.0, 15.0));
        assert_eq!(curve[16], (50_000.0, 15.0));
    }

    #[test]
    fn points_are_chosen_evenly_with_those_that_must_stay() {
        assert_eq!(evenly(3, &[]), [0, 1, 2]);
        let even: Vec<usize> = (0..MOST_POINTS).map(|index| 2 * index).collect();
        assert_eq!(evenly(2 * MOST_POINTS, &[]), even);
        let kept = evenly(2 * MOST_POINTS, &[1, 2, 2 * MOST_POINTS]);
        assert_eq!(kept[..4], [0, 1, 2, 4]);
        assert_eq!(kept.len(), MOST_POINTS + 1);
    }

    #[test]
    fn fences_stand_three_interquartile_ranges_away() {
        // 0 to 99: quartiles 25 and 75.
        let range = fences((0..100).map(f64::from));
        assert_eq!(range, -125.0..=225.0);
        assert!(fences(std::iter::empty()).contains(&1e300));
        assert!(fences([2.0].into_iter()).contains(&2.0));
    }
}
