//! Counting, enumeration, sampling and variation, checked against a brute-force enumeration of small spaces.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use adaplace_search_space::{
    AdapterSpec, Connection, Placement, SearchSpace, SpaceDescription, SpaceError,
};
use common::{brute_force, descriptions, shape};
use proptest::prelude::*;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The space, all placements within the budget, and those among them with enough adapters. For an empty space this
/// checks the refusal and returns `None`.
fn resolved(
    description: &SpaceDescription,
) -> Option<(SearchSpace, Vec<Placement>, Vec<Placement>)> {
    let shape = shape(3);
    let within_budget = brute_force(description, &shape);
    let fewest = usize::from(
        description
            .budget
            .min_adapters
            .unwrap_or(description.budget.adapters),
    );
    let complete: Vec<Placement> = within_budget
        .iter()
        .filter(|placement| placement.len() >= fewest)
        .cloned()
        .collect();
    match SearchSpace::resolve(description, &shape) {
        Ok(space) => {
            assert!(!complete.is_empty());
            Some((space, within_budget, complete))
        }
        Err(
            SpaceError::NoConnection { .. }
            | SpaceError::TooFewConnections { .. }
            | SpaceError::ParametersTooTight { .. }
            | SpaceError::ExtraFlopsTooTight { .. },
        ) => {
            assert!(complete.is_empty());
            None
        }
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn placements_and_count_are_those_of_brute_force(description in descriptions()) {
        if let Some((space, within_budget, complete)) = resolved(&description) {
            prop_assert_eq!(space.count(), Some(complete.len() as u128));
            prop_assert_eq!(space.approximate_count(), complete.len() as f64);
            prop_assert_eq!(&space.placements().collect::<Vec<_>>(), &complete);
            let sizes: BTreeSet<usize> = complete.iter().map(Placement::len).collect();
            prop_assert_eq!(space.sizes(), sizes.into_iter().collect::<Vec<_>>());
            for placement in &within_budget {
                prop_assert_eq!(space.contains(placement), complete.binary_search_by(|other| {
                    other.len().cmp(&placement.len()).then(other.cmp(placement))
                }).is_ok());
                prop_assert!(space.budget().admits(&space.cost(placement)));
            }
        }
    }

    #[test]
    fn draws_and_variations_stay_in_the_space(description in descriptions(), seed: u64) {
        if let Some((space, _, complete)) = resolved(&description) {
            let all: BTreeSet<&Placement> = complete.iter().collect();
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let weights: Vec<f64> = space.connections().iter().map(|_| random.random_range(-0.5..1.0)).collect();
            for _ in 0..10 {
                let (a, b) = (space.sample(random), space.sample_weighted(random, &weights));
                prop_assert!(all.contains(&a) && all.contains(&b));
                let child = space.crossover(&a, &b, random);
                prop_assert!(all.contains(&child));
                prop_assert!(child.len() == a.len() || child.len() == b.len());
                for connection in a.connections().filter(|&connection| b.contains(connection)) {
                    prop_assert!(child.contains(connection));
                }
            }
            for placement in complete.iter().take(50) {
                match space.mutate(placement, random) {
                    Some(other) => prop_assert!(all.contains(&other) && other != *placement),
                    None => prop_assert_eq!(complete.len(), 1),
                }
            }
        }
    }

    #[test]
    fn extensions_are_exactly_those_that_can_be_completed(description in descriptions(), seed: u64) {
        if let Some((space, within_budget, _)) = resolved(&description) {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..10 {
                let size = random.random_range(1..=usize::from(description.budget.adapters));
                let whole: Vec<&Placement> = within_budget.iter().filter(|placement| placement.len() == size).collect();
                let partial = any_partial(&space, random);
                let includes = |placement: &Placement, part: &Placement| {
                    part.iter().all(|(connection, adapter)| placement.get(connection) == Some(adapter))
                };
                let completions: Vec<&Placement> =
                    whole.into_iter().filter(|placement| includes(placement, &partial)).collect();
                prop_assert_eq!(space.completable(&partial, size), !completions.is_empty());
                let additions: BTreeSet<(Connection, AdapterSpec)> = completions
                    .iter()
                    .flat_map(|placement| placement.iter())
                    .filter(|&(connection, _)| !partial.contains(connection))
                    .collect();
                let extensions = space.extensions(&partial, size);
                prop_assert_eq!(&extensions, &additions.into_iter().collect::<Vec<_>>());
                for &connection in space.connections() {
                    let possible: Vec<AdapterSpec> = extensions
                        .iter()
                        .filter(|(extension, _)| *extension == connection)
                        .map(|&(_, adapter)| adapter)
                        .collect();
                    // The largest adapter that some completion uses for every adapter it adds, else the smallest.
                    let even = possible.iter().rev().find(|&&adapter| completions.iter().any(|placement| {
                        placement.get(connection) == Some(adapter) && placement
                            .iter()
                            .all(|(placed, other)| partial.contains(placed) || other == adapter)
                    }));
                    let expected = even.or(possible.first()).copied();
                    prop_assert_eq!(space.even_split(&partial, connection, size), expected);
                }
            }
        }
    }
}

/// A placement of up to two adapters of the space, within the budget or not.
fn any_partial(space: &SearchSpace, random: &mut ChaCha8Rng) -> Placement {
    (0..random.random_range(0..=2))
        .map(|_| {
            (
                *space.connections().choose(random).unwrap(),
                *space.adapters().choose(random).unwrap(),
            )
        })
        .collect()
}
