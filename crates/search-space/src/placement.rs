//! Placements: sets of connections with their adapters.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{AdapterSpec, Connection, PlacementHash, SpaceError, decimal};

/// A set of connections, each with its adapter; a connection carries at most one adapter.
///
/// The order of insertion is irrelevant: equality, order, hash and the serialised list (of
/// `{ source, target, rank, scale }`) all follow the ascending order of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placement(BTreeMap<Connection, AdapterSpec>);

impl Placement {
    /// The placement without adapters, which is the linear probe.
    pub fn new() -> Self {
        Placement::default()
    }

    /// The connections with their adapters, in ascending order of connections.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Connection, AdapterSpec)> + '_ {
        self.0
            .iter()
            .map(|(&connection, &adapter)| (connection, adapter))
    }

    /// The connections in ascending order.
    pub fn connections(&self) -> impl DoubleEndedIterator<Item = Connection> + Clone + '_ {
        self.0.keys().copied()
    }

    /// The names and shapes of the trained tensors of the adapters at this width, in canonical order: for each connection
    /// `{source}-{target}.down.weight` (r, width), `.down.bias` (r), `.up.weight` (width, r) and `.up.bias` (width).
    ///
    /// Files of adapters, exports and gradients call them so.
    pub fn tensors(&self, width: usize) -> impl Iterator<Item = (String, Vec<usize>)> + '_ {
        self.iter().flat_map(move |(connection, adapter)| {
            let Connection { source, target } = connection;
            let rank = usize::from(adapter.rank);
            [
                ("down.weight", vec![rank, width]),
                ("down.bias", vec![rank]),
                ("up.weight", vec![width, rank]),
                ("up.bias", vec![width]),
            ]
            .map(|(part, shape)| (format!("{source}-{target}.{part}"), shape))
        })
    }

    /// The adapter on `connection`, if it carries one.
    pub fn get(&self, connection: Connection) -> Option<AdapterSpec> {
        self.0.get(&connection).copied()
    }

    /// Whether `connection` carries an adapter.
    pub fn contains(&self, connection: Connection) -> bool {
        self.0.contains_key(&connection)
    }

    /// The number of adapters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the placement has no adapter.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mean [distance](Connection::distance) between two of its connections, in hidden states; `None` with fewer
    /// than two.
    pub fn mean_distance(&self) -> Option<f64> {
        let pairs = self.len() * self.len().saturating_sub(1) / 2;
        let of_pairs = self.connections().enumerate().flat_map(|(index, one)| {
            let before = self.connections().take(index);
            before.map(move |other| u64::from(one.distance(other)))
        });
        (pairs > 0).then(|| of_pairs.sum::<u64>() as f64 / pairs as f64)
    }

    /// This placement with `adapter` on `connection`, replacing an adapter that is already there.
    #[must_use]
    pub fn with(&self, connection: Connection, adapter: AdapterSpec) -> Placement {
        let mut adapters = self.0.clone();
        adapters.insert(connection, adapter);
        Placement(adapters)
    }

    /// This placement without the adapter on `connection`.
    #[must_use]
    pub fn without(&self, connection: Connection) -> Placement {
        let mut adapters = self.0.clone();
        adapters.remove(&connection);
        Placement(adapters)
    }

    /// Checks that every connection is within a chain of `hidden_states`.
    ///
    /// # Errors
    /// [`SpaceError::ConnectionOutsideChain`].
    pub fn check_range(&self, hidden_states: u16) -> Result<(), SpaceError> {
        let outside = |one: &Connection| one.source.max(one.target) >= hidden_states;
        match self.connections().find(outside) {
            Some(connection) => Err(SpaceError::ConnectionOutsideChain {
                connection,
                hidden_states,
            }),
            None => Ok(()),
        }
    }

    /// The number of forward passes that the placement needs: 2 with a recurrent connection, else 1.
    pub fn passes(&self) -> u8 {
        if self.earliest_recurrent_target().is_some() {
            2
        } else {
            1
        }
    }

    /// The earliest hidden state to which an adapter adds. Everything before it equals the frozen backbone.
    pub fn earliest_target(&self) -> Option<u16> {
        self.connections().map(|connection| connection.target).min()
    }

    /// The earliest target of a recurrent connection, at which the second pass starts.
    pub fn earliest_recurrent_target(&self) -> Option<u16> {
        self.recurrent().map(|connection| connection.target).min()
    }

    /// The name of this placement, the same on every machine and in every version.
    pub fn hash(&self) -> PlacementHash {
        let mut bytes = b"adaplace.placement/1".to_vec();
        for (connection, adapter) in self.iter() {
            bytes.extend(connection.source.to_le_bytes());
            bytes.extend(connection.target.to_le_bytes());
            bytes.extend(adapter.rank.to_le_bytes());
            bytes.extend(adapter.scale.to_bits().to_le_bytes());
        }
        PlacementHash::of(&bytes)
    }

    fn recurrent(&self) -> impl Iterator<Item = Connection> + '_ {
        self.connections()
            .filter(|connection| connection.is_recurrent())
    }

    /// The placement of these adapters. Unlike `collect`, this refuses a connection given twice.
    ///
    /// # Errors
    /// [`SpaceError::DuplicateConnection`].
    pub fn from_distinct(
        adapters: impl IntoIterator<Item = (Connection, AdapterSpec)>,
    ) -> Result<Placement, SpaceError> {
        let mut placement = BTreeMap::new();
        for (connection, adapter) in adapters {
            if placement.insert(connection, adapter).is_some() {
                return Err(SpaceError::DuplicateConnection { connection });
            }
        }
        Ok(Placement(placement))
    }
}

impl FromIterator<(Connection, AdapterSpec)> for Placement {
    fn from_iter<I: IntoIterator<Item = (Connection, AdapterSpec)>>(adapters: I) -> Self {
        Placement(adapters.into_iter().collect())
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("no adapter");
        }
        for (index, (connection, adapter)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{connection} (rank {})", adapter.rank)?;
        }
        Ok(())
    }
}

/// One adapter as written to a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    source: u16,
    target: u16,
    rank: u16,
    #[serde(with = "decimal")]
    scale: f32,
}

impl Serialize for Placement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|(connection, adapter)| Entry {
            source: connection.source,
            target: connection.target,
            rank: adapter.rank,
            scale: adapter.scale,
        }))
    }
}

impl<'de> Deserialize<'de> for Placement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<Entry>::deserialize(deserializer)?;
        let adapters = entries
            .into_iter()
            .map(|entry| {
                let adapter = AdapterSpec::new(entry.rank, entry.scale)?;
                Ok((Connection::new(entry.source, entry.target), adapter))
            })
            .collect::<Result<Vec<_>, SpaceError>>()
            .map_err(de::Error::custom)?;
        Placement::from_distinct(adapters).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(rank: u16, scale: f32) -> AdapterSpec {
        AdapterSpec::new(rank, scale).unwrap()
    }

    fn example() -> Placement {
        Placement::new()
            .with(Connection::new(9, 2), adapter(8, 1.0))
            .with(Connection::new(3, 4), adapter(16, 0.5))
    }

    #[test]
    fn passes_and_borders_follow_the_recurrent_connections() {
        let placement = example().with(Connection::new(5, 3), adapter(8, 1.0));
        assert_eq!(placement.passes(), 2);
        assert_eq!(placement.earliest_target(), Some(2));
        assert_eq!(placement.earliest_recurrent_target(), Some(2));
        let forward = Placement::new().with(Connection::new(3, 4), adapter(8, 1.0));
        assert_eq!(forward.passes(), 1);
        assert_eq!(forward.earliest_target(), Some(4));
        assert_eq!(forward.earliest_recurrent_target(), None);
    }

    /// Distances 2 from 0->0 to 1->1, 2 from there to 2->2 and 4 between the ends.
    #[test]
    fn the_mean_distance_is_that_of_all_pairs() {
        let on_the_diagonal = |states: &[u16]| -> Placement {
            let connections = states.iter().map(|&state| Connection::new(state, state));
            connections.map(|one| (one, adapter(1, 1.0))).collect()
        };
        let found = on_the_diagonal(&[0, 1, 2]).mean_distance().unwrap();
        assert!((found - 8.0 / 3.0).abs() < 1e-12);
        assert_eq!(on_the_diagonal(&[1]).mean_distance(), None);
        assert_eq!(Placement::new().mean_distance(), None);
    }

    // python3 -c "import hashlib, struct; print(hashlib.sha256(b'adaplace.placement/1'
    //   + struct.pack('<HHHf', 3, 4, 16, 0.5) + struct.pack('<HHHf', 9, 2, 8, 1.0)).hexdigest()[:16])"
    #[test]
    fn hash_is_that_of_the_documented_bytes() {
        assert_eq!(example().hash().to_string(), "9da5f4b26fbc61ea");
    }

    #[test]
    fn hash_tells_every_field_apart() {
        let base = Placement::new().with(Connection::new(1, 2), adapter(3, 1.0));
        let others = [
            Placement::new(),
            Placement::new().with(Connection::new(2, 1), adapter(3, 1.0)),
            Placement::new().with(Connection::new(1, 2), adapter(4, 1.0)),
            Placement::new().with(Connection::new(1, 2), adapter(3, -1.0)),
            base.with(Connection::new(1, 3), adapter(3, 1.0)),
        ];
        for other in others {
            assert_ne!(base.hash(), other.hash(), "{other}");
        }
    }

    #[test]
    fn hash_text_reads_back() {
        let hash = example().hash();
        assert_eq!(hash.to_string().parse::<PlacementHash>().unwrap(), hash);
        for wrong in [
            "",
            "abc",
            "+123456789abcdef",
            "0123456789ABCDEF",
            "0123456789abcdef0",
        ] {
            assert!(wrong.parse::<PlacementHash>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn with_and_without_are_opposites() {
        let connection = Connection::new(1, 1);
        assert_eq!(
            example()
                .with(connection, adapter(8, 1.0))
                .without(connection),
            example()
        );
    }
}
