//! Greedy and gradient-greedy search, with each step computed by hand.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};

use adaplace_search_space::{Connection, Placement};
use adaplace_strategy::{
    ConnectionProxy, FixedProxy, GradientGreedy, Greedy, Outcome, ProxyError, Strategy,
    StrategyDescription, StrategyError,
};
use common::{build, extended, placements, proxy, run, scored, space, steps};

fn connections(placement: &Placement) -> Vec<String> {
    placement
        .connections()
        .map(|connection| connection.to_string())
        .collect()
}

/// A proxy on three states with the connection scores of `0->0 0->1 0->2 1->0 1->1 1->2 2->0 2->1 2->2`.
fn table(connection_scores: [f64; 9]) -> Arc<dyn ConnectionProxy> {
    let pairs = (0..3).flat_map(|source| (0..3).map(move |target| Connection::new(source, target)));
    Arc::new(pairs.zip(connection_scores).collect::<FixedProxy>())
}

fn gradient_greedy(proxy: Arc<dyn ConnectionProxy>, adapters: u16) -> Vec<String> {
    let mut strategy = GradientGreedy::new(proxy, steps(8));
    let proposals = strategy.propose(&extended(3, adapters), 10).unwrap();
    assert_eq!(proposals.len(), 1);
    connections(&proposals[0].placement)
}

/// Scores by a table, minus half of it for each given adapter with the same target.
struct Redundant([f64; 9]);

impl ConnectionProxy for Redundant {
    fn connection_scores(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        let connection_score = |connection: &Connection| {
            let same = given
                .connections()
                .filter(|one| one.target == connection.target);
            let alone = self.0[usize::from(3 * connection.source + connection.target)];
            alone * (1.0 - 0.5 * same.count() as f64)
        };
        Ok(connections.iter().map(connection_score).collect())
    }
}

/// 0->1 comes first. Given that, 1->1 scores 4.5 and 2->1 scores 4, less than the 5 of 0->0. Given both, 2->2
/// scores as much as 1->1.
#[test]
fn each_pick_is_judged_beside_those_before_it() {
    let connection_scores = [5.0, 10.0, 1.0, 1.0, 9.0, 1.0, 2.0, 8.0, 4.5];
    let picks = |adapters| gradient_greedy(Arc::new(Redundant(connection_scores)), adapters);
    assert_eq!(picks(1), ["0->1"]);
    assert_eq!(picks(2), ["0->0", "0->1"]);
    assert_eq!(picks(3), ["0->0", "0->1", "1->1"]);
    assert_eq!(picks(4), ["0->0", "0->1", "1->1", "2->2"]);
    // If each connection is judged alone, the largest scores win.
    assert_eq!(
        gradient_greedy(table(connection_scores), 3),
        ["0->1", "1->1", "2->1"]
    );
}

#[test]
fn equal_scores_are_taken_in_order() {
    assert_eq!(gradient_greedy(table([1.0; 9]), 2), ["0->0", "0->1"]);
}

#[test]
fn ranks_are_the_largest_that_all_could_have() {
    // At width 4 an adapter of rank r has 9 r + 4 parameters: two of rank 8 have 152, one of rank 8 and one of rank 16
    // have 224, two of rank 16 have 296.
    for (parameters, expected) in [
        (223, [8, 8]),
        (224, [8, 16]),
        (295, [8, 16]),
        (296, [16, 16]),
        (151, [2, 8]),
    ] {
        let space = space(
            3,
            &format!(
                "[connections]\nkinds = [\"sequential\"]\n[adapter]\nranks = [2, 8, 16]\n\
                 [budget]\nadapters = 2\nparameters = {parameters}\n"
            ),
        );
        let mut strategy = GradientGreedy::new(proxy(), steps(1));
        let placement = strategy.propose(&space, 1).unwrap().remove(0).placement;
        let mut ranks: Vec<u16> = placement.iter().map(|(_, adapter)| adapter.rank).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, expected, "{parameters}");
    }
}

/// Favours the connections that end where the last adapter starts, and remembers what it was given.
struct Chaining(Mutex<Vec<Placement>>);

impl ConnectionProxy for Chaining {
    fn connection_scores(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        self.0.lock().unwrap().push(given.clone());
        let start = given
            .connections()
            .last()
            .map_or(2, |connection| connection.source);
        let connection_score =
            |connection: &Connection| if connection.target == start { 1.0 } else { 0.0 };
        Ok(connections.iter().map(connection_score).collect())
    }
}

/// 2->2 wins the first stage, and the connections that end at state 2 score highest in both. The last addition of a
/// stage is the next one near the best.
#[test]
fn stages_train_the_most_promising_at_what_has_been_placed() {
    let space = extended(3, 2);
    let proxy = Chaining(Mutex::new(Vec::new()));
    let proposals = {
        let shared: Arc<dyn ConnectionProxy + '_> = Arc::new(Borrowed(&proxy));
        let mut strategy = Greedy::new(shared, steps(8), 3).unwrap();
        // The later the sources, the better.
        run(&mut strategy, &space, 2, 100, &|proposal| {
            let sources = proposal.placement.connections();
            let sum: u16 = sources.map(|connection| connection.source).sum();
            scored(proposal, f64::from(sum))
        })
    };
    let names: Vec<Vec<String>> = placements(&proposals).iter().map(connections).collect();
    let expected = [
        &["0->2"][..],
        &["1->2"],
        &["2->2"],
        &["0->2", "2->2"],
        &["1->2", "2->2"],
        &["0->1", "2->2"],
    ];
    assert_eq!(names, expected);
    let given = proxy.0.into_inner().unwrap();
    assert_eq!(given.iter().map(Placement::len).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(connections(&given[1]), ["2->2"]);
}

/// Half of a stage is chosen by connection score, the other half by nearness to the best so far, in rounds of half of what is
/// left.
#[test]
fn the_second_half_of_a_stage_is_near_the_best() {
    let space = extended(5, 1);
    let best = [(4, 4), (0, 0), (2, 2), (0, 4)];
    let all = (0..5).flat_map(|source| (0..5).map(move |target| (source, target)));
    let connection_scores = all.map(|(source, target)| {
        let place = best.iter().position(|&one| one == (source, target));
        let connection_score = place.map_or(0.0, |place| 9.0 - place as f64);
        (Connection::new(source, target), connection_score)
    });
    let proxy: Arc<dyn ConnectionProxy> = Arc::new(connection_scores.collect::<FixedProxy>());
    let mut strategy = Greedy::new(proxy, steps(8), 8).unwrap();
    let goal = Connection::new(1, 1);
    let proposals = run(&mut strategy, &space, 8, 100, &|proposal| {
        let distances = proposal.placement.connections();
        let distance: u32 = distances.map(|one| one.distance(goal)).sum();
        scored(proposal, -f64::from(distance))
    });
    let names: Vec<String> = placements(&proposals)
        .iter()
        .flat_map(connections)
        .collect();
    // 0->0 and 2->2 are equally good and the earlier one counts, so 0->1 and 0->2 are the first near it. Then 0->1 is
    // the best; near it are 0->3 and, because that is worse, 1->0.
    let expected = [
        "4->4", "0->0", "2->2", "0->4", "0->1", "0->2", "0->3", "1->0",
    ];
    assert_eq!(names, expected);
}

/// A proxy that borrows, like one that holds a scorer.
struct Borrowed<'a>(&'a Chaining);

impl ConnectionProxy for Borrowed<'_> {
    fn connection_scores(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        self.0.connection_scores(given, connections)
    }
}

#[test]
fn a_failed_stage_ends_the_search_but_a_failed_addition_does_not() {
    let space = extended(3, 2);
    let greedy = StrategyDescription::Greedy {
        candidates: Some(4),
    };
    let proposals = run(
        &mut *build(&greedy, &space, 0, 100, None),
        &space,
        3,
        100,
        &|_| Outcome::Failed,
    );
    assert_eq!(proposals.len(), 4);
    let first = proposals[0].clone();
    let proposals = run(
        &mut *build(&greedy, &space, 0, 100, None),
        &space,
        3,
        100,
        &|proposal| {
            if *proposal == first {
                Outcome::Failed
            } else {
                scored(proposal, 0.0)
            }
        },
    );
    assert_eq!(proposals.len(), 8);
    // All scores are equal, so the first addition that did not fail is kept.
    let kept = &proposals[1].placement;
    assert!(proposals[4..].iter().all(|later| {
        kept.connections()
            .all(|placed| later.placement.contains(placed))
    }));
}

#[test]
fn trials_are_divided_among_the_stages() {
    let space = extended(4, 2);
    let greedy: StrategyDescription = "greedy".parse().unwrap();
    let all = run(
        &mut *build(&greedy, &space, 0, 13, None),
        &space,
        4,
        100,
        &|proposal| scored(proposal, 0.0),
    );
    // 13 / 2 = 6 in each of the two stages.
    assert_eq!(all.len(), 12);
}

#[test]
fn settings_out_of_range_are_refused() {
    assert!(matches!(
        Greedy::new(proxy(), steps(1), 0).err(),
        Some(StrategyError::OutOfRange {
            setting: "candidates",
            ..
        })
    ));
}
