use std::fmt;

use adaplace_analysis::ranks;
use adaplace_search_space::{Connection, ConnectionTable};
use serde::{Deserialize, Serialize};

use crate::{ScoreError, Statistic};

/// The statistics that define the connection score: one, or several whose ranks are averaged.
///
/// In files a single statistic is its name, and several are a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Named", into = "Named")]
pub struct Statistics(Vec<Statistic>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Named {
    One(Statistic),
    Several(Vec<Statistic>),
}

impl Default for Statistics {
    /// [`Statistics::DEFAULT`].
    fn default() -> Self {
        Self(vec![Statistic::Rank, Statistic::ValidationAlignment])
    }
}

impl Statistics {
    /// The default statistics, which the audits under `results/audit` support, separated by commas.
    pub const DEFAULT: &str = "rank,validation-alignment";

    /// These statistics, in their order.
    ///
    /// # Errors
    /// [`ScoreError::Statistics`] if there are none, or if one occurs twice.
    pub fn new(statistics: Vec<Statistic>) -> Result<Self, ScoreError> {
        let mut distinct = statistics.clone();
        distinct.sort();
        distinct.dedup();
        if statistics.is_empty() || distinct.len() < statistics.len() {
            return Err(ScoreError::Statistics {
                statistics: Self(statistics).to_string(),
            });
        }
        Ok(Self(statistics))
    }

    /// The statistics, at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[Statistic] {
        &self.0
    }

    /// The score of every connection, from a table of each statistic in their order. All tables have the same
    /// connections.
    ///
    /// A single statistic is used as it is, except that negative values count as 0. Several are combined by the mean of
    /// their ranks among these connections, from 0 to 1.
    #[must_use]
    pub fn connection_scores(&self, tables: &[&ConnectionTable]) -> ConnectionTable {
        let states = tables.first().map_or(0, |table| table.hidden_states());
        if let [table] = tables {
            let floored = table.iter().map(|(one, value)| (one, value.max(0.0)));
            return ConnectionTable::new(states, floored);
        }
        let connections = tables.iter().take(1).flat_map(|table| table.iter());
        let connections: Vec<Connection> = connections.map(|(connection, _)| connection).collect();
        let mut means = vec![0.0; connections.len()];
        for table in tables {
            let values: Vec<f64> = table.values().collect();
            for (mean, rank) in means.iter_mut().zip(ranks(&values)) {
                *mean += rank / (connections.len() * tables.len()) as f64;
            }
        }
        ConnectionTable::new(states, connections.into_iter().zip(means))
    }

    /// Whether one of the statistics compares the gradients of different examples.
    #[must_use]
    pub fn are_cross_fitted(&self) -> bool {
        self.0.iter().any(|statistic| statistic.is_cross_fitted())
    }
}

impl From<Statistic> for Statistics {
    fn from(statistic: Statistic) -> Self {
        Self(vec![statistic])
    }
}

impl TryFrom<Named> for Statistics {
    type Error = ScoreError;

    fn try_from(named: Named) -> Result<Self, ScoreError> {
        match named {
            Named::One(statistic) => Ok(statistic.into()),
            Named::Several(statistics) => Self::new(statistics),
        }
    }
}

impl From<Statistics> for Named {
    fn from(Statistics(statistics): Statistics) -> Self {
        match statistics[..] {
            [one] => Self::One(one),
            _ => Self::Several(statistics),
        }
    }
}

impl fmt::Display for Statistics {
    /// Writes the names of the statistics, joined by `+`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, statistic) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" + ")?;
            }
            write!(formatter, "{statistic}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_its_name_says() {
        let named = Statistics::DEFAULT.split(',');
        let named: Vec<Statistic> = named.map(|name| name.parse().unwrap()).collect();
        assert_eq!(Statistics::default().as_slice(), named);
    }

    #[test]
    fn one_is_a_name_and_several_are_a_list() {
        let read = |text: &str| serde_json::from_str::<Statistics>(text);
        for text in [r#""rank""#, r#"["effective-rank","validation-alignment"]"#] {
            let statistics = read(text).unwrap();
            assert_eq!(serde_json::to_string(&statistics).unwrap(), text);
        }
        let one: Statistics = Statistic::Rank.into();
        assert_eq!(read(r#"["rank"]"#).unwrap(), one);
        assert!(read(r#"["rank", "alignment", "rank"]"#).is_err());
        assert!(read("[]").is_err());
        let two = Statistics::new(vec![Statistic::Rank, Statistic::Agreement]).unwrap();
        assert_eq!(two.to_string(), "rank + agreement");
        assert!(two.are_cross_fitted() && !one.are_cross_fitted());
    }
}
