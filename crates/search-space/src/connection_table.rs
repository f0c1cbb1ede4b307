//! A number for each of some connections.

use serde::{Deserialize, Serialize};

use crate::Connection;

/// A number for each of some connections between the hidden states of a chain.
///
/// In files it is a square table, where rows are sources and columns targets, with `null` for every other connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<Option<f64>>>", into = "Vec<Vec<Option<f64>>>")]
pub struct ConnectionTable {
    hidden_states: usize,
    /// The numbers by source, then target.
    values: Vec<Option<f64>>,
}

/// The table in a file is not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a table of connections has {rows} rows, but a row of {columns} values")]
pub struct NotSquare {
    /// The number of rows.
    pub rows: usize,
    /// The number of values in the first row of another length.
    pub columns: usize,
}

impl ConnectionTable {
    /// A table with these numbers.
    ///
    /// # Panics
    /// If a connection is outside the chain.
    pub fn new(hidden_states: usize, values: impl IntoIterator<Item = (Connection, f64)>) -> Self {
        let mut table = Self {
            hidden_states,
            values: vec![None; hidden_states.pow(2)],
        };
        for (connection, value) in values {
            let place = table.place(connection);
            let place = place.expect("the connection is between hidden states of the chain");
            table.values[place] = Some(value);
        }
        table
    }

    /// The number of hidden states of the chain.
    pub fn hidden_states(&self) -> usize {
        self.hidden_states
    }

    /// The number of a connection. `None` if the table does not have it.
    pub fn get(&self, connection: Connection) -> Option<f64> {
        self.values[self.place(connection)?]
    }

    /// The connections of the table with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Connection, f64)> {
        let states = self.hidden_states;
        let each = self.values.iter().enumerate();
        each.filter_map(move |(place, value)| {
            let [source, target] = [place / states, place % states].map(|state| state as u16);
            Some((Connection { source, target }, (*value)?))
        })
    }

    /// The numbers, in the order of the connections.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.values.iter().copied().flatten()
    }

    /// The rows, one for each source.
    pub fn rows(&self) -> impl Iterator<Item = &[Option<f64>]> {
        self.values.chunks(self.hidden_states.max(1))
    }

    fn place(&self, connection: Connection) -> Option<usize> {
        let Connection { source, target } = connection;
        let [source, target] = [source, target].map(usize::from);
        let inside = source < self.hidden_states && target < self.hidden_states;
        inside.then(|| source * self.hidden_states + target)
    }
}

impl TryFrom<Vec<Vec<Option<f64>>>> for ConnectionTable {
    type Error = NotSquare;

    fn try_from(rows: Vec<Vec<Option<f64>>>) -> Result<Self, NotSquare> {
        match rows.iter().find(|row| row.len() != rows.len()) {
            Some(other) => Err(NotSquare {
                rows: rows.len(),
                columns: other.len(),
            }),
            None => Ok(Self {
                hidden_states: rows.len(),
                values: rows.concat(),
            }),
        }
    }
}

impl From<ConnectionTable> for Vec<Vec<Option<f64>>> {
    fn from(table: ConnectionTable) -> Self {
        table.rows().map(<[_]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_gaps_is_written_with_nulls_and_reads_back() {
        let values = [(Connection::new(1, 0), 0.5), (Connection::new(0, 0), -2.0)];
        let table = ConnectionTable::new(2, values);
        assert_eq!(table.get(Connection::new(1, 0)), Some(0.5));
        assert_eq!(table.get(Connection::new(0, 1)), None);
        assert_eq!(table.get(Connection::new(0, 2)), None);
        assert_eq!(table.values().collect::<Vec<_>>(), [-2.0, 0.5]);
        assert_eq!(table.iter().nth(1), Some(values[0]));
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(text, "[[-2.0,null],[0.5,null]]");
        assert_eq!(
            serde_json::from_str::<ConnectionTable>(&text).unwrap(),
            table
        );
    }

    #[test]
    fn a_table_that_is_not_square_is_refused() {
        let error = serde_json::from_str::<ConnectionTable>("[[1.0, 2.0], [3.0]]").unwrap_err();
        assert!(
            error.to_string().contains("2 rows, but a row of 1 values"),
            "{error}"
        );
        let empty: ConnectionTable = serde_json::from_str("[]").unwrap();
        assert_eq!(empty.rows().count(), 0);
    }
}
