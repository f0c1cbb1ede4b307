//! Several models of one backbone and task that are computed side by side.
//!
//! Every state holds the rows of the first model, followed by those of the second, and so on. The frozen sublayers treat
//! all rows alike, and each adapter adds to the rows of its own model. A single model is a group of one.

use std::ops::Range;

use adaplace_arithmetic::{AdapterBlock, AdapterPlace, HeadPlace, HeadPlaces};
use adaplace_search_space::{Connection, ConnectionKind};

use crate::parameters::{Layout, PlacedAdapter};

/// The adapters and heads of a group, and where their values are in one vector: all adapters, then all heads.
#[derive(Debug)]
pub(crate) struct Group {
    pub(super) adapters: Vec<GroupedAdapter>,
    pub(super) heads: HeadPlaces,
    /// The parts of each model's values, with their positions among all values.
    parts: Vec<Vec<(Range<usize>, Range<usize>)>>,
}

/// One adapter of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupedAdapter {
    pub(super) model: usize,
    pub(super) connection: Connection,
    pub(super) place: AdapterPlace,
}

/// Adapters that are added to the same state at the same time: at most one of each model.
#[derive(Debug)]
pub(super) struct Stage {
    /// The index of the memory for what the backward pass needs.
    pub(super) saved: usize,
    /// Whether they read the state that they add to.
    pub(super) sequential: bool,
    pub(super) adapters: Vec<GroupedAdapter>,
}

impl Group {
    /// The group of models with these layouts, which have the same width and number of classes.
    pub(super) fn new(layouts: &[&Layout]) -> Self {
        let models = layouts.len();
        let owned = layouts.iter().enumerate();
        let mut adapters: Vec<(usize, &PlacedAdapter)> = owned
            .flat_map(|(model, layout)| layout.adapters.iter().map(move |one| (model, one)))
            .collect();
        if models > 1 {
            // Adapters that are computed together have neighbouring values. A single model keeps its own layout.
            adapters
                .sort_by_key(|(_, adapter)| (adapter.connection.target, rank(adapter.connection)));
        }
        let mut parts = vec![Vec::new(); models];
        let mut begin = 0;
        let mut place = |model: usize, own: usize, length: usize| {
            let range = begin..begin + length;
            begin = range.end;
            parts[model].push((own..own + length, range.clone()));
            range.start
        };
        let adapters = adapters
            .into_iter()
            .map(
                |(
                    model,
                    &PlacedAdapter {
                        connection,
                        place: own,
                    },
                )| GroupedAdapter {
                    model,
                    connection,
                    place: AdapterPlace {
                        begin: place(model, own.begin, own.size()),
                        ..own
                    },
                },
            )
            .collect();
        let heads: Vec<usize> = layouts
            .iter()
            .enumerate()
            .map(|(model, layout)| place(model, layout.head.begin, layout.head.size()))
            .collect();
        Self {
            adapters,
            heads: HeadPlaces {
                first: HeadPlace {
                    begin: heads[0],
                    ..layouts[0].head
                },
                models,
            },
            parts,
        }
    }

    /// The number of models.
    pub(crate) fn models(&self) -> usize {
        self.heads.models
    }

    /// The number of values of all adapters, which come before those of the heads.
    pub(crate) fn adapter_values(&self) -> usize {
        self.heads.first.begin
    }

    /// The number of values of all models.
    pub(crate) fn len(&self) -> usize {
        self.heads.first.begin + self.heads.models * self.heads.first.size()
    }

    /// The positions of each model's values.
    pub(crate) fn positions(&self) -> Vec<Vec<Range<usize>>> {
        let of_model = |parts: &Vec<(Range<usize>, Range<usize>)>| {
            parts.iter().map(|(_, range)| range.clone()).collect()
        };
        self.parts.iter().map(of_model).collect()
    }

    /// The values of all models in one vector.
    pub(crate) fn join(&self, each: &[&[f32]]) -> Vec<f32> {
        let mut all = vec![0.0; self.len()];
        for (parts, values) in self.parts.iter().zip(each) {
            for (own, range) in parts {
                all[range.clone()].copy_from_slice(&values[own.clone()]);
            }
        }
        all
    }

    /// The values of each model.
    pub(crate) fn split(&self, all: &[f32]) -> Vec<Vec<f32>> {
        let of_model = |parts: &Vec<(Range<usize>, Range<usize>)>| {
            let mut values = vec![0.0; parts.iter().map(|(own, _)| own.len()).sum()];
            for (own, range) in parts {
                values[own.clone()].copy_from_slice(&all[range.clone()]);
            }
            values
        };
        self.parts.iter().map(of_model).collect()
    }

    /// The stages in which a pass adds adapters to h_n, in their order. Those that read other states come first, for a
    /// sequential adapter reads their sum. `carried` says that the state already contains the adapters of the first
    /// pass. `saved` is the number of stages before.
    pub(super) fn stages(&self, pass: usize, n: usize, carried: bool, saved: usize) -> Vec<Stage> {
        let acts = |adapter: &&GroupedAdapter| {
            usize::from(adapter.connection.target) == n
                && match adapter.connection.kind() {
                    ConnectionKind::Parallel | ConnectionKind::LongRange => !carried,
                    ConnectionKind::Recurrent => pass == 1,
                    ConnectionKind::Sequential => true,
                }
        };
        let mut adapters: Vec<GroupedAdapter> =
            self.adapters.iter().filter(acts).copied().collect();
        adapters.sort_by_key(|adapter| rank(adapter.connection));
        let mut stages: Vec<Stage> = Vec::new();
        for adapter in adapters {
            let sequential = adapter.connection.kind() == ConnectionKind::Sequential;
            let free = |stage: &&mut Stage| {
                stage.sequential == sequential
                    && stage
                        .adapters
                        .iter()
                        .all(|other| other.model != adapter.model)
            };
            match stages.iter_mut().find(free) {
                Some(stage) => stage.adapters.push(adapter),
                None => stages.push(Stage {
                    saved: saved + stages.len(),
                    sequential,
                    adapters: vec![adapter],
                }),
            }
        }
        stages
    }
}

impl Stage {
    /// The adapters with their rows, if each model has `rows` of them.
    pub(super) fn blocks(&self, rows: usize) -> Vec<AdapterBlock> {
        let adapters = self.adapters.iter();
        let block = |adapter: &GroupedAdapter| AdapterBlock {
            place: adapter.place,
            rows: adapter.rows(rows),
        };
        adapters.map(block).collect()
    }
}

impl GroupedAdapter {
    /// The rows of its model, if each model has `rows` of them.
    pub(super) fn rows(&self, rows: usize) -> Range<usize> {
        self.model * rows..(self.model + 1) * rows
    }
}

/// The order in which adapters with the same target are added.
fn rank(connection: Connection) -> u8 {
    match connection.kind() {
        ConnectionKind::Parallel | ConnectionKind::LongRange => 0,
        ConnectionKind::Recurrent => 1,
        ConnectionKind::Sequential => 2,
    }
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::{AdapterSpec, Placement};

    use super::*;

    fn layout(connections: &[(u16, u16)]) -> Layout {
        let spec = AdapterSpec::new(1, 1.0).unwrap();
        let placement: Placement = connections
            .iter()
            .map(|&(source, target)| (Connection { source, target }, spec))
            .collect();
        Layout::new(&placement, 2, 3)
    }

    #[test]
    fn values_that_are_joined_come_apart_again() {
        let layouts = [
            layout(&[(0, 1), (3, 1)]),
            layout(&[]),
            layout(&[(1, 1), (0, 0)]),
        ];
        let group = Group::new(&layouts.each_ref());
        let mut next = 0.0;
        let each = layouts.each_ref().map(|layout| {
            let values = (0..layout.len()).map(|_| {
                next += 1.0;
                next
            });
            values.collect::<Vec<f32>>()
        });
        let all = group.join(&each.each_ref().map(|values| &values[..]));
        assert_eq!(all.len(), group.len());
        assert_eq!(group.split(&all), each);
        let mut sorted = all.clone();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, each.concat());
        // Adapters have 7 values and heads 9, and the adapters come first.
        assert_eq!(group.adapter_values(), 4 * 7);
        for (values, positions) in each.iter().zip(group.positions()) {
            let own = positions
                .into_iter()
                .flatten()
                .map(|position| all[position]);
            let mut own: Vec<f32> = own.collect();
            own.sort_by(f32::total_cmp);
            assert_eq!(own, *values);
        }
    }

    #[test]
    fn a_single_model_keeps_its_layout() {
        let layout = layout(&[(2, 1), (0, 3), (1, 1)]);
        let group = Group::new(&[&layout]);
        for (grouped, own) in group.adapters.iter().zip(&layout.adapters) {
            assert_eq!(
                (grouped.connection, grouped.place),
                (own.connection, own.place)
            );
        }
        assert_eq!(group.heads.first, layout.head);
        let positions: Vec<usize> = group.positions().concat().into_iter().flatten().collect();
        assert_eq!(positions, (0..layout.len()).collect::<Vec<_>>());
    }

    /// A stage has each model once, and a sequential adapter comes after all others.
    #[test]
    fn stages_keep_the_order_of_each_model() {
        let layouts = [
            layout(&[(1, 1), (3, 1), (0, 1)]),
            layout(&[(1, 1)]),
            layout(&[(0, 1)]),
        ];
        let group = Group::new(&layouts.each_ref());
        let shown = |pass, carried| -> Vec<Vec<(usize, u16)>> {
            let stages = group.stages(pass, 1, carried, 0).into_iter();
            let shown = |one: &GroupedAdapter| (one.model, one.connection.source);
            stages
                .map(|stage| stage.adapters.iter().map(shown).collect())
                .collect()
        };
        assert_eq!(
            shown(0, false),
            [vec![(0, 0), (2, 0)], vec![(0, 1), (1, 1)]]
        );
        let second = [vec![(0, 0), (2, 0)], vec![(0, 3)], vec![(0, 1), (1, 1)]];
        assert_eq!(shown(1, false), second);
        assert_eq!(shown(1, true), [vec![(0, 3)], vec![(0, 1), (1, 1)]]);
    }
}
