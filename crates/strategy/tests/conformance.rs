//! The contract of every strategy, with and without successive halving, on spaces of all kinds.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use adaplace_search_space::SearchSpace;
use adaplace_strategy::{Outcome, Proposal, StrategyDescription};
use common::{build, connection_score, extended, run, scored, space, steps};

const MOST: usize = 120;

fn descriptions() -> Vec<StrategyDescription> {
    let mut all: Vec<StrategyDescription> = StrategyDescription::NAMES
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    let uniform = "name = \"evolution\"\nfirst = \"uniform\"\npopulation = 3\ntournament = 2\ncrossover = 1.0\n";
    all.push(toml::from_str(uniform).unwrap());
    all.push(StrategyDescription::Greedy {
        candidates: Some(2),
    });
    all
}

fn spaces() -> Vec<SearchSpace> {
    vec![
        // Every strategy that continues to the end exhausts this one.
        extended(2, 1),
        extended(3, 2),
        // This one has a single placement.
        extended(2, 4),
        space(
            5,
            "[connections]\nkinds = [\"parallel\", \"recurrent\"]\n[adapter]\nranks = [1, 4, 16]\n\
             [budget]\nadapters = 3\nmin_adapters = 1\nparameters = 150\nextra_flops = 0.9\n",
        ),
        space(
            13,
            "[connections]\nkinds = [\"sequential\", \"recurrent\"]\n[adapter]\nranks = [2, 8]\n\
             [budget]\nadapters = 4\nparameters = 260\nextra_flops = 0.6\n",
        ),
        extended(13, 3),
    ]
}

fn additive(proposal: &Proposal) -> Outcome {
    scored(
        proposal,
        proposal.placement.connections().map(connection_score).sum(),
    )
}

fn constant(proposal: &Proposal) -> Outcome {
    scored(proposal, 0.5)
}

fn failed(_: &Proposal) -> Outcome {
    Outcome::Failed
}

fn every_other_failed(proposal: &Proposal) -> Outcome {
    let sum: u16 = proposal
        .placement
        .connections()
        .map(|connection| connection.source + connection.target)
        .sum();
    if sum.is_multiple_of(2) {
        Outcome::Failed
    } else {
        additive(proposal)
    }
}

/// The one conformance function: see the contract on `Strategy`.
fn conforms(description: &StrategyDescription, space: &SearchSpace, halving: Option<u32>) {
    let trials = match description {
        // It needs as many trials as there are placements, too many for a test of the largest space.
        StrategyDescription::Exhaustive {} => match space.count() {
            Some(count) if count < 100_000 => count as usize,
            _ => return,
        },
        StrategyDescription::Stratified {} if space.largest_size() > 1 => return,
        // One of its proposals takes a thousand times as long as one of the other strategies.
        StrategyDescription::Surrogate {} => MOST / 3,
        _ => MOST,
    };
    let outcomes: [&dyn Fn(&Proposal) -> Outcome; 4] =
        [&additive, &constant, &failed, &every_other_failed];
    for (case, outcome) in outcomes.into_iter().enumerate() {
        for n in [1, 5] {
            let context =
                format!("{description:?}, halving {halving:?}, outcome {case}, {n} at a time");
            let mut strategy = build(description, space, 3, trials, halving);
            let proposals = run(&mut *strategy, space, n, MOST, outcome);
            assert!(!proposals.is_empty(), "{context}");
            let distinct: BTreeSet<&Proposal> = proposals.iter().collect();
            assert_eq!(distinct.len(), proposals.len(), "a duplicate: {context}");
            for proposal in &proposals {
                let placement = &proposal.placement;
                assert!(
                    space.budget().admits(&space.cost(placement)),
                    "over the budget: {context}"
                );
                assert!(
                    space.contains(placement) || space.completable(placement, space.largest_size()),
                    "outside the space: {context}"
                );
                assert!(proposal.fidelity <= steps(64), "{context}");
                assert!(
                    halving.is_some() || proposal.fidelity == steps(64),
                    "{context}"
                );
            }
            let again = run(
                &mut *build(description, space, 3, trials, halving),
                space,
                n,
                MOST,
                outcome,
            );
            assert_eq!(again, proposals, "not deterministic: {context}");
            if proposals.len() < MOST {
                assert!(
                    strategy.propose(space, n).unwrap().is_empty(),
                    "continued after it was finished: {context}"
                );
            }
        }
    }
}

#[test]
fn every_strategy_keeps_the_contract() {
    for description in descriptions() {
        for space in spaces() {
            for halving in [None, Some(2), Some(3)] {
                conforms(&description, &space, halving);
            }
        }
    }
}

#[test]
fn strategies_without_an_end_of_their_own_exhaust_the_space() {
    for description in descriptions() {
        for (space, count) in [
            (extended(2, 1), 4),
            (extended(3, 2), 36),
            (extended(2, 4), 1),
        ] {
            if description == (StrategyDescription::Stratified {}) && space.largest_size() > 1 {
                continue;
            }
            let goes_on = match description {
                StrategyDescription::Greedy { .. }
                | StrategyDescription::GradientGreedy { .. }
                | StrategyDescription::Sample {} => false,
                StrategyDescription::Random {}
                | StrategyDescription::Evolution(_)
                | StrategyDescription::Surrogate {}
                | StrategyDescription::Prune(_)
                | StrategyDescription::Exhaustive {}
                | StrategyDescription::Stratified {} => true,
            };
            for outcome in [additive, failed] {
                let mut strategy = build(&description, &space, 0, MOST, None);
                let proposals = run(&mut *strategy, &space, 4, 1000, &outcome);
                assert!(!goes_on || proposals.len() == count, "{description:?}");
            }
        }
    }
}
