//! The derivatives of single examples along the leading directions of connections.

use std::collections::BTreeMap;

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::Connection;
use faer::Mat;

use crate::directions::{Directions, LEADING, MAPS};
use crate::engine::{Engine, Reuse, Shard, for_all};
use crate::rectangles::{Rectangle, rectangles};
use crate::{Model, ScoreError};

/// For each example x of the shards, connection i -> j and map M, the derivative of its loss along M, with the sign of a
/// decrease: minus the sum over tokens of dL/dh_j M norm(h_i).
///
/// The maps are the first pairs u_m v_m^T of the connection's directions, and the sum of the others. The result is
/// (examples, connections x maps).
pub(crate) fn example_gradients<A: Arithmetic>(
    connections: &[Connection],
    directions: &[&Directions],
    model: &Model<'_, A>,
    shards: &[Shard<'_, A>],
) -> Result<Mat<f32>, ScoreError> {
    let engine = Engine::new(model, Reuse::Nothing)?;
    let arithmetic = engine.arithmetic();
    let values = engine.written(&[model])?;
    let places: BTreeMap<Connection, usize> = connections.iter().copied().zip(0..).collect();
    let at = |connection: Connection| directions[places[&connection]];
    let parts = rectangles(connections)
        .into_iter()
        .map(|part| {
            let directions = arithmetic.directions(side_by_side(&part, at))?;
            Ok((part, directions))
        })
        .collect::<Result<Vec<(Rectangle, A::Directions)>, ScoreError>>()?;
    let of_shards: Vec<Vec<Vec<f32>>> = for_all(shards, |shard: &Shard<'_, A>, workspace| {
        engine.loss_and_gradients(&values, shard, 1.0, workspace)?;
        let of_part = |(part, directions): &(Rectangle, A::Directions)| {
            let read = engine.normalized(0, part.sources.clone(), workspace)?;
            let added = engine.gradients(0, part.targets.clone(), workspace)?;
            Ok(arithmetic.along_directions(directions, &read, &added, &shard.examples)?)
        };
        parts.iter().map(of_part).collect::<Result<_, ScoreError>>()
    })?;
    let count: usize = shards.iter().map(|shard| shard.count).sum();
    let mut all = Mat::zeros(count, connections.len() * MAPS);
    for (place, (part, _)) in parts.iter().enumerate() {
        let columns = part.len() * MAPS;
        let rows = of_shards
            .iter()
            .flat_map(|parts| parts[place].chunks(columns));
        for (row, values) in rows.enumerate() {
            for (connection, values) in part.connections().zip(by_target(values, part)) {
                let first = places[&connection] * MAPS;
                for (map, value) in values.iter().enumerate() {
                    all[(row, first + map)] = -value;
                }
            }
        }
    }
    Ok(all)
}

/// The values of each connection, from rows of sources, in the order of [`Rectangle::connections`].
fn by_target<'v>(values: &'v [f32], part: &Rectangle) -> impl Iterator<Item = &'v [f32]> {
    let (sources, targets) = (part.sources.len(), part.targets.len());
    let places = (0..targets).flat_map(move |j| (0..sources).map(move |i| i * targets + j));
    places.map(|place| &values[place * MAPS..(place + 1) * MAPS])
}

/// The directions of the connections of a rectangle, as an arithmetic takes them.
fn side_by_side<'d>(
    part: &Rectangle,
    at: impl Fn(Connection) -> &'d Directions,
) -> adaplace_arithmetic::Directions {
    let by_target: Vec<Connection> = part.connections().collect();
    let mut by_source = by_target.clone();
    by_source.sort();
    let first = &at(by_source[0]).right;
    let columns = |of: &Mat<f32>| -> Vec<f32> {
        let each = of.col_iter();
        each.flat_map(|column| column.iter().copied().collect::<Vec<f32>>())
            .collect()
    };
    adaplace_arithmetic::Directions {
        sources: part.sources.len(),
        targets: part.targets.len(),
        width: first.nrows(),
        count: first.ncols(),
        apart: LEADING,
        right: by_source
            .iter()
            .flat_map(|&one| columns(&at(one).right))
            .collect(),
        left: by_target
            .iter()
            .flat_map(|&one| columns(&at(one).left))
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
        let all = Connection::all(5);
        let some: Vec<Connection> = all.iter().copied().step_by(3).collect();
        check(&tiny_bert(), &all);
        check(&tiny_bert(), &some);
        check(&tiny_bert().on(tensors()), &all);
        check(&tiny_bert().on(tensors()), &some);
    }

    fn check<A: Arithmetic>(backbone: &Backbone<A>, connections: &[Connection]) {
        let model = model(backbone, &[]);
        let all: Examples = tiny_task(&TextTask::default()).train;
        let rows: Vec<usize> = (0..all.len()).collect();
        let (first, second) = rows.split_at(rows.len() / 2);
        let cut =
            [first, second].map(|rows| shards(backbone, Dataset::from(&all), rows, 1).unwrap());
        let side = |part: usize| Side {
            model: &model,
            shards: &cut[part],
        };
        let found = for_connections(
            &[side(0), side(1)],
            connections,
            |matrices: &[Summed<'_>]| {
                let decomposition = Decomposition::of(matrices[0].sums)?;
                let directions = decomposition.directions(4);
                let others = directions.decreases(matrices[1].sums, matrices[1].predictions);
                Ok((decomposition.singular_values(), directions, others))
            },
        )
        .unwrap();
        let directions: Vec<&Directions> = found.iter().map(|(_, one, _)| one).collect();
        let means = [0, 1].map(|part| {
            let each = example_gradients(connections, &directions, &model, &cut[part]).unwrap();
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
