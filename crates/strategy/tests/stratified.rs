//! A stratified sample represents the space.
#![allow(clippy::unwrap_used)]

mod common;

use adaplace_search_space::ConnectionKind;
use adaplace_strategy::{Outcome, Proposal, StrategyDescription, StrategyError, Stratified};
use common::{extended, run, steps};

fn sample(seed: u64, trials: usize) -> Vec<Proposal> {
    let space = extended(13, 1);
    let mut strategy = Stratified::new(&space, steps(8), seed, trials).unwrap();
    run(&mut strategy, &space, 7, 1000, &|_| Outcome::Failed)
}

/// With 13 states, 13 connections are sequential, 12 parallel, 66 long-range and 78 recurrent.
#[test]
fn every_kind_has_its_share() {
    for seed in 0..20 {
        let proposals = sample(seed, 40);
        assert_eq!(proposals.len(), 40);
        for (&kind, all) in ConnectionKind::ALL.iter().zip([13, 12, 66, 78]) {
            let share = 40.0 * f64::from(all) / 169.0;
            let of_kind = |proposal: &&Proposal| {
                let mut connections = proposal.placement.connections();
                connections.all(|connection| connection.kind() == kind)
            };
            let found = proposals.iter().filter(of_kind).count() as f64;
            assert!((found - share).abs() <= 1.0, "{kind}: {found} of {share}");
        }
    }
}

#[test]
fn seeds_differ_and_a_large_sample_is_everything() {
    assert_ne!(sample(0, 40), sample(1, 40));
    let mut all: Vec<_> = sample(3, 500);
    assert_eq!(all.len(), 169);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 169);
}

#[test]
fn several_adapters_are_refused() {
    let space = extended(13, 3);
    let error = Stratified::new(&space, steps(8), 0, 10).unwrap_err();
    assert!(matches!(error, StrategyError::NotSingle { adapters: 3 }));
    let by_name: StrategyDescription = "stratified".parse().unwrap();
    assert_eq!(by_name, StrategyDescription::Stratified {});
}
