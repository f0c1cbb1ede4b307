//! The cross-fitted statistics compared with their definition: gradient matrices by autograd, U V^T from a full
//! decomposition.

use adaplace_search_space::{AdapterSpec, Connection, ConnectionTable, Placement};
use adaplace_task::Examples;
use adaplace_testkit::TextTask;
use faer::Mat;

use super::definition;
use crate::inputs::inputs;
use crate::support::{CLASSES, WIDTH, model, tiny_bert, tiny_task};
use crate::{
    GradientMap, GradientMapSettings, LinearProbe, Model, ScoreError, Statistic, Statistics,
    features,
};

/// <U V^T, on> with `of` = U S V^T.
fn step(of: &Mat<f64>, on: &Mat<f64>) -> f64 {
    let svd = of.svd().unwrap();
    // Directions that are due to rounding are arbitrary.
    let largest = svd.S().column_vector()[0];
    let mut sum = 0.0;
    for k in 0..of.nrows() {
        if svd.S().column_vector()[k] > 1e-5 * largest {
            let image = on * svd.V().col(k);
            sum += svd.U().col(k).transpose() * &image;
        }
    }
    sum
}

fn cosine(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    let mut product = 0.0;
    for row in 0..a.nrows() {
        for column in 0..a.ncols() {
            product += a[(row, column)] * b[(row, column)];
        }
    }
    product / (a.norm_l2() * b.norm_l2())
}

/// The gradient matrix of `model` over all of `examples`.
fn gradient(model: &Model<'_>, examples: &Examples, connection: Connection) -> Mat<f64> {
    let rows: Vec<usize> = (0..examples.len()).collect();
    let inputs = inputs(examples, &rows);
    let gradient = definition::of(model).gradient_matrix(
        &inputs,
        examples.labels.classes().unwrap(),
        connection,
    );
    Mat::from_fn(WIDTH, WIDTH, |row, column| gradient[row][column])
}

/// The model's adapters with the probe fitted to `half`.
fn fitted<'a>(model: &Model<'a>, half: &Examples, validation: &Examples) -> Model<'a> {
    let of = |examples: &Examples| features(model, examples, 32).unwrap();
    let probe = LinearProbe::fit(&of(half), &of(validation), CLASSES).unwrap();
    let parameters = model.parameters().clone().with_head(&probe.head());
    Model::new(model.backbone(), parameters).unwrap()
}

#[test]
fn statistics_are_those_of_the_definition() {
    let backbone = tiny_bert();
    let task = tiny_task(&TextTask::default());
    let (train, validation) = (task.train.spread(21), task.validation.spread(12));
    let half = |first: usize| {
        let rows: Vec<usize> = (first..train.len()).step_by(2).collect();
        train.select(&rows)
    };
    let (even, odd) = (half(0), half(1));
    for given in [&[][..], &[(2, 1), (0, 3)]] {
        let model = model(&backbone, given);
        let settings = GradientMapSettings::default();
        let map =
            GradientMap::cross_fitted(&model, (&train, &validation), &every(), &settings, &all())
                .unwrap();
        let by_even = fitted(&model, &even, &validation);
        let by_odd = fitted(&model, &odd, &validation);
        for connection in [(0, 4), (1, 1), (2, 3), (4, 2)] {
            let connection = Connection::new(connection.0, connection.1);
            let of = |model: &Model<'_>, examples| gradient(model, examples, connection);
            let (on_odd, on_even) = (of(&by_even, &odd), of(&by_odd, &even));
            let (on_train, on_validation) = (of(&model, &train), of(&model, &validation));
            for (statistic, expected, scale) in [
                (
                    Statistic::Alignment,
                    (step(&on_odd, &on_even) + step(&on_even, &on_odd)) / 2.0,
                    step(&on_even, &on_even) + step(&on_odd, &on_odd),
                ),
                (
                    Statistic::ValidationAlignment,
                    step(&on_train, &on_validation),
                    step(&on_validation, &on_validation),
                ),
                (Statistic::Agreement, cosine(&on_odd, &on_even), 1.0),
            ] {
                let found = map.table(statistic).unwrap().get(connection).unwrap();
                let error = (found - expected).abs() / scale;
                assert!(
                    error < 1e-4,
                    "{statistic} of {connection}, given {given:?}: {error:e}"
                );
            }
        }
    }
}

fn every() -> Vec<Connection> {
    Connection::all(5)
}

fn all() -> Statistics {
    Statistics::new(Statistic::ALL.to_vec()).unwrap()
}

/// The other statistics are the same as in a map without them.
#[test]
fn the_other_statistics_stay_as_they_are() {
    let backbone = tiny_bert();
    let task = tiny_task(&TextTask::default());
    let model = model(&backbone, &[(0, 2)]);
    let settings = GradientMapSettings::default();
    let plain = GradientMap::compute(&model, &task.train, &every(), &settings).unwrap();
    let crossed = GradientMap::cross_fitted(
        &model,
        (&task.train, &task.validation),
        &every(),
        &settings,
        &all(),
    )
    .unwrap();
    for &statistic in Statistic::ALL {
        match statistic.is_cross_fitted() {
            true => assert_eq!(plain.table(statistic), None),
            false => assert_eq!(plain.table(statistic), crossed.table(statistic)),
        }
    }
    let needs = Statistics::new(vec![Statistic::Rank, Statistic::Alignment]).unwrap();
    assert_eq!(plain.connection_scores(&needs), None);

    // Halves are compared only for the statistics that need it.
    let one = Statistic::ValidationAlignment;
    let parts = GradientMap::cross_fitted(
        &model,
        (&task.train, &task.validation),
        &every(),
        &settings,
        &one.into(),
    )
    .unwrap();
    assert_eq!(parts.table(one), crossed.table(one));
    assert_eq!(parts.table(Statistic::Agreement), None);
    assert_eq!(parts.connection_scores(&needs), None);
    let error = GradientMap::cross_fitted(
        &model,
        (&task.train.spread(1), &task.validation),
        &every(),
        &settings,
        &all(),
    );
    assert!(matches!(
        error,
        Err(ScoreError::TooFewExamples { train: 1, .. })
    ));
}

/// The matrices of a map of some connections are those of the whole map. Ranks are those among the connections of the map,
/// and only these can be judged.
#[test]
fn a_map_of_some_connections() {
    let backbone = tiny_bert();
    let task = tiny_task(&TextTask::default());
    let model = model(&backbone, &[]);
    let settings = GradientMapSettings::default();
    let map = |connections: &[Connection]| {
        let parts = (&task.train, &task.validation);
        GradientMap::cross_fitted(&model, parts, connections, &settings, &all()).unwrap()
    };
    let some = [(4, 4), (0, 1), (3, 1), (2, 3)].map(|(i, j)| Connection::new(i, j));
    let (whole, part) = (map(&every()), map(&some));
    assert_eq!(part.connections().len(), 4);
    for statistic in [
        Statistic::NuclearNorm,
        Statistic::Agreement,
        Statistic::ValidationAlignment,
    ] {
        let (expected, found) = (
            whole.table(statistic).unwrap(),
            part.table(statistic).unwrap(),
        );
        assert_eq!(found.values().count(), 4);
        for one in some {
            let (expected, found) = (expected.get(one).unwrap(), found.get(one).unwrap());
            assert!(
                (found - expected).abs() <= 1e-4 * expected.abs(),
                "{statistic} of {one}"
            );
        }
    }
    let statistics = Statistics::new(vec![Statistic::NuclearNorm, Statistic::Agreement]).unwrap();
    let scores = part.connection_scores(&statistics).unwrap();
    assert!(
        scores
            .values()
            .all(|score| (score * 8.0).fract() == 0.0 && score >= 0.25)
    );

    let adapter = AdapterSpec::new(1, 1.0).unwrap();
    let joint = part.joint().unwrap();
    let gain = |one| joint.gain(&Placement::new().with(one, adapter));
    assert!(some.into_iter().all(|one| gain(one).unwrap() > 0.0));
    let other = Connection::new(1, 0);
    assert!(matches!(gain(other), Err(ScoreError::NotInMap { connection }) if connection == other));
    let coupling = |map: &GradientMap| map.joint().unwrap().coupling(some[0], some[1]).unwrap();
    assert!((coupling(&part) - coupling(&whole)).abs() < 0.2);

    let outside = [Connection::new(0, 5)];
    let error = GradientMap::compute(&model, &task.train, &outside, &settings).unwrap_err();
    assert!(matches!(error, ScoreError::OutOfRange { last: 4, .. }));
}

/// A single statistic is the connection score, but not below zero. Several are combined by their mean rank, and ties
/// share a rank.
#[test]
fn connection_scores_are_values_or_mean_ranks() {
    let backbone = tiny_bert();
    let task = tiny_task(&TextTask::default());
    let model = model(&backbone, &[]);
    let settings = GradientMapSettings::default();
    let map = GradientMap::cross_fitted(
        &model,
        (&task.train, &task.validation),
        &every(),
        &settings,
        &all(),
    )
    .unwrap();
    let flat = |table: ConnectionTable| table.values().collect::<Vec<f64>>();
    let of = |statistic| flat(map.table(statistic).unwrap());
    let alone = map.connection_scores(&Statistic::Agreement.into()).unwrap();
    let floored: Vec<f64> = of(Statistic::Agreement)
        .iter()
        .map(|x| x.max(0.0))
        .collect();
    assert_eq!(flat(alone), floored);

    let both = Statistics::new(vec![Statistic::Rank, Statistic::Alignment]).unwrap();
    let found = flat(map.connection_scores(&both).unwrap());
    let rank = |values: &[f64], value: f64| {
        let below = values.iter().filter(|&&other| other < value).count() as f64;
        let equal = values.iter().filter(|&&other| other == value).count() as f64;
        below + (equal + 1.0) / 2.0
    };
    let (ranks, alignments) = (of(Statistic::Rank), of(Statistic::Alignment));
    for (index, found) in found.iter().enumerate() {
        let expected = rank(&ranks, ranks[index]) + rank(&alignments, alignments[index]);
        assert!((found - expected / 50.0).abs() < 1e-12);
    }
}
