//! The derivatives of single examples along the leading directions of every connection.

use adaplace_arithmetic::Arithmetic;
use faer::Mat;

use crate::directions::{Directions, LEADING, MAPS};
use crate::engine::{Engine, Reuse, Shard, for_all};
use crate::{Model, ScoreError};

/// For each example x of the shards, connection i -> j and map M, the derivative of its loss along M, with the sign of a
/// decrease: minus the sum over tokens of dL/dh_j M norm(h_i).
///
/// The maps are the first pairs u_m v_m^T of the connection's directions, and the sum of the others. The directions are
/// those of all connections, by source, then target. The result is (examples, connections x maps).
pub(crate) fn example_gradients<A: Arithmetic>(
    directions: &[&Directions],
    model: &Model<'_, A>,
    shards: &[Shard<'_, A>],
) -> Result<Mat<f32>, ScoreError> {
    let engine = Engine::new(model, Reuse::Nothing)?;
    let arithmetic = engine.arithmetic();
    let values = engine.written(&[model])?;
    let states = model.backbone().description().hidden_states;
    let directions = arithmetic.directions(side_by_side(directions, states))?;
    let of_shards: Vec<Vec<f32>> = for_all(shards, |shard: &Shard<'_, A>, workspace| {
        engine.loss_and_gradients(&values, shard, 1.0, workspace)?;
        let read = engine.normalized(0, workspace)?;
        let added = engine.gradients(0, 0..states, workspace)?;
        Ok(arithmetic.along_directions(&directions, &read, &added, &shard.examples)?)
    })?;
    let (all, columns) = (of_shards.concat(), states * states * MAPS);
    Ok(Mat::from_fn(all.len() / columns, columns, |row, column| {
        -all[row * columns + column]
    }))
}

/// The directions of all connections of `states` hidden states, as an arithmetic takes them.
fn side_by_side(of_connections: &[&Directions], states: usize) -> adaplace_arithmetic::Directions {
    let first = &of_connections[0].right;
    let at = |source: usize, target: usize| of_connections[source * states + target];
    let columns = |of: &Mat<f32>| -> Vec<f32> {
        let each = of.col_iter();
        each.flat_map(|column| column.iter().copied().collect::<Vec<f32>>())
            .collect()
    };
    let pairs = || (0..states).flat_map(|a| (0..states).map(move |b| (a, b)));
    adaplace_arithmetic::Directions {
        states,
        width: first.nrows(),
        count: first.ncols(),
        apart: LEADING,
        right: pairs()
            .flat_map(|(source, target)| columns(&at(source, target).right))
            .collect(),
        left: pairs()
            .flat_map(|(target, source)| columns(&at(source, target).left))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use adaplace_backbone::Backbone;
    use adaplace_task::Examples;
    use adaplace_testkit::TextTask;

    use super::*;
    use crate::Dataset;
    use crate::engine::shards;
    use crate::gradient_sums::{Side, Summed, for_connections};
    use crate::singular_values::Decomposition;
    use crate::support::{model, tiny_bert, tiny_task};
    use crate::tests::tensors;

    /// The mean over the examples is u_m^T G v_m, computed from the matrices. For the examples whose G was decomposed
    /// this is the singular value; for others it is taken with their own G.
    #[test]
    fn means_over_examples_are_those_of_the_gradient_matrices() {
        check(&tiny_bert());
        check(&tiny_bert().on(tensors()));
    }

    fn check<A: Arithmetic>(backbone: &Backbone<A>) {
        let model = model(backbone, &[]);
        let all: Examples = tiny_task(&TextTask::default()).train;
        let rows: Vec<usize> = (0..all.len()).collect();
        let (first, second) = rows.split_at(rows.len() / 2);
        let cut =
            [first, second].map(|rows| shards(backbone, Dataset::from(&all), rows, 1).unwrap());
        let side = |part: usize| Side {
            model: &model,
            shards: &cut[part],
            examples: [first, second][part].len(),
        };
        let found = for_connections(&[side(0), side(1)], |matrices: &[Summed<'_>]| {
            let decomposition = Decomposition::of(matrices[0].sums)?;
            let directions = decomposition.directions(4);
            let others = directions.decreases(matrices[1].sums, matrices[1].examples);
            Ok((decomposition.singular_values(), directions, others))
        })
        .unwrap();
        let directions: Vec<&Directions> = found.iter().map(|(_, one, _)| one).collect();
        let means = [0, 1].map(|part| {
            let each = example_gradients(&directions, &model, &cut[part]).unwrap();
            let mean = |column: usize| -> f64 {
                let values = each.col(column).iter();
                values.map(|&value| f64::from(value)).sum::<f64>() / each.nrows() as f64
            };
            (0..each.ncols()).map(mean).collect::<Vec<f64>>()
        });
        for (connection, (values, _, others)) in found.iter().enumerate() {
            let bound = 1e-4 * values[0];
            // The third map is the sum of the third and the fourth pair.
            let of_maps = |of_pairs: &[f64]| [of_pairs[0], of_pairs[1], of_pairs[2] + of_pairs[3]];
            for (map, (value, other)) in of_maps(values).iter().zip(of_maps(others)).enumerate() {
                let column = connection * MAPS + map;
                assert!((means[0][column] + value / first.len() as f64).abs() <= bound);
                assert!((means[1][column] - other).abs() <= bound);
            }
        }
    }
}
