//! The hash that names a placement.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::SpaceError;

/// The first eight bytes of the SHA-256 of a placement's canonical bytes, displayed as 16 hexadecimal digits.
///
/// The canonical bytes are the ASCII text `adaplace.placement/1` followed, for each connection in ascending order of
/// (source, target), by ten bytes, all little-endian: source (2), target (2), rank (2), IEEE 754 bits of the scale (4).
/// They depend neither on the order of insertion nor on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementHash(u64);

impl PlacementHash {
    /// The hash of canonical bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let leading: [u8; 8] = std::array::from_fn(|index| digest[index]);
        PlacementHash(u64::from_be_bytes(leading))
    }
}

impl fmt::Display for PlacementHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl FromStr for PlacementHash {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Self, SpaceError> {
        let lower_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let value = u64::from_str_radix(text, 16).ok();
        let well_formed = text.len() == 16 && text.bytes().all(lower_hexadecimal);
        value
            .filter(|_| well_formed)
            .map(PlacementHash)
            .ok_or_else(|| SpaceError::NotAHash {
                text: text.to_owned(),
            })
    }
}

impl Serialize for PlacementHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlacementHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
