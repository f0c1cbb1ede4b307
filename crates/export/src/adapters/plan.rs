//! The assignment of connections to the library's bottlenecks.

use std::collections::BTreeMap;

use adaplace_search_space::{AdapterSpec, Connection, ConnectionKind, Placement};

use super::family::{Family, Location};
use crate::{Barred, ExportError, Obstacle};

/// The place of an adapter, and what it reads: the state after its sublayer, or, if it is parallel, the state before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) layer: u16,
    pub(super) location: Location,
    pub(super) parallel: bool,
}

/// Adapters that one configuration of the library describes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bottlenecks {
    pub(super) attention: bool,
    pub(super) output: bool,
    pub(super) parallel: bool,
    pub(super) scale: f32,
    /// The rank of the adapter in each block.
    pub(super) ranks: BTreeMap<u16, u16>,
}

/// A placement in the library's terms.
pub(super) struct Plan {
    /// The adapters and their places, in canonical order of the connections.
    pub(super) sites: Vec<(Connection, AdapterSpec, Site)>,
    /// Whether the library must be told where the states are.
    pub(super) hooked: bool,
}

impl Plan {
    /// The plan of a placement in a family of backbones.
    ///
    /// # Errors
    /// [`ExportError::NotInAdapters`] with every connection that the library cannot represent.
    pub(super) fn new(placement: &Placement, family: &Family) -> Result<Self, ExportError> {
        let mut sites = Vec::with_capacity(placement.len());
        let mut barred = Vec::new();
        for (connection, adapter) in placement.iter() {
            match site(placement, connection) {
                Ok(site) => sites.push((connection, adapter, site)),
                Err(obstacle) => barred.push(Barred {
                    connection,
                    obstacle,
                }),
            }
        }
        if !barred.is_empty() {
            return Err(ExportError::NotInAdapters {
                connections: barred,
            });
        }
        let parallel = sites.iter().any(|(_, _, site)| site.parallel);
        let hooked = match &family.native {
            None => true,
            Some(native) => parallel && !native.parallel,
        };
        Ok(Self { sites, hooked })
    }

    /// The smallest number of configurations that describe all adapters. One configuration has one kind and one scale,
    /// and the same blocks and ranks after the attention and after the MLP.
    pub(super) fn bottlenecks(&self) -> Vec<Bottlenecks> {
        let mut groups: BTreeMap<(bool, u32, Location), BTreeMap<u16, u16>> = BTreeMap::new();
        for (_, adapter, site) in &self.sites {
            let key = (site.parallel, adapter.scale.to_bits(), site.location);
            let ranks = groups.entry(key).or_default();
            ranks.insert(site.layer, adapter.rank);
        }
        let mut all: Vec<Bottlenecks> = Vec::new();
        for ((parallel, scale, location), ranks) in groups {
            let group = Bottlenecks {
                attention: location == Location::Attention,
                output: location == Location::Output,
                parallel,
                scale: f32::from_bits(scale),
                ranks,
            };
            // The group after the attention comes right before its companion after the MLP.
            match all.last_mut() {
                Some(last) if group.output && last.becomes(&group) => last.output = true,
                _ => all.push(group),
            }
        }
        all
    }
}

impl Bottlenecks {
    /// Whether the two differ in nothing but the place in the block.
    fn becomes(&self, other: &Self) -> bool {
        !self.output
            && self.parallel == other.parallel
            && self.scale.to_bits() == other.scale.to_bits()
            && self.ranks == other.ranks
    }
}

/// The place of the adapter that adds to h_target: h_{2l+1} is after the attention of block l, h_{2l+2} after its MLP.
fn site(placement: &Placement, connection: Connection) -> Result<Site, Obstacle> {
    let Connection { source, target } = connection;
    let parallel = match connection.kind() {
        ConnectionKind::LongRange => return Err(Obstacle::LongRange),
        ConnectionKind::Recurrent => return Err(Obstacle::Recurrent),
        ConnectionKind::Parallel => true,
        ConnectionKind::Sequential => false,
    };
    let Some(sublayer) = target.checked_sub(1) else {
        return Err(Obstacle::Embedding);
    };
    let other = if parallel { target } else { sublayer };
    let other = Connection::new(other, target);
    if source != other.source && placement.contains(other) {
        return Err(Obstacle::Shared { other });
    }
    Ok(Site {
        layer: sublayer / 2,
        location: match sublayer % 2 {
            0 => Location::Attention,
            _ => Location::Output,
        },
        parallel,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(connections: &[(u16, u16, u16, f32)]) -> Placement {
        let adapters = connections.iter().map(|&(source, target, rank, scale)| {
            let adapter = AdapterSpec::new(rank, scale).unwrap();
            (Connection::new(source, target), adapter)
        });
        adapters.collect()
    }

    fn plan(model_type: &str, connections: &[(u16, u16, u16, f32)]) -> Plan {
        let family = Family::of(model_type).unwrap();
        Plan::new(&placement(connections), family).unwrap()
    }

    #[test]
    fn odd_states_stand_behind_attention_and_even_ones_behind_the_mlp() {
        let plan = plan("vit", &[(1, 1, 2, 1.0), (1, 2, 2, 1.0), (7, 7, 2, 1.0)]);
        let sites: Vec<Site> = plan.sites.iter().map(|&(_, _, site)| site).collect();
        let site = |layer, location, parallel| Site {
            layer,
            location,
            parallel,
        };
        assert_eq!(
            sites,
            [
                site(0, Location::Attention, false),
                site(0, Location::Output, true),
                site(3, Location::Attention, false),
            ]
        );
    }

    #[test]
    fn adapters_alike_in_all_blocks_are_one_configuration() {
        let everywhere: Vec<_> = (1..=6).map(|n| (n, n, 8, 1.0)).collect();
        let [one] = &plan("bert", &everywhere).bottlenecks()[..] else {
            panic!("more than one");
        };
        assert!(one.attention && one.output && !one.parallel);
        assert_eq!(one.ranks, BTreeMap::from([(0, 8), (1, 8), (2, 8)]));
    }

    #[test]
    fn kinds_scales_and_uneven_blocks_need_configurations_of_their_own() {
        let all = plan(
            "vit",
            &[
                (1, 1, 8, 1.0),
                (2, 2, 8, 1.0),
                (3, 3, 4, 1.0),
                (3, 4, 4, 1.0),
                (5, 5, 8, 0.5),
                (5, 6, 4, 1.0),
            ],
        )
        .bottlenecks();
        let ranks: Vec<_> = all
            .iter()
            .map(|one| {
                let ranks: Vec<_> = one.ranks.clone().into_iter().collect();
                (one.attention, one.output, one.parallel, one.scale, ranks)
            })
            .collect();
        assert_eq!(
            ranks,
            [
                (true, false, false, 0.5, vec![(2, 8)]),
                (true, false, false, 1.0, vec![(0, 8), (1, 4)]),
                (false, true, false, 1.0, vec![(0, 8)]),
                (false, true, true, 1.0, vec![(1, 4), (2, 4)]),
            ]
        );
    }

    #[test]
    fn an_interface_is_asked_for_where_the_library_alone_computes_something_else() {
        for (model_type, sequential, parallel) in [
            ("bert", false, true),
            ("roberta", false, true),
            ("xlm-roberta", false, true),
            ("electra", false, true),
            ("distilbert", false, true),
            ("vit", false, false),
            ("deit", true, true),
            ("dinov2", true, true),
            ("dinov2_with_registers", true, true),
            ("deberta-v2", true, true),
            ("llama", true, true),
        ] {
            assert_eq!(plan(model_type, &[(1, 1, 2, 1.0)]).hooked, sequential);
            assert_eq!(plan(model_type, &[(0, 1, 2, 1.0)]).hooked, parallel);
        }
    }

    #[test]
    fn every_connection_that_cannot_be_is_named() {
        let placement = placement(&[
            (0, 0, 2, 1.0),
            (0, 1, 2, 1.0),
            (0, 2, 2, 1.0),
            (1, 1, 2, 1.0),
            (2, 2, 2, 1.0),
            (4, 3, 2, 1.0),
        ]);
        let Err(ExportError::NotInAdapters { connections }) =
            Plan::new(&placement, Family::of("vit").unwrap())
        else {
            panic!("it was planned");
        };
        let barred = |source, target, obstacle| Barred {
            connection: Connection::new(source, target),
            obstacle,
        };
        let other = |source, target| Obstacle::Shared {
            other: Connection::new(source, target),
        };
        assert_eq!(
            connections,
            [
                barred(0, 0, Obstacle::Embedding),
                barred(0, 1, other(1, 1)),
                barred(0, 2, Obstacle::LongRange),
                barred(1, 1, other(0, 1)),
                barred(4, 3, Obstacle::Recurrent),
            ]
        );
    }
}
