//! The gradient map in the terminal: one row for each source, one column for each target.

use adaplace_report::numbers::significant;
use adaplace_report::viridis;
use adaplace_search_space::ConnectionTable;
use anstyle::{Color, RgbColor, Style};

/// Shades from low to high, for terminals without colour and maps too wide for numbers.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// Draws a table with a row for each source and a column for each target, with numbers if they fit into `columns` characters. Colours are
/// escape sequences, for a stream that strips them if necessary.
pub(crate) fn draw(table: &ConnectionTable, columns: usize) -> String {
    let lowest = table.values().fold(f64::INFINITY, f64::min);
    let highest = table.values().fold(f64::NEG_INFINITY, f64::max);
    let position = |value: f64| viridis::position(value, lowest, highest);
    let cells = Cells::choose(table, columns);
    let mut text = format!("  source \\ target\n{:>5} ", "");
    for target in 0..table.hidden_states() {
        text.push_str(&cells.pad(&target.to_string()));
    }
    text.push('\n');
    for (source, row) in table.rows().enumerate() {
        text.push_str(&format!("{source:>5} "));
        for value in row {
            let Some(value) = *value else {
                text.push_str(&cells.pad(""));
                continue;
            };
            let style = style(position(value));
            let cell = cells.show(value, position(value));
            text.push_str(&format!("{style}{cell}{style:#}"));
        }
        text.push('\n');
    }
    text.push_str(&format!(
        "  lowest {}, highest {}\n",
        significant(lowest),
        significant(highest)
    ));
    text
}

/// The content of a cell and its width.
enum Cells {
    Numbers { width: usize },
    Shades { width: usize },
}

impl Cells {
    fn choose(table: &ConnectionTable, columns: usize) -> Self {
        const ROW_HEAD: usize = 6;
        let states = table.hidden_states();
        let longest = table.values().map(|value| significant(value).len());
        let width = 1 + longest.max().unwrap_or(1);
        if ROW_HEAD + width * states <= columns {
            Self::Numbers { width }
        } else {
            let digits = states.saturating_sub(1).to_string().len();
            Self::Shades { width: digits + 1 }
        }
    }

    fn pad(&self, text: &str) -> String {
        let (Self::Numbers { width } | Self::Shades { width }) = *self;
        format!("{text:>width$}")
    }

    fn show(&self, value: f64, position: f64) -> String {
        match *self {
            Self::Numbers { .. } => self.pad(&significant(value)),
            Self::Shades { width } => {
                let index = (position * SHADES.len() as f64) as usize;
                SHADES[index.min(SHADES.len() - 1)]
                    .to_string()
                    .repeat(width)
            }
        }
    }
}

fn style(position: f64) -> Style {
    let colour = viridis::colour(position);
    let [red, green, blue] = colour;
    let background = RgbColor(red, green, blue);
    let foreground = match viridis::is_light(colour) {
        true => RgbColor(0, 0, 0),
        false => RgbColor(255, 255, 255),
    };
    Style::new()
        .bg_color(Some(Color::Rgb(background)))
        .fg_color(Some(Color::Rgb(foreground)))
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::Connection;

    use super::*;

    fn plain<const N: usize>(values: [[f64; N]; N], columns: usize) -> String {
        let all = Connection::all(N as u16).into_iter();
        let table = ConnectionTable::new(N, all.zip(values.concat()));
        anstream::adapter::strip_str(&draw(&table, columns)).to_string()
    }

    #[test]
    fn numbers_where_they_fit() {
        let text = plain([[1.0, 20.0], [300.0, 0.5]], 80);
        let expected = "  source \\ target\n           0     1\n    0      1    20\n    1    300 0.500\n  lowest 0.500, highest 300\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn shades_where_they_do_not() {
        let text = plain([[0.0, 100.0], [50.0, 0.0]], 10);
        assert!(text.contains("    0   ██\n    1 ▒▒  \n"), "{text}");
    }

    #[test]
    fn connections_without_a_value_stay_empty() {
        let table = ConnectionTable::new(2, [(Connection::new(1, 0), 7.0)]);
        let text = anstream::adapter::strip_str(&draw(&table, 80)).to_string();
        assert!(text.contains("    0     \n    1  7  \n"), "{text}");
    }

    #[test]
    fn a_flat_map_has_the_lowest_colour() {
        assert!(!plain([[2.0]], 0).contains('█'));
    }
}
