//! Tables of numbers and placements.

use adaplace_search_space::{Connection, Placement};
use maud::{Markup, Render, html};

use crate::numbers::listed;

/// A table with a caption. A wide table scrolls on its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// The content of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Text, aligned to the left.
    Text(String),
    /// A formatted number, aligned to the right.
    Number(String),
    /// Connections in the colours of their kinds.
    Connections(Vec<Connection>),
}

impl Cell {
    /// The connections of a placement.
    pub(crate) fn placement(placement: &Placement) -> Self {
        Self::Connections(placement.connections().collect())
    }
}

impl Table {
    /// An empty table. The alignment of a column is that of its cells.
    pub(crate) fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            caption: caption.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    fn has_numbers(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.any(|cell| matches!(cell, Cell::Number(_)))
    }
}

impl Render for Cell {
    fn render(&self) -> Markup {
        match self {
            Self::Text(text) => html! { td { (text) } },
            Self::Number(number) => html! { td.n { (number) } },
            Self::Connections(connections) => {
                let (shown, more) = listed(connections);
                html! {
                    td.c {
                        @for connection in shown { b.(connection.kind()) { (connection) } " " }
                        @if let Some(more) = more { (more) }
                    }
                }
            }
        }
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            div.scroll {
                table {
                    @if !self.caption.is_empty() { caption { (self.caption) } }
                    thead {
                        tr {
                            @for (index, column) in self.columns.iter().enumerate() {
                                th scope="col" class=[self.has_numbers(index).then_some("n")] { (column) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            "\n"
                            tr { @for cell in row { (cell) } }
                        }
                    }
                }
            }
            "\n"
        }
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
        let markup = table.render().into_string();
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
        let markup = Cell::Connections(connections.collect())
            .render()
            .into_string();
        assert_eq!(markup.matches("<b ").count(), 11);
        assert!(markup.contains("</b> .. (20 in all)"), "{markup}");
    }
}
