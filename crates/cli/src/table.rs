//! Numbers and tables as people read them.

use adaplace_search_space::Placement;
use adaplace_study::Estimate;

/// Rows of cells under a heading, columns aligned: the first to the left, the rest as `right` says.
pub(crate) fn aligned(heading: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&heading).chain(rows).collect();
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| {
            let widths = lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(&widths)
            .zip(right)
            .map(|((cell, &width), &right)| {
                if right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
        let cells: Vec<String> = cells.collect();
        text.push_str(format!("  {}", cells.join("  ")).trim_end());
        text.push('\n');
    }
    text
}

/// A share as per cent with two digits: `88.40 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Mean and standard error of shares as per cent: `88.40 ± 0.31 %`.
pub(crate) fn percent_estimate(estimate: Option<Estimate>) -> String {
    match estimate {
        None => "failed".to_owned(),
        Some(Estimate {
            mean,
            standard_error: None,
        }) => percent(mean),
        Some(Estimate {
            mean,
            standard_error: Some(error),
        }) => format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * error),
    }
}

/// Mean and standard error: `0.412 ± 0.010`.
pub(crate) fn estimate(estimate: Option<Estimate>) -> String {
    match estimate {
        None => "failed".to_owned(),
        Some(Estimate {
            mean,
            standard_error: None,
        }) => format!("{mean:.3}"),
        Some(Estimate {
            mean,
            standard_error: Some(error),
        }) => format!("{mean:.3} ± {error:.3}"),
    }
}

/// Digits in groups of three: `19,208`.
pub(crate) fn grouped(number: u64) -> String {
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
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The connections alone, `0->4 9->2`, up to a dozen of them.
pub(crate) fn connections(placement: &Placement) -> String {
    const MOST: usize = 12;
    let all: Vec<String> = placement
        .connections()
        .map(|connection| connection.to_string())
        .collect();
    match all.len() {
        0..=MOST => all.join(" "),
        count => format!("{} .. ({count} in all)", all[..MOST - 1].join(" ")),
    }
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
    fn columns_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["bcd".to_owned(), "20".to_owned()],
        ];
        assert_eq!(
            aligned(&["x", "y"], &rows, &[false, true]),
            "  x     y\n  a     1\n  bcd  20\n"
        );
    }
}
