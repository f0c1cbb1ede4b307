//! Small spaces, a proxy, and a loop that replaces the study's.
#![allow(clippy::unwrap_used, dead_code)]

use std::sync::Arc;

use adaplace_search_space::{
    ChainShape, Connection, Fidelity, Placement, SearchSpace, SpaceDescription,
};
use adaplace_strategy::{
    ConnectionProxy, FixedProxy, Merit, Outcome, Proposal, Strategy, StrategyDescription,
    StrategySetting,
};

/// A space on a chain of this many states of width 4, where each sublayer takes 1000 FLOPs for 2 tokens.
pub fn space(hidden_states: u16, description: &str) -> SearchSpace {
    let shape = ChainShape {
        hidden_states,
        width: 4,
        tokens: 2,
        sublayer_flops: vec![1000; usize::from(hidden_states) - 1],
    };
    SearchSpace::resolve(&SpaceDescription::from_toml(description).unwrap(), &shape).unwrap()
}

/// The space of all connections with `adapters` adapters of rank 8.
pub fn extended(hidden_states: u16, adapters: u16) -> SearchSpace {
    space(
        hidden_states,
        &format!(
            "[connections]\nkinds = [\"sequential\", \"parallel\", \"long-range\", \"recurrent\"]\n\
             [adapter]\nranks = [8]\n[budget]\nadapters = {adapters}\n"
        ),
    )
}

pub fn steps(steps: u32) -> Fidelity {
    Fidelity::of(steps)
}

/// A score for every connection between up to 32 states, with ties.
pub fn connection_score(connection: Connection) -> f64 {
    f64::from((connection.source * 7 + connection.target * 5) % 11)
}

pub fn proxy() -> Arc<dyn ConnectionProxy> {
    let pairs =
        (0..32).flat_map(|source| (0..32).map(move |target| Connection::new(source, target)));
    Arc::new(
        pairs
            .map(|connection| (connection, connection_score(connection)))
            .collect::<FixedProxy>(),
    )
}

pub fn build(
    description: &StrategyDescription,
    space: &SearchSpace,
    seed: u64,
    trials: usize,
    halving: Option<u32>,
) -> Box<dyn Strategy> {
    let setting = StrategySetting {
        space,
        fidelity: steps(64),
        seed,
        trials,
        halving,
        costs: Vec::new(),
        proxy: Some(proxy()),
    };
    description.build(setting).unwrap()
}

pub fn scored(proposal: &Proposal, objective: f64) -> Outcome {
    Outcome::Scored(Merit::new(proposal.fidelity, objective, 0.0).unwrap())
}

/// Asks for `n` proposals at a time and tells the outcomes, until the strategy is finished or has proposed at least
/// `most`.
pub fn run(
    strategy: &mut dyn Strategy,
    space: &SearchSpace,
    n: usize,
    most: usize,
    outcome: &dyn Fn(&Proposal) -> Outcome,
) -> Vec<Proposal> {
    let mut all = Vec::new();
    while all.len() < most {
        let proposals = strategy.propose(space, n).unwrap();
        if proposals.is_empty() {
            break;
        }
        assert!(proposals.len() <= n);
        for proposal in &proposals {
            strategy.observe(proposal, &outcome(proposal));
        }
        all.extend(proposals);
    }
    all
}

pub fn placements(proposals: &[Proposal]) -> Vec<Placement> {
    proposals
        .iter()
        .map(|proposal| proposal.placement.clone())
        .collect()
}
