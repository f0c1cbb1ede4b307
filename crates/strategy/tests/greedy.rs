//! Greedy and gradient-greedy search, each step by hand.
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

/// Three states; the promises of `0->0 0->1 0->2 1->0 1->1 1->2 2->0 2->1 2->2`.
fn table(promises: [f64; 9]) -> Arc<dyn ConnectionProxy> {
    let pairs = (0..3).flat_map(|source| (0..3).map(move |target| Connection::new(source, target)));
    Arc::new(pairs.zip(promises).collect::<FixedProxy>())
}

fn gradient_greedy(promises: [f64; 9], gamma: f64, adapters: u16) -> Vec<String> {
    let mut strategy = GradientGreedy::new(table(promises), steps(8), gamma).unwrap();
    let proposals = strategy.propose(&extended(3, adapters), 10).unwrap();
    assert_eq!(proposals.len(), 1);
    connections(&proposals[0].placement)
}

#[test]
fn discount_by_hand() {
    let promises = [10.0, 9.0, 5.0, 1.0, 8.0, 1.0, 1.0, 1.0, 7.0];
    // First 0->0 (10). At gamma 0.6 the distances 1, 2, 4 leave 0.4, 0.64, 0.8704 of a score: 0->1 has 3.6,
    // 0->2 3.2, 1->1 5.12 and 2->2 6.0928, the second pick. It leaves 0.64 of 1->1 (3.2768), of 0->2 (2.048) and
    // 1 - 0.6^3 = 0.784 of 0->1 (2.8224): the third pick is 1->1.
    assert_eq!(gradient_greedy(promises, 0.6, 2), ["0->0", "2->2"]);
    assert_eq!(gradient_greedy(promises, 0.6, 3), ["0->0", "1->1", "2->2"]);
    // Without a discount the largest promises.
    assert_eq!(gradient_greedy(promises, 0.0, 3), ["0->0", "0->1", "1->1"]);
}

#[test]
fn equal_promises_are_taken_in_order() {
    assert_eq!(gradient_greedy([1.0; 9], 0.0, 2), ["0->0", "0->1"]);
}

#[test]
fn ranks_are_the_largest_that_all_could_have() {
    // At width 4 an adapter of rank r has 9 r + 4 parameters: two of rank 8 have 152, of rank 8 and 16 have 224, two
    // of rank 16 have 296.
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
        let mut strategy = GradientGreedy::new(proxy(), steps(1), 0.6).unwrap();
        let placement = strategy.propose(&space, 1).unwrap().remove(0).placement;
        let mut ranks: Vec<u16> = placement.iter().map(|(_, adapter)| adapter.rank).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, expected, "{parameters}");
    }
}

/// Promises the connections that end where the last adapter starts; remembers what it was given.
struct Chaining(Mutex<Vec<Placement>>);

impl ConnectionProxy for Chaining {
    fn promise(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        self.0.lock().unwrap().push(given.clone());
        let start = given
            .connections()
            .last()
            .map_or(2, |connection| connection.source);
        let promise = |connection: &Connection| if connection.target == start { 1.0 } else { 0.0 };
        Ok(connections.iter().map(promise).collect())
    }
}

/// The second stages of the searches with and without a discount, after 2->2 has won the first one.
#[test]
fn stages_train_the_most_promising_at_what_has_been_placed() {
    let space = extended(3, 2);
    // Those that end at state 2 promise the most, 0->2 at place 8 of 8 and 1->2 at 7, before 0->0 at 6 and 0->1 at 5. At
    // the discount for being near 2->2 that is 8 * (1 - 0.6^2) = 5.12, 7 * (1 - 0.6) = 2.8, 6 * (1 - 0.6^4) = 5.22 and
    // 5 * (1 - 0.6^3) = 3.92. The last one of a stage is the next one near the best.
    for (gamma, second) in [
        (0.0, ["0->2", "1->2", "0->1"]),
        (0.6, ["0->0", "0->2", "0->1"]),
    ] {
        let proxy = Chaining(Mutex::new(Vec::new()));
        let proposals = {
            let shared: Arc<dyn ConnectionProxy + '_> = Arc::new(Borrowed(&proxy));
            let mut strategy = Greedy::new(shared, steps(8), 3, gamma).unwrap();
            // The later the sources, the better.
            run(&mut strategy, &space, 2, 100, &|proposal| {
                scored(
                    proposal,
                    proposal
                        .placement
                        .connections()
                        .map(|connection| f64::from(connection.source))
                        .sum(),
                )
            })
        };
        let names: Vec<Vec<String>> = placements(&proposals).iter().map(connections).collect();
        let mut expected: Vec<Vec<&str>> = vec![vec!["0->2"], vec!["1->2"], vec!["2->2"]];
        expected.extend(second.map(|addition| vec![addition, "2->2"]));
        assert_eq!(names, expected);
        let given = proxy.0.into_inner().unwrap();
        assert_eq!(given.iter().map(Placement::len).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(connections(&given[1]), ["2->2"]);
    }
}

/// Half of a stage goes by promise, the other half by nearness to the best so far, in rounds of half of what is left.
#[test]
fn the_second_half_of_a_stage_is_near_the_best() {
    let space = extended(5, 1);
    let promised = [(4, 4), (0, 0), (2, 2), (0, 4)];
    let all = (0..5).flat_map(|source| (0..5).map(move |target| (source, target)));
    let promises = all.map(|(source, target)| {
        let place = promised.iter().position(|&one| one == (source, target));
        let promise = place.map_or(0.0, |place| 9.0 - place as f64);
        (Connection::new(source, target), promise)
    });
    let proxy: Arc<dyn ConnectionProxy> = Arc::new(promises.collect::<FixedProxy>());
    let mut strategy = Greedy::new(proxy, steps(8), 8, 0.0).unwrap();
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
    // 0->0 and 2->2 are as good, the earlier one counts: 0->1 and 0->2 are the first near it. Then 0->1 is the best, near
    // it are 0->3 and, as that is worse, 1->0.
    let expected = [
        "4->4", "0->0", "2->2", "0->4", "0->1", "0->2", "0->3", "1->0",
    ];
    assert_eq!(names, expected);
}

/// A proxy that borrows, as one that holds a scorer does.
struct Borrowed<'a>(&'a Chaining);

impl ConnectionProxy for Borrowed<'_> {
    fn promise(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        self.0.promise(given, connections)
    }
}

#[test]
fn a_failed_stage_ends_the_search_but_a_failed_addition_does_not() {
    let space = extended(3, 2);
    let greedy = StrategyDescription::Greedy {
        candidates: Some(4),
        gamma: 0.0,
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
    // All scores equal: the first one that did not fail goes on.
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
    // 13 / 2 = 6 in each of the two stages
    assert_eq!(all.len(), 12);
}

#[test]
fn settings_out_of_range_are_refused() {
    for gamma in [-0.1, 1.0, f64::NAN] {
        let of_gradient_greedy = GradientGreedy::new(proxy(), steps(1), gamma).err();
        let of_greedy = Greedy::new(proxy(), steps(1), 1, gamma).err();
        for error in [of_gradient_greedy, of_greedy] {
            assert!(matches!(
                error,
                Some(StrategyError::OutOfRange {
                    setting: "gamma",
                    ..
                })
            ));
        }
    }
    assert!(matches!(
        Greedy::new(proxy(), steps(1), 0, 0.0).err(),
        Some(StrategyError::OutOfRange {
            setting: "candidates",
            ..
        })
    ));
}
