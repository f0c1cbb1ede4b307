//! Regularised evolution: ageing, parents, the first population, and its results.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use adaplace_search_space::{Connection, Placement, SearchSpace};
use adaplace_strategy::{
    CostObjective, Evolution, EvolutionSettings, FirstPopulation, FixedProxy, Outcome, Proposal,
    Random, Strategy, StrategyDescription, StrategyError,
};
use common::{build, extended, run, scored, steps};

fn uniform(population: usize, tournament: usize, crossover: f64) -> EvolutionSettings {
    EvolutionSettings {
        founders: Some(population),
        population,
        tournament,
        crossover,
        newcomers: 0.0,
        first: FirstPopulation::Uniform,
        temperature: 1.0,
    }
}

fn shared(a: &Placement, b: &Placement) -> usize {
    a.connections()
        .filter(|&connection| b.contains(connection))
        .count()
}

fn next(strategy: &mut Evolution<'_>, space: &SearchSpace, objective: f64) -> Placement {
    let proposal = strategy.propose(space, 1).unwrap().remove(0);
    strategy.observe(&proposal, &scored(&proposal, objective));
    proposal.placement
}

#[test]
fn the_oldest_leaves_even_if_it_is_the_best() {
    let space = extended(13, 3);
    let mut compared = 0;
    for seed in 0..20 {
        // With a tournament of 64 among two, the best is always a parent (with a probability of 1 - 2^-64).
        let mut strategy = Evolution::new(uniform(2, 64, 0.0), steps(1), seed, None).unwrap();
        let oldest = next(&mut strategy, &space, 2.0);
        let second = next(&mut strategy, &space, 1.0);
        let child_of_oldest = next(&mut strategy, &space, 0.0);
        let child_of_second = next(&mut strategy, &space, 0.0);
        // A mutation keeps two of three connections, while founders mostly have none in common.
        assert_eq!(shared(&oldest, &child_of_oldest), 2);
        assert_eq!(shared(&second, &child_of_second), 2);
        compared +=
            usize::from(shared(&oldest, &second) == 0 && shared(&oldest, &child_of_second) < 2);
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn failed_placements_are_never_parents() {
    let space = extended(13, 3);
    for seed in 0..20 {
        let mut strategy = Evolution::new(uniform(2, 1, 0.0), steps(1), seed, None).unwrap();
        let founders = strategy.propose(&space, 10).unwrap();
        // The first population is observed as a whole before it has children.
        assert_eq!(founders.len(), 2);
        strategy.observe(&founders[0], &Outcome::Failed);
        strategy.observe(&founders[1], &scored(&founders[1], 0.0));
        for child in strategy.propose(&space, 10).unwrap() {
            assert_eq!(shared(&founders[1].placement, &child.placement), 2);
        }
    }
}

/// A search with few trials does not spend them all on founders: there are a third of the trials, at least four and at
/// most the population.
#[test]
fn founders_are_a_third_of_the_trials() {
    let space = extended(13, 3);
    for (trials, expected) in [(5, 4), (16, 6), (64, 16), (1000, 16)] {
        let evolution: StrategyDescription = "evolution".parse().unwrap();
        let mut strategy = build(&evolution, &space, 0, trials, None);
        assert_eq!(strategy.propose(&space, 100).unwrap().len(), expected);
    }
}

#[test]
fn the_first_population_follows_the_softmax_of_the_standardised_scores() {
    // One of four connections (two states) has score 1 and three have 0: mean 1/4, deviation sqrt(3)/4. So the
    // standardised connection scores differ by 4 / sqrt(3), and the softmax is e^2.3094 / (e^2.3094 + 3) = 0.7704.
    let space = extended(2, 1);
    let promising = Connection::new(1, 0);
    let connection_score =
        |&connection: &Connection| (connection, f64::from(u8::from(connection == promising)));
    let table: BTreeMap<Connection, f64> =
        space.connections().iter().map(connection_score).collect();
    let settings = EvolutionSettings {
        temperature: 1.0,
        ..EvolutionSettings::default()
    };
    let drawn = (0..2000).filter(|&seed| {
        let proxy = std::sync::Arc::new(FixedProxy::new(table.clone()));
        let mut strategy = Evolution::new(settings, steps(1), seed, Some(proxy)).unwrap();
        strategy.propose(&space, 1).unwrap()[0]
            .placement
            .contains(promising)
    });
    let share = drawn.count() as f64 / 2000.0;
    // Five standard deviations of a binomial share are 5 sqrt(0.77 * 0.23 / 2000) = 0.047.
    assert!((share - 0.7704).abs() < 0.047, "{share}");
}

/// The sum of one value per connection, with the best near the middle of the map.
fn separable(proposal: &Proposal) -> Outcome {
    let value = |connection: Connection| -f64::from(connection.distance(Connection::new(9, 2)));
    scored(proposal, proposal.placement.connections().map(value).sum())
}

#[test]
fn evolution_beats_random_search_on_a_separable_objective() {
    let space = extended(13, 3);
    let best = |proposals: Vec<Proposal>| {
        let merits = proposals
            .iter()
            .filter_map(|proposal| separable(proposal).merit());
        merits.max().unwrap().objective
    };
    let seeds = 20;
    let mut margins = Vec::new();
    for seed in 0..seeds {
        let mut evolution = Evolution::new(uniform(16, 4, 0.3), steps(1), seed, None).unwrap();
        let mut random = Random::new(steps(1), seed);
        let evolved = best(run(&mut evolution, &space, 4, 120, &separable));
        margins.push(evolved - best(run(&mut random, &space, 4, 120, &separable)));
    }
    // The optimum is -2 (the connection itself and two neighbours).
    let mean = margins.iter().sum::<f64>() / seeds as f64;
    assert!(mean >= 2.0, "{mean}");
    assert!(
        margins.iter().filter(|&&margin| margin > 0.0).count() >= 16,
        "{margins:?}"
    );
}

#[test]
fn settings_out_of_range_are_refused() {
    let valid = uniform(2, 2, 0.5);
    for (settings, name) in [
        (
            EvolutionSettings {
                population: 0,
                ..valid
            },
            "population",
        ),
        (
            EvolutionSettings {
                founders: Some(0),
                ..valid
            },
            "founders",
        ),
        (
            EvolutionSettings {
                tournament: 0,
                ..valid
            },
            "tournament",
        ),
        (
            EvolutionSettings {
                crossover: 1.5,
                ..valid
            },
            "crossover",
        ),
        (
            EvolutionSettings {
                crossover: f64::NAN,
                ..valid
            },
            "crossover",
        ),
        (
            EvolutionSettings {
                newcomers: -0.1,
                ..valid
            },
            "newcomers",
        ),
        (
            EvolutionSettings {
                temperature: 0.0,
                ..valid
            },
            "temperature",
        ),
    ] {
        let error = Evolution::new(settings, steps(1), 0, None).err();
        assert!(
            matches!(error, Some(StrategyError::OutOfRange { setting, .. }) if setting == name)
        );
    }
    assert!(matches!(
        Evolution::new(EvolutionSettings::default(), steps(1), 0, None).err(),
        Some(StrategyError::NeedsProxy {
            strategy: "evolution"
        })
    ));
}

/// Ranks of 1 to 16 on 81 connections, where a better connection and a larger rank are better and a smaller rank is
/// cheaper. The front has one placement for each rank. With the cost as a second objective most of the front is found,
/// including its cheap ends.
#[test]
fn with_costs_the_front_is_searched_instead_of_its_best_end() {
    let space = common::space(
        9,
        "[connections]\nkinds = [\"sequential\", \"parallel\", \"long-range\", \"recurrent\"]\n\
         [adapter]\nranks = [1, 2, 4, 8, 16]\n[budget]\nadapters = 1\n",
    );
    let quality = |placement: &Placement| -> f64 {
        let values = placement.iter().map(|(connection, adapter)| {
            let (source, target) = (f64::from(connection.source), f64::from(connection.target));
            // The best connection is 2 -> 6.
            f64::from(adapter.rank).log2() - (source - 2.0).abs() - (target - 6.0).abs()
        });
        values.sum()
    };
    let found = |costs: Vec<CostObjective>, seed: u64| -> BTreeMap<u16, f64> {
        let settings = uniform(16, 3, 0.3);
        let mut strategy = Evolution::new(settings, steps(1), seed, None)
            .unwrap()
            .with_costs(costs);
        let outcome = |proposal: &Proposal| scored(proposal, quality(&proposal.placement));
        let proposals = run(&mut strategy, &space, 4, 150, &outcome);
        let mut best = BTreeMap::new();
        for placement in proposals.iter().map(|proposal| &proposal.placement) {
            let rank = placement.iter().next().unwrap().1.rank;
            let entry = best.entry(rank).or_insert(f64::NEG_INFINITY);
            *entry = f64::max(*entry, quality(placement));
        }
        best
    };
    let missing = |costs: &[CostObjective]| -> f64 {
        let seeds = 0..20;
        let of_seed = |seed| {
            let best = found(costs.to_vec(), seed);
            // The distance of the best placement of each rank from the front, log2(rank).
            let of_rank = |rank: u16| f64::from(rank).log2() - best.get(&rank).unwrap_or(&-14.0);
            [1, 2, 4, 8, 16].map(of_rank).iter().sum::<f64>()
        };
        seeds.map(of_seed).sum::<f64>() / 20.0
    };
    let (front, best_end) = (missing(&[CostObjective::Parameters]), missing(&[]));
    assert!(
        front < 0.7 * best_end,
        "{front} with costs, {best_end} without"
    );
    let again = || {
        found(
            vec![CostObjective::ExtraFlops, CostObjective::Parameters],
            7,
        )
    };
    assert_eq!(again(), again());
}
