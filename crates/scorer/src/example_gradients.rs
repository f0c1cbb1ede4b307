//! The derivatives of single examples along the leading directions of every connection.

use adaplace_arithmetic::Arithmetic;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::directions::{Directions, LEADING, MAPS};
use crate::engine::{Engine, Reuse, Shard, Workspace};
use crate::{Model, ScoreError};

/// The directions of all connections side by side, as the products need them.
pub(crate) struct AllDirections {
    states: usize,
    count: usize,
    /// The directions v by source, (width, targets x directions).
    right: Vec<Mat<f32>>,
    /// The directions u by target, (width, sources x directions).
    left: Vec<Mat<f32>>,
}

impl AllDirections {
    /// Gathers the directions of all connections of `states` hidden states, by source, then target.
    pub(crate) fn new<'a>(of_connections: &[&'a Directions], states: usize) -> Self {
        let first = &of_connections[0].right;
        let (width, count) = (first.nrows(), first.ncols());
        let gathered = |of: &dyn Fn(usize, usize) -> MatRef<'a, f32>| -> Vec<Mat<f32>> {
            (0..states)
                .map(|state| {
                    Mat::from_fn(width, states * count, |row, column| {
                        of(state, column / count)[(row, column % count)]
                    })
                })
                .collect()
        };
        let at = |source: usize, target: usize| of_connections[source * states + target];
        Self {
            right: gathered(&|source, target| at(source, target).right.as_ref()),
            left: gathered(&|target, source| at(source, target).left.as_ref()),
            states,
            count,
        }
    }

    /// For each example x of the shards, connection i -> j and map M, the derivative of its loss along M, with the sign
    /// of a decrease: minus the sum over tokens of dL/dh_j M norm(h_i).
    ///
    /// The maps are the first pairs u_m v_m^T, and the sum of the others. The result is (examples, connections x maps).
    pub(crate) fn example_gradients<A: Arithmetic>(
        &self,
        model: &Model<'_, A>,
        shards: &[Shard<'_, A>],
    ) -> Result<Mat<f32>, ScoreError> {
        let engine = Engine::new(model, Reuse::Nothing)?;
        let values = engine.written(&[model])?;
        let of_shards = shards
            .par_iter()
            .map(|shard| {
                Workspace::with(|workspace| {
                    engine.loss_and_gradients(&values, shard, 1.0, workspace)?;
                    self.of_shard(&engine, shard, workspace)
                })
            })
            .collect::<Result<Vec<_>, ScoreError>>()?;
        let examples = of_shards.iter().map(Mat::nrows).sum();
        let mut all = Mat::zeros(examples, self.states * self.states * MAPS);
        let mut row = 0;
        for of_shard in &of_shards {
            all.subrows_mut(row, of_shard.nrows()).copy_from(of_shard);
            row += of_shard.nrows();
        }
        Ok(all)
    }

    fn of_shard<A: Arithmetic>(
        &self,
        engine: &Engine<'_, A>,
        shard: &Shard<'_, A>,
        workspace: &Workspace<A>,
    ) -> Result<Mat<f32>, ScoreError> {
        let (states, count, rows) = (self.states, self.count, shard.rows());
        let width = self.right[0].nrows();
        let mut values = vec![0.0; rows * states * width];
        let mut projected = |write: &dyn Fn(&mut [f32]) -> Result<(), ScoreError>,
                             onto: &[Mat<f32>]|
         -> Result<Vec<Mat<f32>>, ScoreError> {
            write(&mut values)?;
            let side_by_side = MatRef::from_row_major_slice(&values, rows, states * width);
            let of_state = |(state, directions): (usize, &Mat<f32>)| {
                let mut result = Mat::zeros(rows, states * count);
                let rows_of_state = side_by_side.subcols(state * width, width);
                let result_mut = result.as_mut();
                matmul(
                    result_mut,
                    Accum::Replace,
                    rows_of_state,
                    directions,
                    1.0,
                    Par::Seq,
                );
                result
            };
            Ok(onto.iter().enumerate().map(of_state).collect())
        };
        let read = projected(&|to| engine.write_normalized(0, workspace, to), &self.right)?;
        let write_gradients = |to: &mut [f32]| engine.write_gradients(0, workspace, 0..states, to);
        let added = projected(&write_gradients, &self.left)?;
        let examples: Vec<_> = shard
            .examples
            .windows(2)
            .map(|ends| ends[0]..ends[1])
            .collect();
        let columns = states * states * MAPS;
        Ok(Mat::from_fn(examples.len(), columns, |example, column| {
            let (pair, map) = (column / MAPS, column % MAPS);
            let (source, target) = (pair / states, pair % states);
            let directions = match map < LEADING {
                true => map..map + 1,
                false => LEADING.min(count)..count,
            };
            let along = directions.map(|direction| {
                let read = read[source].col(target * count + direction);
                let added = added[target].col(source * count + direction);
                let tokens = examples[example].clone();
                tokens.map(|token| read[token] * added[token]).sum::<f32>()
            });
            -along.sum::<f32>()
        }))
    }
}

#[cfg(test)]
mod tests {
    use adaplace_task::Examples;
    use adaplace_testkit::TextTask;

    use super::*;
    use crate::Dataset;
    use crate::engine::shards;
    use crate::gradient_sums::{Side, Summed, for_connections};
    use crate::singular_values::Decomposition;
    use crate::support::{model, tiny_bert, tiny_task};

    /// The mean over the examples is u_m^T G v_m, computed from the matrices. For the examples whose G was decomposed
    /// this is the singular value; for others it is taken with their own G.
    #[test]
    fn means_over_examples_are_those_of_the_gradient_matrices() {
        let backbone = tiny_bert();
        let model = model(&backbone, &[]);
        let all: Examples = tiny_task(&TextTask::default()).train;
        let rows: Vec<usize> = (0..all.len()).collect();
        let (first, second) = rows.split_at(rows.len() / 2);
        let cut =
            [first, second].map(|rows| shards(&backbone, Dataset::from(&all), rows, 1).unwrap());
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
        let along = AllDirections::new(&directions, 5);
        let means = [0, 1].map(|part| {
            let each = along.example_gradients(&model, &cut[part]).unwrap();
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
