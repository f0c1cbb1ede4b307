//! A sample contains in turn random placements, ones of near and ones of far connections.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use adaplace_search_space::{Connection, Placement, SearchSpace, Spacing};
use adaplace_strategy::{Outcome, Sample};
use common::{extended, run, space, steps};

fn sample(space: &SearchSpace, seed: u64, trials: usize) -> Vec<Placement> {
    let mut strategy = Sample::new(space, steps(8), seed, trials);
    let proposals = run(&mut strategy, space, 7, 1000, &|_| Outcome::Failed);
    proposals.into_iter().map(|one| one.placement).collect()
}

/// The mean distance of each connection to the nearest other one.
fn nearest(placement: &Placement) -> f64 {
    let all: Vec<Connection> = placement.connections().collect();
    let nearest = all.iter().map(|&one| {
        let others = all.iter().filter(|&&other| other != one);
        others.map(|other| one.distance(*other)).min().unwrap()
    });
    f64::from(nearest.sum::<u32>()) / all.len() as f64
}

#[test]
fn a_third_is_near_and_a_third_is_spread() {
    let space = extended(13, 4);
    let placements = sample(&space, 0, 300);
    assert_eq!(placements.len(), 300);
    assert_eq!(placements.iter().collect::<BTreeSet<_>>().len(), 300);
    let mean = |first: usize| {
        let third = placements.iter().skip(first).step_by(3);
        third.map(nearest).sum::<f64>() / 100.0
    };
    let drawn = Sample::drawn(&space, 0, 300);
    let turns = [None, Some(Spacing::Near), Some(Spacing::Spread)];
    for ((one, turn), (placement, spacing)) in
        placements.iter().zip(turns.iter().cycle()).zip(&drawn)
    {
        assert_eq!((one, turn), (placement, spacing));
    }
    let [random, near, spread] = [0, 1, 2].map(mean);
    assert!(near <= f64::from(SearchSpace::NEAR), "{near}");
    assert!(
        random > near + 1.0 && spread > random + 1.0,
        "{random} {spread}"
    );
}

#[test]
fn samples_follow_from_the_seed_and_keep_to_the_budget() {
    let narrow = "[connections]\nkinds = [\"sequential\", \"recurrent\"]\n[adapter]\nranks = [2, 8]\n\
                  [budget]\nadapters = 4\nparameters = 260\nextra_flops = 0.6\n";
    for space in [extended(13, 4), space(13, narrow)] {
        assert_eq!(sample(&space, 3, 30), sample(&space, 3, 30));
        assert_ne!(sample(&space, 3, 30), sample(&space, 4, 30));
        assert!(sample(&space, 3, 60).iter().all(|one| space.contains(one)));
    }
}

#[test]
fn a_small_space_is_not_sampled_twice() {
    assert_eq!(sample(&extended(2, 1), 0, 100).len(), 4);
}
