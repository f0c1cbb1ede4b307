/// Whether each of `points` is on the Pareto front, where smaller is better in every objective: no other point is at
/// least as good in all objectives and better in one. Equal points are on the front together.
///
/// # Examples
/// ```
/// let points = [vec![1.0, 4.0], vec![2.0, 2.0], vec![2.0, 4.0]];
/// assert_eq!(adaplace_analysis::pareto_front(&points), [true, true, false]);
/// ```
#[must_use]
pub fn pareto_front(points: &[Vec<f64>]) -> Vec<bool> {
    // In this order, every point comes after the points that dominate it.
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let pairs = points[a].iter().zip(&points[b]);
        pairs
            .map(|(a, b)| a.total_cmp(b))
            .fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    let mut front: Vec<usize> = Vec::new();
    let mut on_front = vec![false; points.len()];
    for index in order {
        if !front
            .iter()
            .any(|&member| dominates(&points[member], &points[index]))
        {
            front.push(index);
            on_front[index] = true;
        }
    }
    on_front
}

/// Whether `point` is nowhere worse than `other` and better in one objective.
fn dominates(point: &[f64], other: &[f64]) -> bool {
    let pairs = || point.iter().zip(other);
    pairs().all(|(own, other)| own <= other) && pairs().any(|(own, other)| own < other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (1, 5) and (2, 3) are a trade-off. (2, 4) and (3, 3) are beaten, and equal points are on the front together.
    #[test]
    fn a_front_by_hand() {
        let points = [[2.0, 4.0], [1.0, 5.0], [3.0, 3.0], [2.0, 3.0], [1.0, 5.0]];
        let points = points.map(|point| point.to_vec());
        assert_eq!(pareto_front(&points), [false, true, false, true, true]);
        assert!(pareto_front(&[]).is_empty());
    }

    /// Compares the sweep with the definition, pair by pair, with three objectives and many ties.
    #[test]
    fn the_sweep_finds_what_the_definition_says() {
        let digit = |n: usize, factor: usize, range: usize| (n * factor % range) as f64;
        let points: Vec<Vec<f64>> = (0..120)
            .map(|n| vec![digit(n, 37, 11), digit(n, 53, 7), digit(n, 29, 13)])
            .collect();
        for (point, found) in points.iter().zip(pareto_front(&points)) {
            let beaten = points.iter().any(|other| dominates(other, point));
            assert_eq!(found, !beaten);
        }
    }
}
