//! The gradient map compared with its definition: a linear map M of zeros on the connection, and dL/dM by autograd.

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::Inputs;
use adaplace_search_space::{Connection, Count};
use adaplace_task::Examples;
use adaplace_testkit::TextTask;
use faer::Mat;

use super::{definition, pictures, ragged_inputs, tensors, tiny_vit};
use crate::gradient_map::grown;
use crate::support::{WIDTH, head, model, tiny_bert, tiny_task};
use crate::{GradientMap, GradientMapSettings, Model, Parameters, ScoreError, Statistic};

/// The singular values of the definition's gradient matrix.
fn by_autograd<A: Arithmetic>(
    model: &Model<'_, A>,
    inputs: &Inputs,
    labels: &[u32],
    connection: Connection,
) -> Vec<f64> {
    let gradient = definition::of(model).gradient_matrix(inputs, labels, connection);
    let gradient = Mat::from_fn(WIDTH, WIDTH, |row, column| gradient[row][column]);
    gradient.singular_values().unwrap()
}

/// Checks every connection that `model` does not carry yet.
fn check<A: Arithmetic>(model: &Model<'_, A>, inputs: &Inputs, labels: &[u32]) {
    let map = super::gradient_map(model, inputs, labels);
    assert_eq!((map.hidden_states(), map.examples()), (5, labels.len()));
    let placement = model.parameters().placement();
    for source in 0..5 {
        for target in 0..5 {
            let connection = Connection { source, target };
            if placement.contains(connection) {
                continue;
            }
            let expected = by_autograd(model, inputs, labels, connection);
            let found = map.singular_values(connection).unwrap();
            assert_eq!(found.len(), WIDTH);
            assert!(expected[0] > 1e-4, "{connection}: nothing to compare");
            for (found, expected_value) in found.iter().zip(&expected) {
                let error = (found - expected_value).abs() / expected[0];
                assert!(error < 1e-4, "{connection}, given {placement}: {error:e}");
            }
        }
    }
}

#[test]
fn frozen_text_backbone() {
    let backbone = tiny_bert();
    let model = Model::new(&backbone, Parameters::of_head(WIDTH, &head())).unwrap();
    check(&model, &ragged_inputs(), &[1, 0, 2]);
}

#[test]
fn frozen_image_backbone() {
    let backbone = tiny_vit();
    let model = Model::new(&backbone, Parameters::of_head(WIDTH, &head())).unwrap();
    check(&model, &pictures(), &[2, 0]);
}

/// There is one pass, and a further recurrent connection makes it two.
#[test]
fn beside_adapters_of_one_pass() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(0, 1), (2, 2), (0, 4)]);
    check(&model, &ragged_inputs(), &[1, 0, 2]);
}

/// There are two passes already. The further connections are of every kind, including recurrent ones with a target
/// before, at and after that of the given one.
#[test]
fn beside_adapters_of_two_passes() {
    let backbone = tiny_bert();
    for given in [&[(3, 1)][..], &[(3, 1), (0, 2), (2, 2), (4, 4)][..]] {
        let model = model(&backbone, given);
        check(&model, &ragged_inputs(), &[1, 0, 2]);
    }
}

#[test]
fn beside_adapters_of_one_and_of_two_passes_as_tensors() {
    let backbone = tiny_bert().on(tensors());
    for given in [
        &[(0, 1), (2, 2), (0, 4)][..],
        &[(3, 1), (0, 2), (2, 2), (4, 4)],
    ] {
        check(&model(&backbone, given), &ragged_inputs(), &[1, 0, 2]);
    }
}

fn task_map(model: &Model<'_>, batch_size: usize) -> GradientMap {
    let task = tiny_task(&TextTask::default());
    let settings = GradientMapSettings {
        batch_size: Count::of(batch_size),
        ..GradientMapSettings::default()
    };
    GradientMap::compute(model, &task.train, &Connection::all(5), &settings).unwrap()
}

fn connections() -> impl Iterator<Item = Connection> {
    Connection::all(5).into_iter()
}

#[test]
fn batches_add_up() {
    let backbone = tiny_bert();
    for given in [&[][..], &[(3, 1), (1, 2)][..]] {
        let model = model(&backbone, given);
        let (small, large) = (task_map(&model, 4), task_map(&model, 32));
        assert_eq!((small.examples(), large.examples()), (60, 60));
        for connection in connections() {
            let expected = large.singular_values(connection).unwrap();
            for (found, expected_value) in small
                .singular_values(connection)
                .unwrap()
                .iter()
                .zip(expected)
            {
                let error = (found - expected_value).abs() / expected[0];
                assert!(error < 1e-5, "{connection}: {error:e}");
            }
        }
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[(3, 1)]);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| task_map(&model, 16))
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(3));
}

/// The time grows with the number of connections and the cube of the width.
#[test]
fn the_expected_time_grows_with_the_map() {
    assert_eq!(grown(0.5, (256, 512), 10), 40.0);
    assert!(GradientMap::expected_seconds(64, 10) > 0.0);
}

/// Thresholds are shares of the largest singular value of the whole map, or of the matrix's own.
#[test]
fn statistics_are_those_of_the_singular_values() {
    let backbone = tiny_bert();
    let map = task_map(&model(&backbone, &[]), 32);
    let largest = connections()
        .map(|connection| map.singular_values(connection).unwrap()[0])
        .fold(0.0, f64::max);
    let of =
        |statistic, connection: Connection| map.table(statistic).unwrap().get(connection).unwrap();
    for connection in connections() {
        let values = map.singular_values(connection).unwrap();
        let above = |threshold: f64| values.iter().filter(|&&s| s > threshold).count() as f64;
        let rank = of(Statistic::Rank, connection);
        assert_eq!(rank, above(0.003 * largest));
        let relative = of(Statistic::RelativeRank, connection);
        assert_eq!(relative, above(0.01 * values[0]));
        let norm = values.iter().map(|s| s * s).sum::<f64>().sqrt();
        assert!((of(Statistic::FrobeniusNorm, connection) - norm).abs() < 1e-12);
    }
}

#[test]
fn nothing_to_compute_from_is_an_error() {
    let backbone = tiny_bert();
    let model = model(&backbone, &[]);
    let settings = GradientMapSettings::default();
    let none: Examples = tiny_task(&TextTask::default()).train.select(&[]);
    let error = GradientMap::compute(&model, &none, &Connection::all(5), &settings).unwrap_err();
    assert!(
        error.to_string().contains("at least one example"),
        "{error}"
    );
}

/// A head that is not finite causes gradients that are not.
#[test]
fn gradients_that_are_not_finite_are_an_error() {
    let backbone = tiny_bert();
    let mut weight = vec![0.1; 3 * WIDTH];
    weight[5] = f32::NAN;
    let head = crate::Head {
        weight,
        bias: vec![0.0; 3],
    };
    let model = Model::new(&backbone, Parameters::of_head(WIDTH, &head)).unwrap();
    let task = tiny_task(&TextTask::default());
    let map = GradientMap::compute(
        &model,
        &task.train,
        &Connection::all(5),
        &GradientMapSettings::default(),
    );
    assert!(
        matches!(map, Err(ScoreError::SingularValues { .. })),
        "{map:?}"
    );
}
