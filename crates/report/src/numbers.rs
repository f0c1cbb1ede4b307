//! Formatted numbers.

use adaplace_analysis::{Estimate, Measured};
use adaplace_search_space::Placement;

/// The unit of a number, which decides its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share of one, shown in percent.
    Share,
    /// A whole number.
    Count,
    /// Any number.
    Number,
}

impl Unit {
    /// The number with its unit: `85.33 %`, `19,208`, `0.431`.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Share => percent(value),
            Self::Count => count(value),
            Self::Number => significant(value),
        }
    }

    /// A number and its error: `85.33 ± 0.64 %`, `0.431 ± 0.006`.
    #[must_use]
    pub fn estimate(self, estimate: Option<Estimate>) -> String {
        match self {
            Self::Share => percent_estimate(estimate),
            Self::Count | Self::Number => self::estimate(estimate),
        }
    }

    /// The number in few characters, for a cell of a heatmap.
    pub(crate) fn short(self, value: f64) -> String {
        match self {
            Self::Share => format!("{:.1}", 100.0 * value),
            Self::Count => count(value),
            Self::Number => significant(value),
        }
    }
}

fn count(value: f64) -> String {
    let digits = grouped(value.abs().round() as u64);
    if value <= -0.5 {
        format!("-{digits}")
    } else {
        digits
    }
}

/// A number with three significant digits, or in full if it is whole.
#[must_use]
pub fn significant(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 {
        return format!("{value}");
    }
    match value.abs() {
        size if (1e-2..1e4).contains(&size) => {
            let digits = (2 - size.log10().floor() as i32).clamp(0, 4);
            format!("{value:.*}", digits as usize)
        }
        _ => format!("{value:.1e}"),
    }
}

/// A share in percent with two digits: `88.40 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Mean and standard error of shares in percent: `88.40 ± 0.31 %`.
#[must_use]
pub fn percent_estimate(estimate: Option<Estimate>) -> String {
    with_error(estimate, hundredths, " %")
}

/// Mean and standard error: `0.412 ± 0.010`.
#[must_use]
pub fn estimate(estimate: Option<Estimate>) -> String {
    with_error(estimate, |value| format!("{value:.3}"), "")
}

fn with_error(estimate: Option<Estimate>, shown: impl Fn(f64) -> String, unit: &str) -> String {
    let Some(Estimate {
        mean,
        standard_error,
    }) = estimate
    else {
        return "failed".to_owned();
    };
    let error = standard_error.map_or_else(String::new, |error| format!(" ± {}", shown(error)));
    format!("{}{error}{unit}", shown(mean))
}

/// A value with its interval, `0.85 [0.79, 0.89]`, each number formatted by `shown`.
#[must_use]
pub fn measured(measured: Measured, shown: impl Fn(f64) -> String) -> String {
    let Measured { value, low, high } = measured;
    match low.zip(high) {
        Some((low, high)) => format!("{} [{}, {}]", shown(value), shown(low), shown(high)),
        None => shown(value),
    }
}

/// A correlation with its sign: `+0.85`.
#[must_use]
pub fn signed(value: f64) -> String {
    format!("{value:+.2}")
}

/// A share in percent without the sign: `88.40`.
#[must_use]
pub fn hundredths(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// A difference of shares in percentage points, with its sign: `+1.20`.
#[must_use]
pub fn points(difference: f64) -> String {
    format!("{:+.2}", 100.0 * difference)
}

/// A p-value, `0.031`, or `-` if there is none.
#[must_use]
pub fn p_value(p_value: Option<f64>) -> String {
    p_value.map_or_else(|| "-".to_owned(), |p_value| format!("{p_value:.3}"))
}

/// Digits in groups of three: `19,208`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 h 02 min`, `3 min 05 s` or `12.3 s`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The largest number of connections that are listed.
const MOST_LISTED: usize = 12;

/// The connections to list and, if some are omitted, the total: `.. (20 in all)`.
pub(crate) fn listed<T>(connections: &[T]) -> (&[T], Option<String>) {
    match connections.len() {
        0..=MOST_LISTED => (connections, None),
        count => {
            let all = format!(".. ({count} in all)");
            (&connections[..MOST_LISTED - 1], Some(all))
        }
    }
}

/// The connections without their adapters, `0->4 9->2`, at most a dozen.
#[must_use]
pub fn connections(placement: &Placement) -> String {
    let connections = placement.connections();
    let all: Vec<String> = connections
        .map(|connection| connection.to_string())
        .collect();
    let (shown, more) = listed(&all);
    let words: Vec<&str> = shown.iter().chain(&more).map(String::as_str).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(185.0), "3 min 05 s");
        assert_eq!(duration(3720.0), "1 h 02 min");
        assert_eq!(percent(0.88412), "88.41 %");
    }

    #[test]
    fn units_decide_how_a_number_is_written() {
        assert_eq!(Unit::Share.show(0.85333), "85.33 %");
        assert_eq!(Unit::Share.short(0.85333), "85.3");
        assert_eq!(Unit::Count.show(19_207.9), "19,208");
        assert_eq!(Unit::Count.show(-1.0), "-1");
        assert_eq!(Unit::Number.show(0.43123), "0.431");
    }

    #[test]
    fn more_than_a_dozen_connections_are_counted() {
        let numbers: Vec<usize> = (0..20).collect();
        assert_eq!(listed(&numbers[..12]), (&numbers[..12], None));
        let more = Some(".. (20 in all)".to_owned());
        assert_eq!(listed(&numbers), (&numbers[..11], more));
    }
}
