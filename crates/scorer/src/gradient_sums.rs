//! The products behind a gradient map: dL/dh_j norm(h_i)^T summed over examples and tokens.

use std::ops::Range;

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::Connection;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::engine::{Engine, Reuse, Shard, Workspace};
use crate::{Model, ScoreError};

/// The number of rows (tokens) that are multiplied at a time: enough for a product at full speed, with little memory.
const ROWS_PER_PRODUCT: usize = 2048;

/// The largest number of values of the sums in memory (768 MiB, as needed for two sides of a model of width 384 and 12
/// blocks). If all pairs take more, the targets are processed in groups, each with its own forward and backward pass.
const MOST_SUMS: usize = 192 << 20;

/// A model and the examples over which its gradients are summed.
pub(crate) struct Side<'a, A: Arithmetic> {
    pub(crate) model: &'a Model<'a, A>,
    pub(crate) shards: &'a [Shard<'a, A>],
    pub(crate) examples: usize,
}

/// The results of `work` on the matrices of each connection, one matrix for each side, by source, then target.
pub(crate) fn for_connections<T: Send, A: Arithmetic>(
    sides: &[Side<'_, A>],
    work: impl Fn(&[Summed<'_>]) -> Result<T, String> + Sync,
) -> Result<Vec<T>, ScoreError> {
    in_groups(sides, MOST_SUMS, work)
}

/// The gradient matrix of a connection: `sums` = n G for `examples` = n examples.
#[derive(Clone, Copy)]
pub(crate) struct Summed<'a> {
    pub(crate) sums: MatRef<'a, f32>,
    pub(crate) examples: usize,
}

fn in_groups<T: Send, A: Arithmetic>(
    sides: &[Side<'_, A>],
    most_sums: usize,
    work: impl Fn(&[Summed<'_>]) -> Result<T, String> + Sync,
) -> Result<Vec<T>, ScoreError> {
    let engines = sides
        .iter()
        .map(|side| {
            let engine = Engine::new(side.model, Reuse::Nothing)?;
            let values = engine.written(&[side.model])?;
            Ok((engine, values))
        })
        .collect::<Result<Vec<(Engine<'_, A>, A::Buffer)>, ScoreError>>()?;
    let states = sides[0].model.backbone().description().hidden_states;
    let width = sides[0].model.backbone().description().width;
    let group = (most_sums / (states * width * width * sides.len())).clamp(1, states);
    let mut found: Vec<Option<T>> = Vec::new();
    found.resize_with(states * states, || None);
    for begin in (0..states).step_by(group) {
        let targets = begin..states.min(begin + group);
        let of_sides = sides
            .iter()
            .zip(&engines)
            .map(|(side, (engine, values))| {
                let passes = engine.plan().passes.len();
                let mut sums = GradientSums::new(states, width, passes, targets.clone());
                let mut rest = side.shards;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(product_size(rest));
                    rest = later;
                    sums.add(engine, values, now)?;
                }
                Ok(sums)
            })
            .collect::<Result<Vec<_>, ScoreError>>()?;
        let pairs: Vec<(usize, usize)> = targets
            .flat_map(|target| (0..states).map(move |source| (source, target)))
            .collect();
        let of_pairs = pairs
            .par_iter()
            .map(|&(source, target)| {
                let matrices: Vec<Summed<'_>> = of_sides
                    .iter()
                    .zip(sides)
                    .map(|(sums, side)| Summed {
                        sums: sums.of(source, target),
                        examples: side.examples,
                    })
                    .collect();
                work(&matrices).map_err(|reason| ScoreError::SingularValues {
                    connection: Connection {
                        source: source as u16,
                        target: target as u16,
                    },
                    reason,
                })
            })
            .collect::<Result<Vec<_>, ScoreError>>()?;
        for ((source, target), value) in pairs.into_iter().zip(of_pairs) {
            found[source * states + target] = Some(value);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// The number of shards that make up a product of [`ROWS_PER_PRODUCT`] rows.
fn product_size<A: Arithmetic>(shards: &[Shard<'_, A>]) -> usize {
    let mut rows = 0;
    let enough = shards.iter().position(|shard| {
        rows += shard.rows();
        rows >= ROWS_PER_PRODUCT
    });
    enough.map_or(shards.len(), |last| last + 1)
}

/// Running sums of dL/dh_j norm(h_i)^T for some targets j and all sources i.
struct GradientSums {
    width: usize,
    targets: Range<usize>,
    /// The sums, of which block (j, i) is n G_ij, (targets x width, states x width).
    sums: Mat<f32>,
    passes: Vec<PassRows>,
}

/// The states and gradients of one pass in row-major order, with a row for each token.
#[derive(Default)]
struct PassRows {
    /// The values norm(h_i) side by side, (rows, states x width).
    normalized: Vec<f32>,
    /// The gradients dL/dh_j side by side, (rows, targets x width).
    gradients: Vec<f32>,
}

impl PassRows {
    /// The gradients, (targets x width, rows), and the states, (rows, states x width).
    fn matrices(&self, rows: usize) -> [MatRef<'_, f32>; 2] {
        [
            row_major(&self.gradients, rows).transpose(),
            row_major(&self.normalized, rows),
        ]
    }
}

fn row_major(values: &[f32], rows: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(values, rows, values.len() / rows)
}

fn add(sums: MatMut<'_, f32>, gradients: MatRef<'_, f32>, states: MatRef<'_, f32>) {
    matmul(sums, Accum::Add, gradients, states, 1.0, Par::rayon(0));
}

impl GradientSums {
    fn new(states: usize, width: usize, passes: usize, targets: Range<usize>) -> Self {
        Self {
            sums: Mat::zeros(targets.len() * width, states * width),
            width,
            passes: std::iter::repeat_with(PassRows::default)
                .take(passes)
                .collect(),
            targets,
        }
    }

    /// Adds the products of some shards.
    fn add<A: Arithmetic>(
        &mut self,
        engine: &Engine<'_, A>,
        values: &A::Buffer,
        shards: &[Shard<'_, A>],
    ) -> Result<(), ScoreError> {
        let rows: usize = shards.iter().map(Shard::rows).sum();
        let (states, targets) = (self.sums.ncols(), self.sums.nrows());
        // For each shard, the memory of its own rows in every pass.
        let mut places: Vec<Vec<(&mut [f32], &mut [f32])>> = Vec::new();
        places.resize_with(shards.len(), Vec::new);
        for pass in &mut self.passes {
            pass.normalized.resize(rows * states, 0.0);
            pass.gradients.resize(rows * targets, 0.0);
            let (mut normalized, mut gradients) =
                (&mut pass.normalized[..], &mut pass.gradients[..]);
            for (place, shard) in places.iter_mut().zip(shards) {
                let (own, behind) = normalized.split_at_mut(shard.rows() * states);
                let (own_gradients, gradients_behind) =
                    gradients.split_at_mut(shard.rows() * targets);
                place.push((own, own_gradients));
                (normalized, gradients) = (behind, gradients_behind);
            }
        }
        let targets = self.targets.clone();
        shards
            .par_iter()
            .zip(places)
            .try_for_each(|(shard, place)| {
                Workspace::with(|workspace| {
                    engine.loss_and_gradients(values, shard, 1.0, workspace)?;
                    for (pass, (normalized, gradients)) in place.into_iter().enumerate() {
                        engine.write_normalized(pass, workspace, normalized)?;
                        engine.write_gradients(pass, workspace, targets.clone(), gradients)?;
                    }
                    Ok::<(), ScoreError>(())
                })
            })?;
        self.multiply(rows);
        Ok(())
    }

    /// Adds the products of the rows in the passes.
    fn multiply(&mut self, rows: usize) {
        let width = self.width;
        match &self.passes[..] {
            [first, second] => {
                let ([of_first, read_by_first], [of_second, read_by_second]) =
                    (first.matrices(rows), second.matrices(rows));
                for (index, target) in self.targets.clone().enumerate() {
                    let begin = index * width;
                    let sums = self.sums.as_mut().subrows_mut(begin, width);
                    let (of_first, of_second) = (
                        of_first.subrows(begin, width),
                        of_second.subrows(begin, width),
                    );
                    // Sources up to the target act within a pass, in both of them. Later sources are read in the first
                    // pass and added in the second.
                    let later = (target + 1) * width;
                    let (mut within, across) = sums.split_at_col_mut(later);
                    let (up_to_in_first, later_in_first) = read_by_first.split_at_col(later);
                    let (up_to_in_second, _) = read_by_second.split_at_col(later);
                    add(within.as_mut(), of_first, up_to_in_first);
                    add(within, of_second, up_to_in_second);
                    add(across, of_second, later_in_first);
                }
            }
            passes => {
                for pass in passes {
                    let [gradients, states] = pass.matrices(rows);
                    add(self.sums.as_mut(), gradients, states);
                }
            }
        }
    }

    fn of(&self, source: usize, target: usize) -> MatRef<'_, f32> {
        let row = (target - self.targets.start) * self.width;
        self.sums
            .submatrix(row, source * self.width, self.width, self.width)
    }
}

#[cfg(test)]
mod tests {
    use adaplace_task::Examples;
    use adaplace_testkit::TextTask;

    use super::*;
    use crate::Dataset;
    use crate::engine::shards;
    use crate::singular_values::singular_values;
    use crate::support::{model, tiny_bert, tiny_task};

    /// Processing the targets one by one, in pairs or all at once gives the same values.
    #[test]
    fn groups_of_targets_change_nothing() {
        let backbone = tiny_bert();
        let examples: Examples = tiny_task(&TextTask::default()).train;
        let rows: Vec<usize> = (0..examples.len()).collect();
        for connections in [&[][..], &[(3, 1), (1, 2)]] {
            let model = model(&backbone, connections);
            let shards = shards(&backbone, Dataset::from(&examples), &rows, 1).unwrap();
            let with = |most| {
                let side = Side {
                    model: &model,
                    shards: &shards,
                    examples: rows.len(),
                };
                let values = |matrices: &[Summed<'_>]| singular_values(matrices[0].sums);
                in_groups(&[side], most, values).unwrap()
            };
            let all = with(usize::MAX);
            assert_eq!(all.len(), 25);
            for most in [1, 4 * 5 * 32 * 32] {
                for (found, expected) in with(most).iter().zip(&all) {
                    for (found, value) in found.iter().zip(expected) {
                        assert!((found - value).abs() <= 1e-5 * expected[0]);
                    }
                }
            }
        }
    }
}
