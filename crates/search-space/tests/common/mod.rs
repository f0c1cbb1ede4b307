//! Small chains and a brute-force enumeration that shares no code with the crate.
#![allow(clippy::unwrap_used, dead_code)]

use adaplace_search_space::{
    AdapterRules, AdapterSpec, BudgetRules, ChainShape, Connection, ConnectionKind,
    ConnectionRules, Placement, SearchSpace, SpaceDescription,
};
use proptest::prelude::*;

pub fn shape(hidden_states: u16) -> ChainShape {
    let sublayers = u64::from(hidden_states) - 1;
    ChainShape {
        hidden_states,
        width: 4,
        tokens: 3,
        sublayer_flops: (0..sublayers).map(|n| 100 + 10 * n).collect(),
    }
}

pub fn description(adapters: u16, ranks: &[u16]) -> SpaceDescription {
    SpaceDescription {
        connections: ConnectionRules {
            kinds: ConnectionKind::ALL.to_vec(),
            min_span: None,
            max_span: None,
            sources: None,
            targets: None,
        },
        adapter: AdapterRules {
            ranks: ranks.to_vec(),
            scale: 1.0,
        },
        budget: BudgetRules {
            adapters,
            min_adapters: None,
            parameters: None,
            extra_flops: None,
        },
    }
}

pub fn space(hidden_states: u16, description: &SpaceDescription) -> SearchSpace {
    SearchSpace::resolve(description, &shape(hidden_states)).unwrap()
}

/// Any description, with or without placements on a small chain.
pub fn descriptions() -> impl Strategy<Value = SpaceDescription> {
    let connections = (
        proptest::sample::subsequence(ConnectionKind::ALL.to_vec(), 1..=4),
        proptest::option::weighted(0.2, 0..=2_u16),
        proptest::option::weighted(0.2, 0..=2_u16),
        proptest::option::weighted(0.2, (0..=1_u16, 1..=2_u16)),
    );
    let adapter = (
        proptest::sample::subsequence(vec![1_u16, 2, 5, 8], 1..=3).prop_shuffle(),
        -2.0_f32..2.0,
    );
    let budget = (
        1..=3_u16,
        1..=3_u16,
        proptest::option::of(10..200_u64),
        proptest::option::of(0.1..4.0_f64),
    );
    (connections, adapter, budget).prop_map(
        |((kinds, low, high, range), (ranks, scale), limits)| {
            let (a, b, parameters, extra_flops) = limits;
            let spans = low
                .zip(high)
                .map(|(low, high)| (low.min(high), low.max(high)));
            SpaceDescription {
                connections: ConnectionRules {
                    kinds,
                    min_span: spans.map_or(low, |(low, _)| Some(low)),
                    max_span: spans.map_or(high, |(_, high)| Some(high)),
                    sources: range.map(|(from, to)| [from, to]),
                    targets: range.filter(|(from, _)| *from == 0).map(|(_, to)| [1, to]),
                },
                adapter: AdapterRules { ranks, scale },
                budget: BudgetRules {
                    adapters: a.max(b),
                    min_adapters: Some(a.min(b)),
                    parameters,
                    extra_flops,
                },
            }
        },
    )
}

/// All placements of 1 to k adapters within the limits on cost, whatever the smallest number of adapters is.
pub fn brute_force(description: &SpaceDescription, shape: &ChainShape) -> Vec<Placement> {
    let mut adapters = Vec::new();
    for source in 0..shape.hidden_states {
        for target in 0..shape.hidden_states {
            let connection = Connection::new(source, target);
            let rules = &description.connections;
            let span = source.max(target) - source.min(target);
            let kind = match (target < source, span) {
                (true, _) => ConnectionKind::Recurrent,
                (false, 0) => ConnectionKind::Sequential,
                (false, 1) => ConnectionKind::Parallel,
                (false, _) => ConnectionKind::LongRange,
            };
            let inside = |range: Option<[u16; 2]>, state| {
                range.is_none_or(|[from, to]| (from..=to).contains(&state))
            };
            if rules.kinds.contains(&kind)
                && (rules.min_span.unwrap_or(0)..=rules.max_span.unwrap_or(99)).contains(&span)
                && inside(rules.sources, source)
                && inside(rules.targets, target)
            {
                for &rank in &description.adapter.ranks {
                    adapters.push((
                        connection,
                        AdapterSpec::new(rank, description.adapter.scale).unwrap(),
                    ));
                }
            }
        }
    }
    let mut sets = vec![Vec::new()];
    for &(connection, adapter) in &adapters {
        for index in 0..sets.len() {
            let set: &Vec<(Connection, AdapterSpec)> = &sets[index];
            if set.len() < usize::from(description.budget.adapters)
                && set.iter().all(|&(placed, _)| placed != connection)
            {
                let mut larger = set.clone();
                larger.push((connection, adapter));
                sets.push(larger);
            }
        }
    }
    let affordable = |set: &Vec<(Connection, AdapterSpec)>| {
        let (width, tokens) = (u64::from(shape.width), u64::from(shape.tokens));
        let mut parameters = 0;
        let mut flops = 0;
        let mut start = shape.sublayer_flops.len();
        for &(connection, adapter) in set {
            let rank = u64::from(adapter.rank);
            parameters += rank * width + rank + width * rank + width;
            flops += 2 * 2 * rank * width * tokens;
            if connection.target < connection.source {
                start = start.min(usize::from(connection.target));
            }
        }
        flops += shape.sublayer_flops[start..].iter().sum::<u64>();
        let share = flops as f64 / shape.sublayer_flops.iter().sum::<u64>() as f64;
        description
            .budget
            .parameters
            .is_none_or(|limit| parameters <= limit)
            && description
                .budget
                .extra_flops
                .is_none_or(|limit| share <= limit)
    };
    sets.retain(|set| !set.is_empty() && affordable(set));
    let mut placements: Vec<Placement> = sets
        .into_iter()
        .map(|set| set.into_iter().collect())
        .collect();
    placements.sort_by(|a, b| a.len().cmp(&b.len()).then(a.cmp(b)));
    placements
}
