use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The share of resamples that lie between the bounds.
const CONFIDENCE: f64 = 0.95;

/// The number of resamples. With this many, the bounds are accurate to about a tenth of the interval's width.
const RESAMPLES: usize = 2000;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// The 95 % percentile bootstrap interval of a statistic of `count` items (Efron, 1979).
///
/// Each resample draws the items again with replacement and passes their indices to `statistic`. Resamples without a
/// value are left out. Returns `None` if fewer than half of them have one.
pub fn bootstrap(
    count: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    if count == 0 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = vec![0; count];
    let mut values: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            drawn.fill_with(|| random.random_range(0..count));
            statistic(&drawn)
        })
        .collect();
    if values.len() < RESAMPLES / 2 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Some(Interval {
        low: at(tail),
        high: at(1.0 - tail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64], drawn: &[usize]) -> f64 {
        drawn.iter().map(|&index| values[index]).sum::<f64>() / drawn.len() as f64
    }

    /// The mean of 400 values of deviation 1 has a standard error of 0.05, so its interval is about 4 * 0.049 wide.
    #[test]
    fn the_interval_of_a_mean_has_the_normal_width() {
        let values: Vec<f64> = (0..400)
            .map(|index| if index % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        let interval = bootstrap(400, 3, |drawn| Some(mean(&values, drawn))).unwrap();
        assert!(interval.low < 0.0 && interval.high > 0.0);
        let width = interval.high - interval.low;
        assert!((width - 2.0 * 1.96 * 0.05).abs() < 0.02, "{width}");
    }

    #[test]
    fn it_follows_from_the_seed_and_needs_values() {
        let values = [1.0, 5.0, 2.0];
        let of = |seed| bootstrap(3, seed, |drawn| Some(mean(&values, drawn)));
        assert_eq!(of(1), of(1));
        assert_eq!(bootstrap(0, 1, |_| Some(0.0)), None);
        assert_eq!(bootstrap(3, 1, |_| None), None);
    }
}
