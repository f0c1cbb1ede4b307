//! The surrogate compared with random search, its recommendations, and what it asks of its proxy.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adaplace_search_space::{Connection, Placement};
use adaplace_strategy::{
    ConnectionProxy, CostObjective, Merit, Outcome, Proposal, ProxyError, Random, Strategy,
    StrategyDescription, StrategySetting, Surrogate,
};
use common::{connection_score, extended, proxy, run, scored, space, steps};

/// The worth of a placement: a hill of connections, minus what nearby ones have in common.
fn worth(placement: &Placement) -> f64 {
    let hill = |c: Connection| {
        let (s, t) = (f64::from(c.source), f64::from(c.target));
        (-((s - 8.0).powi(2) + (t - 3.0).powi(2)) / 18.0).exp()
    };
    let connections: Vec<Connection> = placement.connections().collect();
    let mut sum: f64 = connections.iter().copied().map(hill).sum();
    for (n, &a) in connections.iter().enumerate() {
        for &b in &connections[..n] {
            sum -= 0.4 * (hill(a) * hill(b)).sqrt() * (-f64::from(a.distance(b)) / 3.0).exp();
        }
    }
    sum
}

/// A number between -0.5 and 0.5 that depends on the placement alone.
fn luck(placement: &Placement, seed: u64) -> f64 {
    let hash: u64 = placement
        .hash()
        .to_string()
        .bytes()
        .fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    (hash >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

fn noisy(seed: u64) -> impl Fn(&Proposal) -> Outcome {
    move |proposal| {
        let placement = &proposal.placement;
        scored(proposal, worth(placement) + 0.5 * luck(placement, seed))
    }
}

#[test]
fn it_finds_better_placements_than_chance() {
    let space = extended(13, 4);
    let trials = 48;
    for seed in 0..4 {
        let mut surrogate = Surrogate::new(proxy(), steps(64), seed, 8);
        let proposals = run(&mut surrogate, &space, 8, trials, &noisy(seed));
        assert_eq!(proposals.len(), trials);
        let recommended = surrogate.recommend(&space, 3);
        assert_eq!(recommended.len(), 3);
        assert!(
            recommended
                .iter()
                .all(|one| proposals.iter().any(|other| other.placement == *one))
        );

        let by_chance = run(
            &mut Random::new(steps(64), seed),
            &space,
            8,
            trials,
            &noisy(seed),
        );
        let best = by_chance
            .iter()
            .map(|one| worth(&one.placement))
            .fold(0.0, f64::max);
        let found = worth(&recommended[0]);
        assert!(found > best, "seed {seed}: {found} is not above {best}");
    }
}

#[test]
fn what_is_recommended_was_trained_fully() {
    let space = extended(13, 2);
    let mut surrogate = Surrogate::new(proxy(), steps(64), 0, 4);
    assert!(surrogate.recommend(&space, 3).is_empty());
    let mut full = Vec::new();
    // Every other training was stopped early, as within successive halving.
    run(&mut surrogate, &space, 4, 24, &|proposal: &Proposal| {
        let placement = &proposal.placement;
        let early = luck(placement, 1) < 0.0;
        let merit = |at| Merit::new(steps(at), worth(placement), 0.0).unwrap();
        Outcome::Scored(merit(if early { 16 } else { 64 }))
    });
    full.extend(surrogate.recommend(&space, 100));
    assert!(full.len() > 4 && full.len() < 24);
    assert!(full.iter().all(|placement| luck(placement, 1) >= 0.0));
}

#[test]
fn trainings_that_it_did_not_propose_are_learnt_from() {
    let space = extended(13, 2);
    let mut surrogate = Surrogate::new(proxy(), steps(64), 0, 4);
    run(&mut surrogate, &space, 4, 12, &noisy(0));
    let other = Proposal {
        placement: space.placements().nth(5000).unwrap(),
        fidelity: steps(64),
    };
    // A score far above all others, told twice.
    surrogate.observe(&other, &scored(&other, 9.0));
    surrogate.observe(&other, &scored(&other, 9.5));
    surrogate.propose(&space, 4).unwrap();
    assert_eq!(surrogate.recommend(&space, 1), [other.placement]);
}

#[test]
fn costs_lead_to_cheaper_placements() {
    let space = space(
        9,
        "[connections]\nkinds = [\"sequential\", \"parallel\", \"long-range\"]\n[adapter]\nranks = [1, 4, 16]\n\
         [budget]\nadapters = 4\nmin_adapters = 1\n",
    );
    let parameters = |costs: Vec<CostObjective>| -> f64 {
        let setting = StrategySetting {
            space: &space,
            fidelity: steps(64),
            seed: 1,
            trials: 48,
            halving: None,
            costs,
            proxy: Some(proxy()),
        };
        let mut surrogate = StrategyDescription::Surrogate {}.build(setting).unwrap();
        let all = run(&mut *surrogate, &space, 8, 48, &|proposal: &Proposal| {
            let ranks = proposal
                .placement
                .iter()
                .map(|(_, adapter)| f64::from(adapter.rank));
            scored(
                proposal,
                ranks.sum::<f64>().sqrt() + 0.1 * luck(&proposal.placement, 3),
            )
        });
        let costs = all
            .iter()
            .map(|one| space.cost(&one.placement).parameters as f64);
        costs.sum::<f64>() / all.len() as f64
    };
    let (alone, with) = (
        parameters(Vec::new()),
        parameters(vec![CostObjective::Parameters]),
    );
    assert!(with < 0.8 * alone, "{with} {alone}");
}

/// Counts the placements that it judges.
#[derive(Default)]
struct Counting(AtomicUsize);

impl ConnectionProxy for Counting {
    fn connection_scores(
        &self,
        _: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        Ok(connections.iter().copied().map(connection_score).collect())
    }

    fn joint_scores(&self, placements: &[Placement]) -> Result<Vec<f64>, ProxyError> {
        self.0.fetch_add(placements.len(), Ordering::Relaxed);
        Ok(placements.iter().map(worth).collect())
    }
}

/// The other costs of a proposal are linear algebra; the documentation of `Surrogate` counts them.
#[test]
fn a_batch_judges_no_more_after_a_thousand_trials() {
    let space = extended(13, 4);
    let others = Random::new(steps(64), 1).propose(&space, 1000).unwrap();
    for told in [10, 1000] {
        let proxy = Arc::new(Counting::default());
        let mut surrogate = Surrogate::new(proxy.clone(), steps(64), 0, 8);
        for other in &others[..told] {
            surrogate.observe(other, &noisy(0)(other));
        }
        run(&mut surrogate, &space, 8, 8, &noisy(0));
        let before = proxy.0.load(Ordering::Relaxed);
        assert_eq!(surrogate.propose(&space, 8).unwrap().len(), 8);
        let judged = proxy.0.load(Ordering::Relaxed) - before;
        assert!(judged <= 550, "{judged}");
    }
}
