//! Successive halving: the steps of every rung, the promotions, and what the inner strategy observes.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};

use adaplace_search_space::SearchSpace;
use adaplace_strategy::{Exhaustive, Halving, Outcome, Proposal, Random, Strategy, StrategyError};
use common::{extended, placements, run, scored, steps};

/// A strategy that records what it observes.
struct Listening {
    inner: Random,
    heard: Arc<Mutex<Vec<(Proposal, Outcome)>>>,
}

impl Strategy for Listening {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        self.inner.propose(space, n)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.heard
            .lock()
            .unwrap()
            .push((proposal.clone(), *outcome));
    }
}

fn steps_of(proposals: &[Proposal]) -> Vec<u32> {
    proposals
        .iter()
        .map(|proposal| proposal.fidelity.steps())
        .collect()
}

#[test]
fn steps_of_a_bracket_by_hand() {
    let space = extended(13, 3);
    // 64 steps reduced by 3 are ceil(64 / 9) = 8, ceil(64 / 3) = 22 and 64, for nine placements, then three, then one.
    let mut halving = Halving::new(Box::new(Random::new(steps(64), 0)), 3, steps(64), 3).unwrap();
    let bracket = run(&mut halving, &space, 4, 13, &|proposal| {
        scored(proposal, 0.0)
    });
    assert_eq!(
        steps_of(&bracket),
        [8, 8, 8, 8, 8, 8, 8, 8, 8, 22, 22, 22, 64]
    );
    // All scores are equal, so the first proposals are promoted.
    let all = placements(&bracket);
    assert_eq!(all[9..12], all[..3]);
    assert_eq!(all[12], all[0]);
}

#[test]
fn rungs_that_would_not_differ_are_left_out() {
    let space = extended(13, 3);
    let first_steps = |full: u32| {
        let mut halving =
            Halving::new(Box::new(Random::new(steps(full), 0)), 3, steps(full), 3).unwrap();
        let proposals = run(&mut halving, &space, 9, 1, &|proposal| {
            scored(proposal, 0.0)
        });
        (proposals.len(), proposals[0].fidelity.steps())
    };
    // With 2 steps, ceil(2 / 9) = ceil(2 / 3) = 1, then 2: two rungs, and a bracket of three.
    assert_eq!(first_steps(2), (3, 1));
    assert_eq!(first_steps(1), (1, 1));
}

#[test]
fn the_best_are_promoted_and_the_inner_strategy_hears_the_last_word() {
    let space = extended(13, 3);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let inner = Listening {
        inner: Random::new(steps(64), 5),
        heard: Arc::clone(&heard),
    };
    let mut halving = Halving::new(Box::new(inner), 2, steps(64), 3).unwrap();

    let first = halving.propose(&space, 10).unwrap();
    assert_eq!(steps_of(&first), [16; 4]);
    for (proposal, outcome) in first.iter().zip([Some(0.1), None, Some(0.3), Some(0.2)]) {
        halving.observe(
            proposal,
            &outcome.map_or(Outcome::Failed, |objective| scored(proposal, objective)),
        );
    }
    let second = halving.propose(&space, 10).unwrap();
    assert_eq!(steps_of(&second), [32; 2]);
    assert_eq!(
        placements(&second),
        [first[2].placement.clone(), first[3].placement.clone()]
    );
    halving.observe(&second[0], &Outcome::Failed);
    halving.observe(&second[1], &scored(&second[1], 0.0));
    let third = halving.propose(&space, 10).unwrap();
    assert_eq!(steps_of(&third), [64]);
    assert_eq!(third[0].placement, first[3].placement);
    assert!(heard.lock().unwrap().is_empty());
    halving.observe(&third[0], &scored(&third[0], 0.9));

    let heard = heard.lock().unwrap();
    let expected = [
        scored(&first[0], 0.1),
        Outcome::Failed,
        Outcome::Failed,
        scored(&third[0], 0.9),
    ];
    assert_eq!(
        heard
            .iter()
            .map(|(_, outcome)| *outcome)
            .collect::<Vec<_>>(),
        expected
    );
    for ((proposal, _), first) in heard.iter().zip(&first) {
        assert_eq!(
            *proposal,
            Proposal {
                placement: first.placement.clone(),
                fidelity: steps(64)
            }
        );
    }
}

#[test]
fn the_last_bracket_may_be_smaller() {
    // Of four placements in brackets of 3^2 = 9 there are four, ceil(4/3) = 2 and ceil(2/3) = 1.
    let space = extended(2, 1);
    let inner = Exhaustive::new(&space, steps(9), 4).unwrap();
    let mut halving = Halving::new(Box::new(inner), 3, steps(9), 3).unwrap();
    let all = run(&mut halving, &space, 3, 100, &|proposal| {
        scored(proposal, 0.0)
    });
    assert_eq!(steps_of(&all), [1, 1, 1, 1, 3, 3, 9]);
}

#[test]
fn a_reduction_below_two_is_refused() {
    let error = Halving::new(Box::new(Random::new(steps(9), 0)), 1, steps(9), 3).err();
    assert!(matches!(
        error,
        Some(StrategyError::OutOfRange {
            setting: "reduction",
            ..
        })
    ));
}
