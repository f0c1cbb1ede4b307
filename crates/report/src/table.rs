//! Tables of numbers and placements.

use adaplace_search_space::{Connection, Placement};

use crate::markup::escaped;

/// A table under a heading, narrow enough or scrolled by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words, to the left.
    Text(String),
    /// A number as it is to be read, to the right.
    Number(String),
    /// Connections in the colours of their kinds.
    Connections(Vec<Connection>),
}

impl Cell {
    /// The connections of a placement.
    #[must_use]
    pub fn placement(placement: &Placement) -> Self {
        Self::Connections(placement.connections().collect())
    }

    fn markup(&self) -> String {
        /// More connections than these are counted and not listed.
        const MOST: usize = 12;
        match self {
            Self::Text(text) => format!("<td>{}</td>", escaped(text)),
            Self::Number(number) => format!("<td class=\"n\">{}</td>", escaped(number)),
            Self::Connections(connections) => {
                let shown = match connections.len() {
                    0..=MOST => connections.len(),
                    _ => MOST - 1,
                };
                let mut text: Vec<String> = connections[..shown]
                    .iter()
                    .map(|connection| {
                        let kind = connection.kind().name();
                        format!(
                            "<b class=\"{kind}\">{}</b>",
                            escaped(&connection.to_string())
                        )
                    })
                    .collect();
                if shown < connections.len() {
                    text.push(format!(".. ({} in all)", connections.len()));
                }
                format!("<td class=\"c\">{}</td>", text.join(" "))
            }
        }
    }
}

impl Table {
    /// An empty table; a column stands as its cells do.
    #[must_use]
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            caption: caption.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn markup(&self) -> String {
        let mut markup = String::from("<div class=\"scroll\"><table>");
        if !self.caption.is_empty() {
            markup.push_str(&format!("<caption>{}</caption>", escaped(&self.caption)));
        }
        markup.push_str("<thead><tr>");
        for (index, column) in self.columns.iter().enumerate() {
            let is_number = |row: &Vec<Cell>| matches!(row.get(index), Some(Cell::Number(_)));
            let class = if self.rows.iter().any(is_number) {
                " class=\"n\""
            } else {
                ""
            };
            markup.push_str(&format!(
                "<th scope=\"col\"{class}>{}</th>",
                escaped(column)
            ));
        }
        markup.push_str("</tr></thead><tbody>\n");
        for row in &self.rows {
            let cells: String = row.iter().map(Cell::markup).collect();
            markup.push_str(&format!("<tr>{cells}</tr>\n"));
        }
        markup.push_str("</tbody></table></div>\n");
        markup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_aligned() {
        let mut table = Table::new("a & b", &["name", "value", "connections"]);
        table.row(vec![
            Cell::Text("<x>".to_owned()),
            Cell::Number("1".to_owned()),
            Cell::Connections(vec![Connection::new(9, 2), Connection::new(0, 1)]),
        ]);
        let markup = table.markup();
        for part in [
            "<caption>a &amp; b</caption>",
            "<th scope=\"col\">name</th><th scope=\"col\" class=\"n\">value</th>",
            "<td>&lt;x&gt;</td><td class=\"n\">1</td>",
            "<b class=\"recurrent\">9-&gt;2</b> <b class=\"parallel\">0-&gt;1</b>",
        ] {
            assert!(markup.contains(part), "no {part} in {markup}");
        }
    }

    #[test]
    fn more_than_a_dozen_connections_are_counted() {
        let connections = (0..20).map(|state| Connection::new(state, state + 1));
        let markup = Cell::Connections(connections.collect()).markup();
        assert_eq!(markup.matches("<b ").count(), 11);
        assert!(markup.contains(".. (20 in all)"));
    }
}
