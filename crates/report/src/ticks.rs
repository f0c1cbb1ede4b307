//! The ticks of an axis and their labels.

use std::ops::Range;

use crate::numbers::Unit;

/// The ticks inside `range` with their labels, in ascending order. They are the multiples of the smallest step of 1, 2
/// or 5 times a power of ten that divides the range into at most `most` intervals. The step of a count is at least 1,
/// and all labels have as many decimals as the step needs.
pub(crate) fn ticks(range: &Range<f64>, most: u32, unit: Unit) -> Vec<(f64, String)> {
    let width = range.end - range.start;
    if !width.is_normal() {
        return Vec::new();
    }
    let least = match unit {
        Unit::Count => (width / f64::from(most)).max(1.0),
        Unit::Share | Unit::Number => width / f64::from(most),
    };
    let step = step(least);
    // A tick at an end of the range counts, though its quotient may be off by rounding.
    let first = (range.start / step - 1e-9).ceil();
    let last = (range.end / step + 1e-9).floor();
    let largest = range.start.abs().max(range.end.abs());
    (0..=most)
        .map(|index| first + f64::from(index))
        .take_while(|&multiple| multiple <= last)
        .map(|multiple| (multiple * step, label(multiple * step, step, largest, unit)))
        .collect()
}

/// The smallest step of 1, 2 or 5 times a power of ten that is at least as long as `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powi(exponent(least));
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * power);
    let long_enough = |step: &f64| *step >= least * (1.0 - 1e-9);
    steps.into_iter().find(long_enough).unwrap_or(10.0 * power)
}

/// The exponent of a positive number in scientific notation.
fn exponent(value: f64) -> i32 {
    (value.log10() + 1e-9).floor() as i32
}

/// The number of decimals of the step's multiples, up to the precision of the numbers.
fn decimals(step: f64) -> usize {
    (-exponent(step)).clamp(0, 12) as usize
}

fn label(value: f64, step: f64, largest: f64, unit: Unit) -> String {
    match unit {
        Unit::Share => format!("{:.*} %", decimals(100.0 * step), 100.0 * value),
        Unit::Count => unit.show(value),
        Unit::Number if value == 0.0 => "0".to_owned(),
        // Without the zeros of `0.0000012` and `12000000`.
        Unit::Number if !(1e-4..1e6).contains(&largest) => {
            let digits = (exponent(value.abs()) - exponent(step)).clamp(0, 12);
            format!("{value:.*e}", digits as usize)
        }
        Unit::Number => format!("{value:.*}", decimals(step)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(range: Range<f64>, unit: Unit) -> Vec<String> {
        let ticks = ticks(&range, 7, unit).into_iter();
        ticks.map(|(_, label)| label).collect()
    }

    #[test]
    fn steps_are_one_two_or_five() {
        for (least, expected) in [
            (1.0, 1.0),
            (1.1, 2.0),
            (20.0, 20.0),
            (21.0, 50.0),
            (0.6, 1.0),
        ] {
            assert!((step(least) / expected - 1.0).abs() < 1e-12, "{least}");
        }
    }

    #[test]
    fn labels_by_hand() {
        let counts = labels(0.0..1200.0, Unit::Count);
        assert_eq!(counts, ["0", "200", "400", "600", "800", "1,000", "1,200"]);
        assert_eq!(labels(-0.3..2.6, Unit::Count), ["0", "1", "2"]);
        let shares = labels(0.71..0.735, Unit::Share);
        assert_eq!(
            shares,
            ["71.0 %", "71.5 %", "72.0 %", "72.5 %", "73.0 %", "73.5 %"]
        );
        assert_eq!(labels(0.0..1.0, Unit::Share)[5], "100 %");
        assert_eq!(
            labels(-0.15..0.15, Unit::Number)[..4],
            ["-0.15", "-0.10", "-0.05", "0"]
        );
        let tiny = labels(0.0..1e-6, Unit::Number);
        assert_eq!(tiny, ["0", "2e-7", "4e-7", "6e-7", "8e-7", "1.0e-6"]);
        assert_eq!(labels(1.2e7..1.21e7, Unit::Number)[1], "1.202e7");
    }

    #[test]
    fn what_is_no_range_has_no_ticks() {
        for range in [1.0..1.0, 0.0..f64::INFINITY, f64::NAN..1.0, -1e308..1e308] {
            assert!(labels(range, Unit::Number).is_empty());
        }
    }

    proptest! {
        /// Steps grow by a factor of at most 2.5, so there are at least 2.8 of the 7 requested intervals.
        #[test]
        fn ticks_are_few_even_and_told_apart(
            start in -1.0..1.0_f64,
            width in 1e-3..1.0_f64,
            power in -200..200_i32,
            share in any::<bool>(),
        ) {
            let scale = 10_f64.powi(power);
            let unit = if share && power.abs() < 3 { Unit::Share } else { Unit::Number };
            let range = start * scale..(start + width) * scale;
            let ticks = ticks(&range, 7, unit);
            prop_assert!((2..=8).contains(&ticks.len()), "{ticks:?}");
            let room = 1e-6 * (range.end - range.start);
            for pair in ticks.windows(2) {
                prop_assert!(pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1, "{ticks:?}");
                let gap = ticks[1].0 - ticks[0].0;
                prop_assert!((pair[1].0 - pair[0].0 - gap).abs() < room, "{ticks:?}");
            }
            for (value, label) in &ticks {
                prop_assert!(range.start - room <= *value && *value <= range.end + room);
                let (number, factor) = match label.strip_suffix(" %") {
                    Some(number) => (number, 100.0),
                    None => (label.as_str(), 1.0),
                };
                let read: f64 = number.parse().unwrap();
                prop_assert!((read / factor - value).abs() < room, "{label} for {value}");
            }
        }
    }
}
