//! The fixed baselines of a comparison, and the costs of its searches.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use adaplace_experiments::{Baseline, FinalRecord, StoredComparison};
use adaplace_synthetic::Synthetic;

use crate::comparisons::{MAP_SECONDS, Tested, comparison, finished, of, run};

/// Four adapters of rank 4 at width 4 have 4 (4 * 9 + 4) = 160 parameters: twelve of rank 1 have 12 (9 + 4) = 156.
/// After six blocks, ranks that sum to 12 have 12 * 9 + 6 * 4 = 132, and 24 scales make 156.
#[test]
fn fixed_rules_stand_at_equal_parameters() {
    let mut configuration = comparison(&["random"]);
    configuration.space.adapter.ranks = vec![4];
    configuration.space.budget.adapters = 4;
    let folder = tempfile::tempdir().unwrap();
    let comparison = finished(folder.path(), &configuration, 1);
    let chosen = |name: &str| -> Vec<(u16, u16, u16)> {
        let results = &of(&comparison, name).seeds;
        assert!(
            results
                .iter()
                .all(|one| one.placement == results[0].placement)
        );
        let adapters = results[0].placement.iter();
        adapters
            .map(|(connection, adapter)| (connection.source, connection.target, adapter.rank))
            .collect()
    };
    let parallel: Vec<_> = (0..12).map(|n| (n, n + 1, 1)).collect();
    assert_eq!(chosen("parallel-everywhere-equal"), parallel);
    let sequential: Vec<_> = (1..=12).map(|n| (n, n, 1)).collect();
    assert_eq!(chosen("sequential-everywhere-equal"), sequential);
    let blocks: Vec<_> = (1..=6).map(|block| (2 * block, 2 * block, 2)).collect();
    assert_eq!(chosen("adapter-plus"), blocks);
    // At distances 0, 1 and 1 from 5->5, and the first one at distance 2.
    let gradients = [(4, 4, 4), (4, 5, 4), (5, 5, 4), (5, 6, 4)];
    assert_eq!(chosen("largest-gradients"), gradients);
    let parameters = |name: &str| of(&comparison, name).seeds[0].cost.parameters;
    assert_eq!(parameters("parallel-everywhere-equal"), 156);
    assert_eq!(parameters("adapter-plus"), 132);
    assert_eq!(parameters("largest-gradients"), 160);
    assert!(
        folder
            .path()
            .join("placements/adapter-plus-3.toml")
            .is_file()
    );
    // Only its adapters learn a scale.
    let blocks = &of(&comparison, "adapter-plus").seeds[0].placement;
    let finals = StoredComparison::read(folder.path()).unwrap().finals;
    assert_eq!(finals.iter().filter(|one| one.learned_scale).count(), 3);
    for record in finals {
        assert_eq!(record.learned_scale, record.placement == *blocks);
    }
}

/// The named baselines take part in addition to the strategies, and nothing is trained for the others.
#[test]
fn baselines_are_named() {
    let mut configuration = comparison(&["greedy"]);
    let all = toml::to_string(&configuration).unwrap();
    assert!(!all.contains("baselines"), "{all}");
    configuration.comparison.baselines = vec![Baseline::BestRandom, Baseline::LinearProbe];
    let named = toml::to_string(&configuration).unwrap();
    assert!(
        named.contains("\"best-random\", \"linear-probe\""),
        "{named}"
    );
    let folder = tempfile::tempdir().unwrap();
    let comparison = finished(folder.path(), &configuration, 1);
    let names: BTreeSet<&str> = comparison
        .competitors
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(["best-of-2-random", "greedy", "linear-probe"])
    );
    assert_eq!(comparison.everywhere_seconds, None);
}

/// The best of n random placements of the space are the first n of `random`: nothing new is trained for them.
#[test]
fn the_best_of_a_few_random_placements_is_shared_with_random() {
    let configuration = comparison(&["random"]);
    let folder = tempfile::tempdir().unwrap();
    let comparison = finished(folder.path(), &configuration, 1);
    let few = &of(&comparison, "best-of-2-random").seeds;
    for (few, many) in few.iter().zip(&of(&comparison, "random").seeds) {
        assert_eq!(few.steps, 2 * 9);
        let of_few = many.curve.iter().take_while(|point| point.steps <= 2 * 9);
        assert_eq!(few.curve, of_few.copied().collect::<Vec<_>>());
    }
}

/// Every search is charged for its trainings in the journal, shared or not, and for the gradient map if it asked for
/// it. A final training has one learning rate here.
#[test]
fn what_a_search_took_is_charged_to_it() {
    let mut configuration = comparison(&["exhaustive", "random", "gradient-greedy"]);
    configuration.comparison.budget_steps = 25 * 9;
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::closed_form().slow();
    let stop = AtomicBool::new(false);
    let run = run(
        folder.path(),
        &configuration,
        &scorer,
        &Tested::default(),
        &stop,
        2,
    );
    let comparison = run.unwrap().unwrap();
    let StoredComparison { trials, finals, .. } = StoredComparison::read(folder.path()).unwrap();
    let of_seed = |seed: u32| -> f64 {
        let records = trials.iter().filter(|record| record.repetition == seed);
        records.map(|record| record.seconds).sum()
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    let seconds = |name: &str, seed: usize| of(&comparison, name).seeds[seed - 1].seconds.unwrap();
    for seed in 1..=3 {
        for name in ["exhaustive", "random"] {
            close(seconds(name, seed).trials, of_seed(seed as u32));
            assert!(seconds(name, seed).judgements < 0.1 * MAP_SECONDS);
        }
        let greedy = seconds("gradient-greedy", seed);
        assert!(greedy.trials > 0.0 && greedy.trials < of_seed(seed as u32));
        assert!((greedy.judgements / MAP_SECONDS - 1.0).abs() < 0.1);
        assert_eq!(seconds("largest-gradients", seed).judgements, MAP_SECONDS);
        for name in ["linear-probe", "parallel-everywhere"] {
            let free = seconds(name, seed);
            assert_eq!((free.trials, free.judgements), (0.0, 0.0));
        }
    }
    let everywhere = &of(&comparison, "parallel-everywhere").seeds[0].placement;
    let everywhere: Vec<&FinalRecord> = finals
        .iter()
        .filter(|record| record.placement == *everywhere)
        .collect();
    assert_eq!(everywhere.len(), 3);
    let mean = everywhere.iter().map(|record| record.seconds).sum::<f64>() / 3.0;
    close(comparison.everywhere_seconds.unwrap(), mean);
    let cost = comparison.search_cost(of(&comparison, "exhaustive"), &configuration.comparison);
    let expected = (1..=3)
        .map(|seed| seconds("exhaustive", seed))
        .map(|spent| (spent.trials + spent.judgements) / mean)
        .sum::<f64>();
    close(cost.unwrap(), expected / 3.0);
}
