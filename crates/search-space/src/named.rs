//! Search spaces that are known by name and need no file.

use crate::SpaceDescription;

/// The files in `search-spaces/` that are meaningful for every backbone.
const NAMED: [(&str, &str); 6] = [
    (
        "extended",
        include_str!("../../../search-spaces/extended.toml"),
    ),
    (
        "parallel",
        include_str!("../../../search-spaces/parallel.toml"),
    ),
    (
        "sequential",
        include_str!("../../../search-spaces/sequential.toml"),
    ),
    (
        "long-range",
        include_str!("../../../search-spaces/long-range.toml"),
    ),
    (
        "recurrent",
        include_str!("../../../search-spaces/recurrent.toml"),
    ),
    ("single", include_str!("../../../search-spaces/single.toml")),
];

impl SpaceDescription {
    /// The search space of this name: `extended`, `parallel`, `sequential`, `long-range`, `recurrent` or `single`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = NAMED.iter().find(|(known, _)| *known == name)?;
        Some(Self::from_toml(text).expect("every named space is valid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_a_space() {
        for (name, _) in NAMED {
            assert!(SpaceDescription::named(name).is_some(), "{name}");
        }
        assert_eq!(SpaceDescription::named("extended.toml"), None);
    }
}
