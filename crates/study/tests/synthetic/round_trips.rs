use adaplace_backbone::{DeviceKind, Pooling, Precision};
use adaplace_scorer::{
    ByClass, GradientMapSettings, Measures, OfNumbers, OfSets, Score, Statistic, Statistics,
    TrainingSettings,
};
use adaplace_search_space::{
    AdapterRules, AdapterSpec, BudgetRules, Connection, ConnectionKind, ConnectionRules, Count,
    Fidelity, Placement, Positive, Reduction, Repetitions, Seed, Share, SpaceDescription,
};
use adaplace_strategy::{
    CostObjective, EvolutionSettings, FirstPopulation, PruneSettings, StrategyDescription,
};
use adaplace_study::{
    BackboneSource, Configuration, GradientMapSource, Journal, MapConnections, Metric, Phase,
    Record, STUDY_FORMAT, SearchSettings, StudyConfiguration, TaskSource, TrialResult,
};
use adaplace_task::{ClassWeights, Columns, ProblemKind};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn positive() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NORMAL, POSITIVE, SUBNORMAL};
    POSITIVE | NORMAL | SUBNORMAL
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]
}

/// A count that fits in a TOML integer.
fn count() -> impl Strategy<Value = usize> {
    prop_oneof![1_usize..100, 1..=i64::MAX as usize]
}

fn fidelity() -> impl Strategy<Value = Fidelity> {
    (1_u32..).prop_map(Fidelity::of)
}

fn strategy() -> impl Strategy<Value = StrategyDescription> {
    let first = select(vec![FirstPopulation::Gradient, FirstPopulation::Uniform]);
    prop_oneof![
        Just(StrategyDescription::Random {}),
        Just(StrategyDescription::Exhaustive {}),
        Just(StrategyDescription::Surrogate {}),
        (count(), option::of(count())).prop_map(|(rounds, start)| StrategyDescription::Prune(
            PruneSettings { rounds, start }
        )),
        option::of(count()).prop_map(|candidates| StrategyDescription::Greedy { candidates }),
        Just(StrategyDescription::GradientGreedy {}),
        (
            option::of(count()),
            count(),
            count(),
            share(),
            share(),
            first,
            positive()
        )
            .prop_map(
                |(founders, population, tournament, crossover, newcomers, first, temperature)| {
                    StrategyDescription::Evolution(EvolutionSettings {
                        founders,
                        population,
                        tournament,
                        crossover,
                        newcomers,
                        first,
                        temperature,
                    })
                }
            ),
    ]
}

fn space() -> impl Strategy<Value = SpaceDescription> {
    let range = || option::of(any::<[u16; 2]>());
    let connections = (
        vec(select(ConnectionKind::ALL.to_vec()), 1..5),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
        range(),
        range(),
    );
    let adapter = (
        vec(any::<u16>(), 1..4),
        proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL,
    );
    let budget = (
        any::<u16>(),
        option::of(any::<u16>()),
        option::of(0..=i64::MAX as u64),
        option::of(positive()),
    );
    (connections, adapter, budget).prop_map(|(connections, (ranks, scale), budget)| {
        let (kinds, min_span, max_span, sources, targets) = connections;
        let (adapters, min_adapters, parameters, extra_flops) = budget;
        SpaceDescription {
            connections: ConnectionRules {
                kinds,
                min_span,
                max_span,
                sources,
                targets,
            },
            adapter: AdapterRules { ranks, scale },
            budget: BudgetRules {
                adapters,
                min_adapters,
                parameters,
                extra_flops,
            },
        }
    })
}

fn search() -> impl Strategy<Value = SearchSettings> {
    (
        0..=i64::MAX as u64,
        (count(), count(), count()),
        fidelity(),
        option::of(2_u32..),
        select(Metric::ALL.to_vec()),
        subsequence(Statistic::ALL.to_vec(), 1..=4)
            .prop_map(|statistics| Statistics::new(statistics).unwrap()),
        (0_u32.., 1_u32.., any::<bool>()),
        subsequence(
            vec![CostObjective::Parameters, CostObjective::ExtraFlops],
            0..=2,
        ),
    )
        .prop_map(
            |(
                seed,
                counts,
                steps,
                halving,
                metric,
                statistic,
                (race, repetitions, grown),
                costs,
            )| {
                let (trials, proposals, finalists) = counts;
                SearchSettings {
                    seed: Seed::of(seed),
                    trials: Count::of(trials),
                    steps,
                    proposals: Count::of(proposals),
                    halving: halving.map(Reduction::of),
                    metric,
                    statistic,
                    costs,
                    objective: None,
                    finalists: Count::of(finalists),
                    race,
                    repetitions: Repetitions::of(repetitions),
                    grown,
                }
            },
        )
}

fn sources() -> impl Strategy<Value = (BackboneSource, TaskSource)> {
    let folder = || "[a-zA-Z0-9 /._'\"\\\\\nßé漢-]{1,20}";
    let pooling = select(vec![Pooling::Mean, Pooling::Cls]);
    let precision = select(vec![Precision::F32, Precision::Bf16, Precision::Tf32]);
    let computed = (precision, select(vec![DeviceKind::Cpu, DeviceKind::Cuda]));
    let backbone = (folder(), pooling, ".*", computed);
    let columns = (".*", ".*", ".*", ".*").prop_map(|(text, pair, label, image)| Columns {
        text,
        pair,
        label,
        image,
    });
    let columns = prop_oneof![Just(Columns::default()), columns];
    let problem = option::of(select(ProblemKind::ALL.to_vec()));
    let weights = select(vec![ClassWeights::Equal, ClassWeights::Balanced]);
    let task = (
        folder(),
        ".*",
        option::of(count()),
        option::of(count()),
        (columns, problem, weights),
    );
    (backbone, task).prop_map(
        |((backbone, pooling, weights_sha256, (precision, device)), task)| {
            let (folder, fingerprint, train_examples, max_length, reading) = task;
            let (columns, problem, class_weights) = reading;
            (
                BackboneSource {
                    folder: backbone.into(),
                    pooling,
                    weights_sha256,
                    precision,
                    device,
                },
                TaskSource {
                    folder: folder.into(),
                    fingerprint,
                    train_examples: train_examples.map(Count::of),
                    max_length,
                    columns,
                    problem,
                    class_weights,
                },
            )
        },
    )
}

fn training() -> impl Strategy<Value = (TrainingSettings, GradientMapSource)> {
    let training = (
        count(),
        positive(),
        positive(),
        share(),
        share(),
        positive(),
        any::<bool>(),
    );
    (training, any::<bool>(), count(), count(), share(), share()).prop_map(
        |(training, space, examples, batch_size, absolute_threshold, relative_threshold)| {
            (
                TrainingSettings {
                    batch_size: Count::of(training.0),
                    adapter_learning_rate: Positive::of(training.1),
                    head_learning_rate: Positive::of(training.2),
                    weight_decay: Share::of(training.3),
                    warm_up: Share::of(training.4),
                    gradient_clip: Positive::of(training.5),
                    learned_scale: training.6,
                },
                GradientMapSource {
                    examples: Count::of(examples),
                    connections: match space {
                        true => MapConnections::Space,
                        false => MapConnections::All,
                    },
                    settings: GradientMapSettings {
                        batch_size: Count::of(batch_size),
                        absolute_threshold: Share::of(absolute_threshold),
                        relative_threshold: Share::of(relative_threshold),
                    },
                },
            )
        },
    )
}

fn configuration() -> impl Strategy<Value = StudyConfiguration> {
    (search(), strategy(), sources(), training(), space()).prop_map(
        |(search, strategy, (backbone, task), (training, gradient_map), space)| {
            StudyConfiguration {
                format: STUDY_FORMAT.to_owned(),
                search,
                strategy,
                backbone,
                task,
                training,
                gradient_map,
                space,
            }
        },
    )
}

fn finite() -> impl Strategy<Value = f64> {
    proptest::num::f64::ANY.prop_filter("finite", |value| value.is_finite())
}

fn placement() -> impl Strategy<Value = Placement> {
    let scale = proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL;
    vec((any::<u16>(), any::<u16>(), 1_u16.., scale), 0..5).prop_map(|adapters| {
        let adapter = |(source, target, rank, scale)| {
            let adapter = AdapterSpec::new(rank, scale).unwrap();
            (Connection::new(source, target), adapter)
        };
        adapters.into_iter().map(adapter).collect()
    })
}

fn measures() -> impl Strategy<Value = Measures> {
    let four = || [finite(), finite(), finite(), finite()];
    prop_oneof![
        finite().prop_map(Measures::of_accuracy),
        four().prop_map(|[accuracy, balanced_accuracy, macro_f1, matthews]| {
            Measures::Classes {
                accuracy,
                by_class: Some(ByClass {
                    balanced_accuracy,
                    macro_f1,
                    matthews,
                }),
            }
        }),
        four().prop_map(|[pearson, spearman, r2, root_mean_squared_error]| {
            Measures::Numbers(OfNumbers {
                pearson,
                spearman,
                r2,
                root_mean_squared_error,
            })
        }),
        four().prop_map(
            |[micro_f1, macro_f1, mean_average_precision, exact_match]| {
                Measures::Sets(OfSets {
                    micro_f1,
                    macro_f1,
                    mean_average_precision,
                    exact_match,
                })
            }
        ),
    ]
}

fn result() -> impl Strategy<Value = TrialResult> {
    prop_oneof![
        (finite(), finite(), measures()).prop_map(|(train, loss, measures)| {
            TrialResult::Score(Score {
                train_loss: train,
                validation_loss: loss,
                measures,
            })
        }),
        any::<String>().prop_map(TrialResult::Failed),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let phase = select(vec![Phase::Search, Phase::Finalist, Phase::Baseline]);
    (
        placement(),
        phase,
        fidelity(),
        any::<u32>(),
        result(),
        finite(),
    )
        .prop_map(
            |(placement, phase, steps, repetition, result, seconds)| Record {
                trial: 0,
                phase,
                hash: placement.hash(),
                placement,
                steps,
                repetition,
                result,
                seconds,
            },
        )
}

/// The bits of all floats of a record.
fn bits(record: &Record) -> Vec<u64> {
    let mut floats = vec![record.seconds];
    if let TrialResult::Score(score) = &record.result {
        floats.extend([
            score.train_loss,
            score.validation_loss,
            score.measures.headline(),
        ]);
    }
    floats.into_iter().map(f64::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_configuration_reads_back_equal(configuration in configuration()) {
        let text = configuration.to_toml().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.toml");
        std::fs::write(&path, &text).unwrap();
        let read = StudyConfiguration::read(&path).unwrap();
        prop_assert_eq!(&read, &configuration);
        prop_assert_eq!(read.to_toml().unwrap(), text);
    }

    #[test]
    fn journal_lines_read_back_to_the_last_bit(mut records in vec(record(), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        for (trial, record) in records.iter_mut().enumerate() {
            record.trial = trial;
        }
        let (mut journal, read) = Journal::open(&path).unwrap();
        prop_assert!(read.is_empty());
        for record in &records {
            journal.append(record).unwrap();
        }
        drop(journal);
        let (_journal, read) = Journal::open(&path).unwrap();
        prop_assert_eq!(&read, &records);
        for (read, record) in read.iter().zip(&records) {
            prop_assert_eq!(bits(read), bits(record));
        }
    }
}
