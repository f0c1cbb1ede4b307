/// The ranks of `values`, where the smallest has rank 1 and equal values share the mean of their ranks.
///
/// # Examples
/// ```
/// assert_eq!(adaplace_analysis::ranks(&[0.5, 0.1, 0.5, 0.9]), [2.5, 1.0, 2.5, 4.0]);
/// ```
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    while begin < order.len() {
        let value = values[order[begin]];
        let tied = order[begin..]
            .iter()
            .take_while(|&&index| values[index] == value)
            .count()
            .max(1);
        // This is the mean of begin + 1 ..= begin + tied.
        let rank = begin as f64 + (tied as f64 + 1.0) / 2.0;
        for &index in &order[begin..begin + tied] {
            ranks[index] = rank;
        }
        begin += tied;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_alike_share_the_middle() {
        assert_eq!(ranks(&[3.0; 4]), [2.5; 4]);
        assert!(ranks(&[]).is_empty());
    }
}
