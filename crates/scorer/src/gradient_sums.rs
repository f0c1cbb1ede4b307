//! The products behind a gradient map: dL/dh_j norm(h_i)^T summed over examples and tokens.

use std::ops::Range;

use adaplace_arithmetic::{Arithmetic, ArithmeticError, Columns, MatrixBlock};
use adaplace_search_space::Connection;
use faer::MatRef;
use rayon::prelude::*;

use crate::engine::{Engine, Reuse, Shard, for_all};
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
                let mut sums = GradientSums::new(engine, targets.clone())?;
                let mut rest = side.shards;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(product_size(rest));
                    rest = later;
                    sums.add(values, now)?;
                }
                Ok(sums.sums)
            })
            .collect::<Result<Vec<_>, ScoreError>>()?;
        let arithmetic = sides[0].model.backbone().arithmetic();
        let of_sides = of_sides.iter().map(|sums| arithmetic.read(sums));
        let of_sides = of_sides.collect::<Result<Vec<_>, ArithmeticError>>()?;
        let pairs: Vec<(usize, usize)> = targets
            .clone()
            .flat_map(|target| (0..states).map(move |source| (source, target)))
            .collect();
        let of_pairs = pairs
            .par_iter()
            .map(|&(source, target)| {
                let pair = (source, target);
                let matrices: Vec<Summed<'_>> = of_sides
                    .iter()
                    .zip(sides)
                    .map(|(sums, side)| Summed {
                        sums: block(sums, width, &targets, pair),
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

/// Running sums of norm(h_i) dL/dh_j^T for some targets j and all sources i.
struct GradientSums<'e, A: Arithmetic> {
    engine: &'e Engine<'e, A>,
    width: usize,
    states: usize,
    targets: Range<usize>,
    /// The sums, of which block (i, j) is n G_ij^T, (states x width, targets x width).
    sums: A::Buffer,
    /// The memory of a product's operands.
    passes: Vec<PassRows<A>>,
}

/// The states and gradients of one pass, with a row for each token.
struct PassRows<A: Arithmetic> {
    /// The values norm(h_i) side by side, (rows, states x width).
    normalized: A::Buffer,
    /// The gradients dL/dh_j side by side, (rows, targets x width).
    gradients: A::Buffer,
}

impl<A: Arithmetic> Default for PassRows<A> {
    fn default() -> Self {
        Self {
            normalized: A::Buffer::default(),
            gradients: A::Buffer::default(),
        }
    }
}

impl<'e, A: Arithmetic> GradientSums<'e, A> {
    fn new(engine: &'e Engine<'_, A>, targets: Range<usize>) -> Result<Self, ScoreError> {
        let description = engine.backbone().description();
        let (states, width) = (description.hidden_states, description.width);
        let mut sums = A::Buffer::default();
        let shape = (states * width, targets.len() * width);
        engine.arithmetic().zero(shape, &mut sums)?;
        Ok(Self {
            engine,
            width,
            states,
            targets,
            sums,
            passes: Vec::new(),
        })
    }

    /// Adds the products of some shards.
    fn add(&mut self, values: &A::Buffer, shards: &[Shard<'_, A>]) -> Result<(), ScoreError> {
        let (engine, targets) = (self.engine, &self.targets);
        let passes = engine.plan().passes.len();
        let of_shards = for_all(shards, |shard: &Shard<'_, A>, workspace| {
            engine.loss_and_gradients(values, shard, 1.0, workspace)?;
            let of_pass = |pass| {
                Ok(PassRows {
                    normalized: engine.normalized(pass, workspace)?,
                    gradients: engine.gradients(pass, targets.clone(), workspace)?,
                })
            };
            let each = (0..passes).map(of_pass);
            each.collect::<Result<Vec<PassRows<A>>, ScoreError>>()
        })?;
        let mut by_pass: Vec<[Vec<A::Buffer>; 2]> = Vec::new();
        by_pass.resize_with(passes, Default::default);
        for of_shard in of_shards {
            for (all, own) in by_pass.iter_mut().zip(of_shard) {
                all[0].push(own.normalized);
                all[1].push(own.gradients);
            }
        }
        self.passes.resize_with(passes, PassRows::default);
        for (joined, [normalized, gradients]) in self.passes.iter_mut().zip(by_pass) {
            let arithmetic = engine.arithmetic();
            arithmetic.stack(normalized, &mut joined.normalized)?;
            arithmetic.stack(gradients, &mut joined.gradients)?;
        }
        let passes = std::mem::take(&mut self.passes);
        self.multiply(&passes)?;
        self.passes = passes;
        Ok(())
    }

    /// Adds the products of the rows in the passes.
    fn multiply(&mut self, passes: &[PassRows<A>]) -> Result<(), ScoreError> {
        let all_sources = self.states * self.width;
        let all_targets = self.targets.len() * self.width;
        let [first, second] = passes else {
            return passes.iter().try_for_each(|pass| {
                self.add_products(pass, 0..all_sources, pass, 0..all_targets)
            });
        };
        for (index, target) in self.targets.clone().enumerate() {
            let own = index * self.width..(index + 1) * self.width;
            // Sources up to the target act within a pass, in both of them. Later sources are read in the first pass and
            // added in the second.
            let later = (target + 1) * self.width;
            self.add_products(first, 0..later, first, own.clone())?;
            self.add_products(second, 0..later, second, own.clone())?;
            self.add_products(first, later..all_sources, second, own)?;
        }
        Ok(())
    }

    /// Adds the products of what some sources are in one pass, and the gradients of some targets in one.
    fn add_products(
        &mut self,
        read: &PassRows<A>,
        sources: Range<usize>,
        added: &PassRows<A>,
        targets: Range<usize>,
    ) -> Result<(), ScoreError> {
        if sources.is_empty() {
            return Ok(());
        }
        let columns = self.targets.len() * self.width;
        let block = MatrixBlock {
            all: columns,
            row: sources.start,
            column: targets.start,
        };
        let left = Columns {
            matrix: &read.normalized,
            all: self.states * self.width,
            range: sources,
        };
        let right = Columns {
            matrix: &added.gradients,
            all: columns,
            range: targets,
        };
        let arithmetic = self.engine.arithmetic();
        Ok(arithmetic.add_products(left, right, &mut self.sums, block)?)
    }
}

/// The block n G_ij of `sums`, which are those of [`GradientSums`] for these targets.
fn block<'s>(
    sums: &'s [f32],
    width: usize,
    targets: &Range<usize>,
    (source, target): (usize, usize),
) -> MatRef<'s, f32> {
    let columns = targets.len() * width;
    let all = MatRef::from_row_major_slice(sums, sums.len() / columns, columns);
    let column = (target - targets.start) * width;
    all.submatrix(source * width, column, width, width)
        .transpose()
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
