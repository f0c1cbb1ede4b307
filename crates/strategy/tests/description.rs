//! The serialised form of strategies, and exhaustive and random search built from it.
#![allow(clippy::unwrap_used)]

mod common;

use adaplace_search_space::Placement;
use adaplace_strategy::{
    EvolutionSettings, FirstPopulation, Outcome, StrategyDescription, StrategyError,
    StrategySetting,
};
use common::{build, extended, placements, run, steps};

#[test]
fn a_name_alone_gives_the_defaults() {
    for &name in StrategyDescription::NAMES {
        let named: StrategyDescription = name.parse().unwrap();
        assert_eq!(named.name(), name);
        let read: StrategyDescription = toml::from_str(&format!("name = \"{name}\"")).unwrap();
        assert_eq!(read, named);
        let written = toml::to_string(&named).unwrap();
        assert_eq!(
            toml::from_str::<StrategyDescription>(&written).unwrap(),
            named
        );
    }
    let defaults = EvolutionSettings::default();
    assert_eq!(
        (defaults.population, defaults.tournament, defaults.crossover),
        (16, 8, 0.3)
    );
}

#[test]
fn unknown_names_and_settings_are_refused() {
    let error = "annealing"
        .parse::<StrategyDescription>()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`annealing`") && error.contains("gradient-greedy"),
        "{error}"
    );
    for text in [
        "name = \"random\"\npopulation = 4",
        "name = \"greedy\"\npopulation = 4",
        "name = \"gradient-greedy\"\ncandidates = 2",
        "name = \"evolution\"\nrounds = 2",
        "name = \"prune\"\npopulation = 4",
        "name = \"surrogate\"\nrounds = 2",
        "name = \"annealing\"",
        "",
    ] {
        assert!(
            toml::from_str::<StrategyDescription>(text).is_err(),
            "{text}"
        );
    }
}

#[test]
fn strategies_that_judge_connections_need_a_proxy() {
    let space = extended(2, 1);
    let uniform = EvolutionSettings {
        first: FirstPopulation::Uniform,
        ..EvolutionSettings::default()
    };
    for (description, needs) in [
        ("random".parse().unwrap(), false),
        ("exhaustive".parse().unwrap(), false),
        ("greedy".parse().unwrap(), true),
        ("gradient-greedy".parse().unwrap(), true),
        ("evolution".parse().unwrap(), true),
        ("surrogate".parse().unwrap(), true),
        ("prune".parse().unwrap(), true),
        (StrategyDescription::Evolution(uniform), false),
    ] {
        let setting = StrategySetting {
            space: &space,
            fidelity: steps(1),
            seed: 0,
            trials: 4,
            halving: None,
            costs: Vec::new(),
            proxy: None,
        };
        let missing = matches!(
            description.build(setting),
            Err(StrategyError::NeedsProxy { .. })
        );
        assert_eq!(missing, needs, "{description:?}");
    }
}

#[test]
fn exhaustive_search_is_refused_with_the_count() {
    let space = extended(13, 3);
    let setting = StrategySetting {
        space: &space,
        fidelity: steps(1),
        seed: 0,
        trials: 64,
        halving: None,
        costs: Vec::new(),
        proxy: None,
    };
    let exhaustive = StrategyDescription::Exhaustive {};
    let error = exhaustive.build(setting).err().unwrap();
    // This is C(169, 3).
    assert!(matches!(
        error,
        StrategyError::SpaceTooLarge {
            count: Some(790_244),
            trials: 64
        }
    ));
    assert!(
        error
            .to_string()
            .contains("790244 placements, more than the 64 trials"),
        "{error}"
    );
}

#[test]
fn exhaustive_search_follows_the_order_of_the_space() {
    let space = extended(4, 2);
    let exhaustive = StrategyDescription::Exhaustive {};
    let all = run(
        &mut *build(&exhaustive, &space, 0, 120, None),
        &space,
        7,
        1000,
        &|_| Outcome::Failed,
    );
    let expected: Vec<Placement> = space.placements().collect();
    assert_eq!(placements(&all), expected);
}

#[test]
fn seeds_lead_to_different_proposals() {
    let space = extended(13, 3);
    let random = StrategyDescription::Random {};
    let proposals = |seed| {
        run(
            &mut *build(&random, &space, seed, 10, None),
            &space,
            5,
            10,
            &|_| Outcome::Failed,
        )
    };
    assert_ne!(proposals(0), proposals(1));
}
