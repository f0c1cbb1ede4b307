//! Connections `i -> j` between two hidden states.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// A connection that reads hidden state `h_source` and adds the adapter's output to `h_target`.
///
/// Connections are ordered by source, then by target, and written as `9->2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The index `i` of the hidden state that is read.
    pub source: u16,
    /// The index `j` of the hidden state to which the output is added.
    pub target: u16,
}

/// The four kinds of connection of arXiv 2410.15858, distinguished by the position of the target.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionKind {
    /// `j = i`: the adapter follows the sublayer.
    Sequential,
    /// `j = i + 1`: the adapter runs in parallel to one sublayer.
    Parallel,
    /// `j > i + 1`: the adapter skips several sublayers.
    LongRange,
    /// `j < i`: the adapter feeds back, which requires a second pass.
    Recurrent,
}

impl ConnectionKind {
    /// All kinds, in their order.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name used in files, for example `long-range`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Connection {
    /// The connection `source -> target`.
    pub fn new(source: u16, target: u16) -> Self {
        Connection { source, target }
    }

    /// All connections between `hidden_states` hidden states, in order.
    pub fn all(hidden_states: u16) -> Vec<Self> {
        let sources = 0..hidden_states;
        let of = |source| (0..hidden_states).map(move |target| Connection { source, target });
        sources.flat_map(of).collect()
    }

    /// The kind of this connection.
    pub fn kind(self) -> ConnectionKind {
        if self.target < self.source {
            ConnectionKind::Recurrent
        } else {
            match self.span() {
                0 => ConnectionKind::Sequential,
                1 => ConnectionKind::Parallel,
                _ => ConnectionKind::LongRange,
            }
        }
    }

    /// Whether the target comes before the source.
    pub fn is_recurrent(self) -> bool {
        self.target < self.source
    }

    /// The span `|target - source|`, in hidden states.
    pub fn span(self) -> u16 {
        self.target.abs_diff(self.source)
    }

    /// The Manhattan distance `|source - other.source| + |target - other.target|`, in hidden states.
    pub fn distance(self, other: Connection) -> u32 {
        u32::from(self.source.abs_diff(other.source))
            + u32::from(self.target.abs_diff(other.target))
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}->{}", self.source, self.target)
    }
}

/// The text is not a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a connection; write it as `SOURCE->TARGET`, for example `9->2`")]
pub struct NotAConnection {
    /// The rejected text.
    pub text: String,
}

impl FromStr for Connection {
    type Err = NotAConnection;

    fn from_str(text: &str) -> Result<Self, NotAConnection> {
        let not_a_connection = || NotAConnection {
            text: text.to_owned(),
        };
        let (source, target) = text.split_once("->").ok_or_else(not_a_connection)?;
        Ok(Connection {
            source: source.trim().parse().map_err(|_| not_a_connection())?,
            target: target.trim().parse().map_err(|_| not_a_connection())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_position_of_the_target() {
        assert_eq!(Connection::new(3, 3).kind(), ConnectionKind::Sequential);
        assert_eq!(Connection::new(3, 4).kind(), ConnectionKind::Parallel);
        assert_eq!(Connection::new(3, 5).kind(), ConnectionKind::LongRange);
        assert_eq!(Connection::new(3, 2).kind(), ConnectionKind::Recurrent);
        assert_eq!(
            Connection::new(0, u16::MAX).kind(),
            ConnectionKind::LongRange
        );
    }

    #[test]
    fn text_form_reads_back() {
        let connection = Connection::new(9, 2);
        assert_eq!(connection.to_string(), "9->2");
        assert_eq!("9->2".parse::<Connection>().unwrap(), connection);
        for wrong in ["", "9", "9-2", "->2", "9->", "9->-2", "9->65536", "9->2->3"] {
            assert!(wrong.parse::<Connection>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn span_and_distance_are_absolute() {
        assert_eq!(Connection::new(9, 2).span(), 7);
        assert_eq!(Connection::new(9, 2).distance(Connection::new(7, 5)), 5);
        assert_eq!(
            Connection::new(0, 0).distance(Connection::new(u16::MAX, u16::MAX)),
            131_070
        );
    }
}
