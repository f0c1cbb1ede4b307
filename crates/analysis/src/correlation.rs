//! Rank correlations between two rankings of the same items.

use crate::ranks;

/// Spearman's rho: the correlation of the ranks, where ties share the mean of their ranks. `None` if all values of one
/// side are equal.
///
/// # Panics
/// If `x` and `y` differ in length.
#[must_use]
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "both lists have one value per item");
    pearson(&ranks(x), &ranks(y))
}

/// Pearson's r, the correlation of the values. `None` if all values of one side are equal.
///
/// # Panics
/// If `x` and `y` differ in length.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "both lists have one value per item");
    let count = x.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// Kendall's tau-b: (concordant - discordant pairs) / sqrt(pairs untied in x * pairs untied in y). `None` if all values
/// of one side are equal.
///
/// Kendall, "The treatment of ties in ranking problems", 1945. The pairs are counted by merge sort in O(n log n) as in
/// Knight, "A computer method for calculating Kendall's tau with ungrouped data", 1966.
///
/// # Panics
/// If `x` and `y` differ in length.
#[must_use]
pub fn kendall(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "both lists have one value per item");
    // Ranks are equal exactly where values are, and positive and negative zero are equal.
    let (x, y) = (ranks(x), ranks(y));
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]).then(y[a].total_cmp(&y[b])));
    let tied_x = tied_pairs(order.iter().map(|&index| x[index]));
    let tied_both = tied_pairs(order.iter().map(|&index| (x[index], y[index])));
    let mut by_y: Vec<f64> = order.iter().map(|&index| y[index]).collect();
    let mut room = by_y.clone();
    let discordant = sort_counting_swaps(&mut by_y, &mut room);
    let tied_y = tied_pairs(by_y.iter().copied());
    let pairs = (x.len() * x.len().saturating_sub(1) / 2) as i64;
    let (untied_x, untied_y) = (pairs - tied_x, pairs - tied_y);
    let balance = pairs - tied_x - tied_y + tied_both - 2 * discordant;
    let product = untied_x as f64 * untied_y as f64;
    (product > 0.0).then(|| balance as f64 / product.sqrt())
}

/// The number of pairs of equal elements in a sorted sequence.
fn tied_pairs<T: PartialEq>(sorted: impl Iterator<Item = T>) -> i64 {
    let (mut pairs, mut run) = (0, 0);
    let mut before = None;
    for value in sorted {
        run = if before.as_ref() == Some(&value) {
            run + 1
        } else {
            0
        };
        pairs += run;
        before = Some(value);
    }
    pairs
}

/// Sorts `values` and counts the pairs that were in the wrong order.
fn sort_counting_swaps(values: &mut [f64], room: &mut [f64]) -> i64 {
    let middle = values.len() / 2;
    if middle == 0 {
        return 0;
    }
    let (left, right) = values.split_at_mut(middle);
    let (room_left, room_right) = room.split_at_mut(middle);
    let mut swaps = sort_counting_swaps(left, room_left) + sort_counting_swaps(right, room_right);
    let (mut from_left, mut from_right) = (0, 0);
    for place in room.iter_mut() {
        let take_left = from_right == right.len()
            || (from_left < left.len() && left[from_left] <= right[from_right]);
        if take_left {
            *place = left[from_left];
            from_left += 1;
        } else {
            *place = right[from_right];
            from_right += 1;
            swaps += (left.len() - from_left) as i64;
        }
    }
    values.copy_from_slice(room);
    swaps
}

/// The share of the best items by `result` that are also among the best by `prediction`, between 0 and 1. Both sets
/// hold the best `share` of all items.
///
/// If the prediction ties at the edge of its set, this is the expectation over all orders of the tied items. Every
/// result as good as the last of the best counts as best. `None` if `share` selects no item.
///
/// # Panics
/// If `prediction` and `result` differ in length, or `share` is not between 0 and 1.
#[must_use]
pub fn top_recall(prediction: &[f64], result: &[f64], share: f64) -> Option<f64> {
    assert_eq!(
        prediction.len(),
        result.len(),
        "both lists have one value per item"
    );
    assert!((0.0..=1.0).contains(&share), "a share is between 0 and 1");
    let count = (share * result.len() as f64).ceil() as usize;
    if count == 0 {
        return None;
    }
    let edge_of = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted[count - 1]
    };
    let (edge, best) = (edge_of(prediction), edge_of(result));
    let is_best = |index: &usize| result[*index] >= best;
    let above: Vec<usize> = (0..prediction.len())
        .filter(|&index| prediction[index] > edge)
        .collect();
    let tied: Vec<usize> = (0..prediction.len())
        .filter(|&index| prediction[index] == edge)
        .collect();
    let certain = above.iter().filter(|index| is_best(index)).count() as f64;
    let possible = tied.iter().filter(|index| is_best(index)).count() as f64;
    let places = (count - above.len()) as f64;
    Some((certain + possible * places / tied.len() as f64) / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without ties rho = 1 - 6 sum d^2 / (n (n^2 - 1)). With d = 1, 1, 0, 0 this is 1 - 12 / 60.
    #[test]
    fn spearman_by_hand() {
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[20.0, 10.0, 30.0, 40.0]).unwrap();
        assert!((rho - 0.8).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        let reverse = spearman(&[1.0, 2.0, 3.0], &[0.3, 0.2, 0.1]).unwrap();
        assert!((reverse + 1.0).abs() < 1e-12);
    }

    /// The ranks are 1.5, 1.5, 3 and 1, 2, 3, with covariance 1.5 and variances 1.5 and 2.
    #[test]
    fn spearman_with_ties() {
        let rho = spearman(&[5.0, 5.0, 7.0], &[1.0, 2.0, 3.0]).unwrap();
        assert!((rho - 1.5 / 3.0_f64.sqrt()).abs() < 1e-12);
    }

    /// One of six pairs is discordant: (5 - 1) / 6. With one tie in x and no discordant pair: (5 - 0) / sqrt(5 * 6).
    #[test]
    fn kendall_by_hand() {
        let tau = kendall(&[1.0, 2.0, 3.0, 4.0], &[20.0, 10.0, 30.0, 40.0]).unwrap();
        assert!((tau - 4.0 / 6.0).abs() < 1e-12);
        let tied = kendall(&[1.0, 1.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((tied - 5.0 / 30.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(kendall(&[1.0], &[1.0]), None);
    }

    /// Compares the count by merge sort with the definition, pair by pair, on values with many ties.
    #[test]
    fn kendall_is_what_its_pairs_say() {
        for count in [2, 3, 10, 57] {
            let x: Vec<f64> = (0..count).map(|n| f64::from(n * 7 % 11)).collect();
            let y: Vec<f64> = (0..count).map(|n| f64::from(n * n % 13)).collect();
            let (mut balance, mut untied_x, mut untied_y) = (0.0, 0.0, 0.0);
            for a in 0..x.len() {
                for b in 0..a {
                    let sign = |values: &[f64]| match values[a] == values[b] {
                        true => 0.0,
                        false => (values[a] - values[b]).signum(),
                    };
                    balance += sign(&x) * sign(&y);
                    untied_x += sign(&x).abs();
                    untied_y += sign(&y).abs();
                }
            }
            let expected: f64 = balance / f64::sqrt(untied_x * untied_y);
            assert!((kendall(&x, &y).unwrap() - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn recall_counts_ties_by_their_expectation() {
        let result: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(top_recall(&result, &result, 0.2), Some(1.0));
        let reverse: Vec<f64> = result.iter().map(|value| -value).collect();
        assert_eq!(top_recall(&reverse, &result, 0.2), Some(0.0));
        // Two of ten at random are expected to hold two tenths of the best two.
        assert_eq!(top_recall(&[1.0; 10], &result, 0.2), Some(0.2));
        assert_eq!(top_recall(&[], &[], 0.1), None);
    }
}
