//! The products behind a gradient map: dL/dh_j norm(h_i)^T summed over examples and tokens.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use adaplace_arithmetic::{Arithmetic, ArithmeticError, Columns, MatrixBlock};
use adaplace_search_space::Connection;
use faer::MatRef;
use rayon::prelude::*;

use crate::engine::{Engine, Reuse, Shard, for_all};
use crate::rectangles::{Rectangle, groups, rectangles};
use crate::{Model, ScoreError};

/// The number of rows (tokens) that are multiplied at a time: enough for a product at full speed, with little memory.
const ROWS_PER_PRODUCT: usize = 2048;

/// The number of rows at a time if the operands of more would take over 384 MiB: enough for a product of many columns.
const FEWER_ROWS: usize = 256;
const MOST_FACTORS: usize = 96 << 20;

/// The largest number of values of the sums in memory (768 MiB, as needed for two sides of a model of width 384 and 12
/// blocks). If all connections take more, they are processed in groups, each with its own forward and backward pass.
pub(crate) const MOST_SUMS: usize = 192 << 20;

/// A model and the examples over which its gradients are summed.
pub(crate) struct Side<'a, A: Arithmetic> {
    pub(crate) model: &'a Model<'a, A>,
    pub(crate) shards: &'a [Shard<'a, A>],
}

impl<A: Arithmetic> Side<'_, A> {
    /// The number of predictions for the examples.
    pub(crate) fn predictions(&self) -> usize {
        self.shards.iter().map(|shard| shard.predictions).sum()
    }
}

/// The results of `work` on the matrices of each connection, one matrix for each side, in the order of `connections`.
pub(crate) fn for_connections<T: Send, A: Arithmetic>(
    sides: &[Side<'_, A>],
    connections: &[Connection],
    work: impl Fn(&[Summed<'_>]) -> Result<T, String> + Sync,
) -> Result<Vec<T>, ScoreError> {
    in_groups(sides, connections, MOST_SUMS, work)
}

/// The gradient matrix of a connection: `sums` = n G for `predictions` = n predictions.
#[derive(Clone, Copy)]
pub(crate) struct Summed<'a> {
    pub(crate) sums: MatRef<'a, f32>,
    pub(crate) predictions: usize,
}

fn in_groups<T: Send, A: Arithmetic>(
    sides: &[Side<'_, A>],
    connections: &[Connection],
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
    let backbone = sides[0].model.backbone();
    let width = backbone.description().width;
    let most = most_sums / (width * width * sides.len());
    let mut found: BTreeMap<Connection, T> = BTreeMap::new();
    for group in groups(rectangles(connections), most) {
        let of_sides = sides
            .iter()
            .zip(&engines)
            .map(|(side, (engine, values))| summed(engine, values, side.shards, &group))
            .collect::<Result<Vec<Vec<A::Buffer>>, ScoreError>>()?;
        let of_sides = of_sides
            .iter()
            .map(|sums| read(backbone.arithmetic(), sums))
            .collect::<Result<Vec<Vec<Cow<'_, [f32]>>>, ArithmeticError>>()?;
        let each: Vec<(usize, Connection)> = (0..)
            .zip(&group)
            .flat_map(|(place, rectangle)| rectangle.connections().map(move |one| (place, one)))
            .collect();
        let of_each = each
            .par_iter()
            .map(|&(place, connection)| {
                let matrices: Vec<Summed<'_>> = of_sides
                    .iter()
                    .zip(sides)
                    .map(|(sums, side)| Summed {
                        sums: block(&sums[place], width, &group[place], connection),
                        predictions: side.predictions(),
                    })
                    .collect();
                let result = work(&matrices);
                result.map_err(|reason| ScoreError::SingularValues { connection, reason })
            })
            .collect::<Result<Vec<T>, ScoreError>>()?;
        let computed = each.into_iter().map(|(_, connection)| connection);
        found.extend(computed.zip(of_each));
    }
    let each = connections.iter();
    Ok(each.filter_map(|one| found.remove(one)).collect())
}

/// The sums of each rectangle over some shards.
fn summed<A: Arithmetic>(
    engine: &Engine<'_, A>,
    values: &A::Buffer,
    shards: &[Shard<'_, A>],
    rectangles: &[Rectangle],
) -> Result<Vec<A::Buffer>, ScoreError> {
    let mut sums = GradientSums::new(engine, rectangles)?;
    let mut rest = shards;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(product_size(rest, sums.columns()));
        rest = later;
        sums.add(values, now)?;
    }
    Ok(sums.rectangles.into_iter().map(|(_, sums)| sums).collect())
}

fn read<'b, A: Arithmetic>(
    arithmetic: &A,
    buffers: &'b [A::Buffer],
) -> Result<Vec<Cow<'b, [f32]>>, ArithmeticError> {
    buffers
        .iter()
        .map(|buffer| arithmetic.read(buffer))
        .collect()
}

/// The number of rows of a product whose operands have so many columns together.
pub(crate) fn product_rows(columns: usize) -> usize {
    match ROWS_PER_PRODUCT * columns <= MOST_FACTORS {
        true => ROWS_PER_PRODUCT,
        false => FEWER_ROWS,
    }
}

/// The number of shards that make up a product.
fn product_size<A: Arithmetic>(shards: &[Shard<'_, A>], columns: usize) -> usize {
    let most = product_rows(columns);
    let mut rows = 0;
    let enough = shards.iter().position(|shard| {
        rows += shard.rows();
        rows >= most
    });
    enough.map_or(shards.len(), |last| last + 1)
}

/// Running sums of norm(h_i) dL/dh_j^T for the connections i -> j of some rectangles.
struct GradientSums<'e, A: Arithmetic> {
    engine: &'e Engine<'e, A>,
    width: usize,
    /// The states between the first source and the last, and those between the first target and the last.
    sources: Range<usize>,
    targets: Range<usize>,
    /// The rectangles with their sums, of which block (i, j) is n G_ij^T, (sources x width, targets x width).
    rectangles: Vec<(Rectangle, A::Buffer)>,
    /// The memory of a product's operands.
    passes: Vec<PassRows<A>>,
}

/// The states and gradients of one pass, with a row for each token.
struct PassRows<A: Arithmetic> {
    /// The values norm(h_i) side by side, (rows, sources x width).
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
    fn new(engine: &'e Engine<'_, A>, rectangles: &[Rectangle]) -> Result<Self, ScoreError> {
        let width = engine.backbone().description().width;
        let with_sums = rectangles.iter().map(|one| {
            let mut sums = A::Buffer::default();
            let shape = (one.sources.len() * width, one.targets.len() * width);
            engine.arithmetic().zero(shape, &mut sums)?;
            Ok((one.clone(), sums))
        });
        Ok(Self {
            engine,
            width,
            sources: hull(rectangles.iter().map(|one| &one.sources)),
            targets: hull(rectangles.iter().map(|one| &one.targets)),
            rectangles: with_sums.collect::<Result<_, ScoreError>>()?,
            passes: Vec::new(),
        })
    }

    /// The number of columns of a product's operands.
    fn columns(&self) -> usize {
        (self.sources.len() + self.targets.len()) * self.width
    }

    /// Adds the products of some shards.
    fn add(&mut self, values: &A::Buffer, shards: &[Shard<'_, A>]) -> Result<(), ScoreError> {
        let (engine, sources, targets) = (self.engine, &self.sources, &self.targets);
        let passes = engine.plan().passes.len();
        let of_shards = for_all(shards, |shard: &Shard<'_, A>, workspace| {
            engine.loss_and_gradients(values, shard, 1.0, workspace)?;
            let of_pass = |pass| {
                Ok(PassRows {
                    normalized: engine.normalized(pass, sources.clone(), workspace)?,
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
        for place in 0..self.rectangles.len() {
            let Rectangle { sources, targets } = self.rectangles[place].0.clone();
            let [first, second] = passes else {
                for pass in passes {
                    self.add_products(place, (pass, sources.clone()), (pass, targets.clone()))?;
                }
                continue;
            };
            for target in targets {
                let own = target..target + 1;
                // Sources up to the target act within a pass, in both of them. Later sources are read in the first pass
                // and added in the second.
                let later = own.end.clamp(sources.start, sources.end);
                let (before, after) = (sources.start..later, later..sources.end);
                self.add_products(place, (first, before.clone()), (first, own.clone()))?;
                self.add_products(place, (second, before), (second, own.clone()))?;
                self.add_products(place, (first, after), (second, own))?;
            }
        }
        Ok(())
    }

    /// Adds to a rectangle the products of what some of its sources are in one pass, and the gradients of some of its
    /// targets in one.
    fn add_products(
        &mut self,
        place: usize,
        (read, sources): (&PassRows<A>, Range<usize>),
        (added, targets): (&PassRows<A>, Range<usize>),
    ) -> Result<(), ScoreError> {
        if sources.is_empty() {
            return Ok(());
        }
        let width = self.width;
        let (rectangle, sums) = &mut self.rectangles[place];
        let block = MatrixBlock {
            all: rectangle.targets.len() * width,
            row: (sources.start - rectangle.sources.start) * width,
            column: (targets.start - rectangle.targets.start) * width,
        };
        let left = columns(&read.normalized, &self.sources, sources, width);
        let right = columns(&added.gradients, &self.targets, targets, width);
        let arithmetic = self.engine.arithmetic();
        Ok(arithmetic.add_products(left, right, sums, block)?)
    }
}

/// The columns of `states` in a matrix with the states of `all` side by side.
fn columns<'a, B>(
    matrix: &'a B,
    all: &Range<usize>,
    states: Range<usize>,
    width: usize,
) -> Columns<'a, B> {
    let at = |state: usize| (state - all.start) * width;
    Columns {
        matrix,
        all: all.len() * width,
        range: at(states.start)..at(states.end),
    }
}

/// The range from the first start to the last end.
fn hull<'a>(ranges: impl Iterator<Item = &'a Range<usize>> + Clone) -> Range<usize> {
    let start = ranges.clone().map(|range| range.start).min();
    let end = ranges.map(|range| range.end).max();
    start.unwrap_or_default()..end.unwrap_or_default()
}

/// The block n G_ij of the sums of a rectangle.
fn block<'s>(
    sums: &'s [f32],
    width: usize,
    rectangle: &Rectangle,
    connection: Connection,
) -> MatRef<'s, f32> {
    let columns = rectangle.targets.len() * width;
    let all = MatRef::from_row_major_slice(sums, sums.len() / columns, columns);
    let row = (usize::from(connection.source) - rectangle.sources.start) * width;
    let column = (usize::from(connection.target) - rectangle.targets.start) * width;
    all.submatrix(row, column, width, width).transpose()
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

    /// Processing the targets one by one, in pairs or all at once gives the same values, and so does leaving out
    /// connections.
    #[test]
    fn groups_and_other_connections_change_nothing() {
        let backbone = tiny_bert();
        let examples: Examples = tiny_task(&TextTask::default()).train;
        let rows: Vec<usize> = (0..examples.len()).collect();
        let every = Connection::all(5);
        let some: Vec<Connection> = every.iter().copied().rev().step_by(3).collect();
        for given in [&[][..], &[(3, 1), (1, 2)]] {
            let model = model(&backbone, given);
            let shards = shards(&backbone, Dataset::from(&examples), &rows, 1).unwrap();
            let with = |connections: &[Connection], most| {
                let side = Side {
                    model: &model,
                    shards: &shards,
                };
                let values = |matrices: &[Summed<'_>]| singular_values(matrices[0].sums);
                let found = in_groups(&[side], connections, most, values).unwrap();
                assert_eq!(found.len(), connections.len());
                let each = connections.iter().copied().zip(found);
                each.collect::<BTreeMap<Connection, Vec<f64>>>()
            };
            let all = with(&every, usize::MAX);
            for (connections, most) in [
                (&every, 1),
                (&every, 4 * 5 * 32 * 32),
                (&some, usize::MAX),
                (&some, 2 * 32 * 32),
            ] {
                for (connection, found) in with(connections, most) {
                    let expected = &all[&connection];
                    for (found, value) in found.iter().zip(expected) {
                        assert!((found - value).abs() <= 1e-5 * expected[0]);
                    }
                }
            }
        }
    }
}
