//! Spaces whose size, budget and distribution are known in closed form.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use adaplace_search_space::{
    AdapterSpec, Connection, ConnectionKind, Placement, SearchSpace, SpaceDescription, SpaceError,
};
use common::{description, shape, space};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn shipped(name: &str) -> SpaceDescription {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../search-spaces");
    SpaceDescription::read(&folder.join(name)).unwrap()
}

fn binomial(n: u128, k: u128) -> u128 {
    (0..k).fold(1, |product, i| product * (n - i) / (i + 1))
}

#[test]
fn shipped_spaces_have_the_connections_of_their_kind() {
    // 13 hidden states: 13 * 12 / 2 = 78 pairs in each direction, of which 12 are neighbours.
    for (name, connections) in [
        ("extended.toml", 169),
        ("sequential.toml", 13),
        ("parallel.toml", 12),
        ("long-range.toml", 66),
        ("recurrent.toml", 78),
    ] {
        let space = space(13, &shipped(name));
        assert_eq!(space.connections().len(), connections, "{name}");
        assert!(space.connections().is_sorted());
        assert_eq!(
            space.count(),
            Some(binomial(connections as u128, 3)),
            "{name}"
        );
        assert_eq!(space.ranks(), [8]);
        let kinds = &space.description().connections.kinds;
        assert!(
            space
                .connections()
                .iter()
                .all(|connection| kinds.contains(&connection.kind()))
        );
    }
}

#[test]
fn pairs_of_thirteen_states_are_counted_and_enumerated() {
    let space = space(13, &description(2, &[8]));
    assert_eq!(space.count(), Some(14_196));
    assert_eq!(space.placements().count(), 14_196);
}

#[test]
fn sizes_and_ranks_multiply() {
    let mut description = description(2, &[2, 4, 8]);
    description.budget.min_adapters = Some(1);
    // 9 connections: 9 * 3 singles and C(9, 2) * 3^2 pairs.
    assert_eq!(space(3, &description).count(), Some(27 + 324));
    description.budget.adapters = 20;
    description.budget.min_adapters = Some(9);
    let all = space(3, &description);
    assert_eq!(all.sizes(), [9]);
    assert_eq!(all.count(), Some(3_u128.pow(9)));
}

#[test]
fn cost_of_a_recurrent_placement_by_hand() {
    // The width is 4, with 3 tokens and sublayers of 100, 110 and 120 FLOPs.
    let space = space(4, &description(2, &[1, 2]));
    let placement: Placement = [(3, 1, 2), (0, 0, 1)]
        .into_iter()
        .map(|(source, target, rank)| {
            (
                Connection::new(source, target),
                AdapterSpec::new(rank, 1.0).unwrap(),
            )
        })
        .collect();
    let cost = space.cost(&placement);
    assert_eq!(cost.adapters, 2);
    // 2*2*4 + 2 + 4 = 22 and 2*1*4 + 1 + 4 = 13
    assert_eq!(cost.parameters, 35);
    // (4*2*4 + 4*1*4) * 3 = 144, and the second pass from state 1 repeats 110 + 120
    assert_eq!(cost.extra_flops, (144.0 + 230.0) / 330.0);
    let specs: Vec<AdapterSpec> = placement.iter().map(|(_, adapter)| adapter).collect();
    assert_eq!(
        specs
            .iter()
            .map(|adapter| adapter.parameters(4))
            .sum::<u64>(),
        cost.parameters
    );
    assert_eq!(
        specs.iter().map(|adapter| adapter.flops(4, 3)).sum::<u64>(),
        144
    );
}

#[test]
fn samples_are_uniform_under_budgets_and_several_ranks() {
    let mut description = description(3, &[1, 2, 5]);
    description.budget.min_adapters = Some(2);
    description.budget.parameters = Some(70);
    description.budget.extra_flops = Some(1.6);
    let space = space(3, &description);
    let mut drawn: BTreeMap<Placement, u32> =
        space.placements().map(|placement| (placement, 0)).collect();
    let unlimited = 36 * 9 + 84 * 27;
    assert!(
        drawn.len() > 100 && drawn.len() < unlimited,
        "{}",
        drawn.len()
    );
    let expected = 40.0;
    let random = &mut ChaCha8Rng::seed_from_u64(7);
    for _ in 0..drawn.len() * 40 {
        *drawn.get_mut(&space.sample(random)).unwrap() += 1;
    }
    let chi_square: f64 = drawn
        .values()
        .map(|&count| (f64::from(count) - expected).powi(2) / expected)
        .sum();
    // The mean is n - 1 and the variance 2 (n - 1); the bound is five standard deviations.
    let freedom = drawn.len() as f64 - 1.0;
    assert!(
        (chi_square - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(),
        "{chi_square} for {freedom}"
    );
}

#[test]
fn large_spaces_are_sampled_beyond_exact_counts() {
    let mut description = description(24, &[4, 8, 16]);
    description.budget.parameters = Some(1_500);
    description.budget.extra_flops = Some(2.0);
    description.budget.min_adapters = Some(12);
    let space = space(25, &description);
    assert_eq!(space.connections().len(), 625);
    assert_eq!(space.count(), None);
    let random = &mut ChaCha8Rng::seed_from_u64(0);
    for _ in 0..20 {
        let placement = space.sample(random);
        assert!(space.contains(&placement));
        let other = space.mutate(&placement, random).unwrap();
        assert!(space.contains(&other) && other != placement);
        assert!(space.contains(&space.crossover(&placement, &other, random)));
    }
}

#[test]
fn weights_steer_the_connections() {
    let space = space(3, &description(2, &[1]));
    let weights: Vec<f64> = space
        .connections()
        .iter()
        .map(|connection| {
            if connection.kind() == ConnectionKind::Parallel {
                1.0
            } else {
                0.0
            }
        })
        .collect();
    let random = &mut ChaCha8Rng::seed_from_u64(0);
    for _ in 0..20 {
        let placement = space.sample_weighted(random, &weights);
        assert!(
            placement
                .connections()
                .all(|connection| connection.kind() == ConnectionKind::Parallel)
        );
    }
}

#[test]
fn empty_spaces_say_which_limit_and_what_the_cheapest_needs() {
    let mut tight = description(2, &[8, 2]);
    // Two adapters of rank 2 at width 4: 2 * (2*2*4 + 2 + 4) = 44
    tight.budget.parameters = Some(43);
    let error = SearchSpace::resolve(&tight, &shape(3)).unwrap_err();
    assert!(matches!(
        error,
        SpaceError::ParametersTooTight {
            limit: 43,
            needed: 44,
            rank: 2,
            adapters: 2
        }
    ));
    tight.budget.parameters = Some(44);
    assert_eq!(space(3, &tight).count(), Some(binomial(9, 2)));

    let mut tight = description(1, &[1]);
    tight.connections.kinds = vec![ConnectionKind::Recurrent];
    // The latest target is 1: 4*1*4*3 = 48 FLOPs, then again the sublayer of 110, out of 210 in all.
    tight.budget.extra_flops = Some(0.5);
    let error = SearchSpace::resolve(&tight, &shape(3)).unwrap_err();
    assert!(matches!(
        error,
        SpaceError::ExtraFlopsTooTight { second_pass: Some(1), needed, .. } if needed == 158.0 / 210.0
    ));

    let error = SearchSpace::resolve(&description(10, &[1]), &shape(3)).unwrap_err();
    assert!(matches!(
        error,
        SpaceError::TooFewConnections {
            adapters: 10,
            connections: 9
        }
    ));
}

#[test]
fn ranges_must_lie_within_the_chain_and_leave_a_connection() {
    let mut outside = description(1, &[1]);
    outside.connections.targets = Some([1, 3]);
    let error = SearchSpace::resolve(&outside, &shape(3)).unwrap_err();
    assert!(matches!(
        error,
        SpaceError::RangeOutsideChain {
            field: "targets",
            from: 1,
            to: 3,
            last: 2
        }
    ));

    let mut none = description(1, &[1]);
    none.connections.kinds = vec![ConnectionKind::LongRange];
    none.connections.max_span = Some(1);
    let error = SearchSpace::resolve(&none, &shape(3)).unwrap_err();
    assert!(matches!(
        error,
        SpaceError::NoConnection { hidden_states: 3 }
    ));
}

#[test]
fn spaces_too_large_to_count_are_refused() {
    let ranks: Vec<u16> = (1..=2000).collect();
    let error = SearchSpace::resolve(&description(60, &ranks), &shape(25)).unwrap_err();
    assert!(matches!(
        error,
        SpaceError::TooLarge {
            adapters: 60,
            connections: 625,
            ranks: 2000
        }
    ));
    let error = SearchSpace::resolve(&description(2000, &[1]), &shape(60)).unwrap_err();
    assert!(matches!(error, SpaceError::TooLarge { .. }));
}
