//! Formatted numbers and tables.

pub(crate) use adaplace_report::numbers::{
    connections, duration, estimate, grouped, measured, p_value, percent, percent_estimate, signed,
    significant,
};

/// Rows of cells under a heading, in aligned columns. A column is aligned to the right if `right` says so.
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

#[cfg(test)]
mod tests {
    use super::*;

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
