//! The Pareto front of cost and merit.

/// The indices of the Pareto front of (cost, merit), where less cost and more merit are better, by ascending cost. Of
/// equal points only the first counts; points that are not finite are omitted.
pub(crate) fn pareto_front(points: &[(f64, f64)]) -> Vec<usize> {
    let finite = |&index: &usize| points[index].0.is_finite() && points[index].1.is_finite();
    let mut front: Vec<usize> = (0..points.len()).filter(finite).collect();
    let numbers: Vec<Vec<f64>> = front
        .iter()
        .map(|&index| vec![points[index].0, -points[index].1])
        .collect();
    let mut on_front = adaplace_analysis::pareto_front(&numbers).into_iter();
    front.retain(|_| on_front.next().unwrap_or(false));
    front.sort_by(|&a, &b| points[a].0.total_cmp(&points[b].0).then(a.cmp(&b)));
    front.dedup_by_key(|index| points[*index].0);
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_by_hand() {
        let points = [
            (3.0, 5.0),
            (1.0, 2.0),
            (2.0, 2.0), // dearer than 1, no better
            (2.0, 4.0),
            (1.0, 1.0), // worse than 1 at the same cost
            (4.0, 5.0), // dearer than 0, no better
            (2.0, 4.0), // the same as 3
        ];
        assert_eq!(pareto_front(&points), [1, 3, 0]);
    }

    #[test]
    fn nothing_beats_what_is_on_it() {
        // All points of a grid, by a generator that visits each residue of 101 once.
        let points: Vec<(f64, f64)> = (1..=100_u32)
            .map(|n| (f64::from(n * 37 % 101), f64::from(n * n * 11 % 101)))
            .collect();
        let front = pareto_front(&points);
        let beats = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 >= b.1 && a != b;
        for (index, &point) in points.iter().enumerate() {
            let beaten = points.iter().any(|&other| beats(other, point));
            assert_eq!(!beaten, front.contains(&index), "{point:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let points = [
            (f64::NAN, 9.0),
            (1.0, f64::NAN),
            (1.0, f64::INFINITY),
            (1.0, 1.0),
        ];
        assert_eq!(pareto_front(&points), [3]);
        assert!(pareto_front(&[]).is_empty());
    }
}
